//! `config.yaml`: what is read from good files, and the one line that each bad file is answered with.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;

use proptest::prelude::*;
use respaldo_core::ErrorKind;
use respaldo_core::config::{Build, Config, MAX_BYTES, MAX_DATABASES, Stores};
use respaldo_core::model::Credentials;

fn database(fields: &str) -> String {
    let base = "name: x\n    engine: postgres\n    host: h\n    database_name: d";
    format!(
        "databases:\n  - {base}\n{}",
        fields.lines().fold(String::new(), |all, line| all + "    " + line + "\n")
    )
}

fn line(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

#[test]
fn the_file_with_global_and_ids_loads_unchanged() {
    insta::assert_debug_snapshot!(Config::parse(include_str!("config/inherited.yaml")).expect("it loads"));
}

#[test]
fn the_flat_file_without_ids_loads_unchanged() {
    insta::assert_debug_snapshot!(Config::parse(include_str!("config/flat.yaml")).expect("it loads"));
}

#[test]
fn every_field_of_this_version_is_read() {
    insta::assert_debug_snapshot!(Config::parse(include_str!("config/whole.yaml")).expect("it loads"));
}

#[test]
fn an_empty_file_is_a_whole_configuration() {
    let empty = Config::parse("").expect("it loads");
    assert_eq!(empty, Config::parse("# only a comment\n").expect("it loads"));
    assert_eq!(empty, Config::parse("global:\ndatabases:\nserver:\n").expect("it loads"));
    assert!(empty.databases.is_empty());
    assert_eq!((empty.global.max_parallel_jobs, empty.server.memory_budget_mb), (4, 64));
    assert_eq!(empty.server.sqlite_roots, ["data"]);
    assert_eq!((empty.restore.allow_superuser, empty.restore.safety_days), (false, 7));
    assert_eq!(empty.identity_file, None);
}

#[test]
fn retention_has_a_schedule_unless_the_file_turns_it_off() {
    let schedule = |text: &str| Config::parse(text).expect("it loads").retention_schedule;
    for text in ["", "retention:\n", "retention: {}\n"] {
        assert_eq!(schedule(text).as_deref(), Some("15 * * * *"), "{text}");
    }
    assert_eq!(schedule("retention: {schedule: '@daily'}\n").as_deref(), Some("@daily"));
    for text in ["retention:\n  schedule:\n", "retention: {schedule: null}\n"] {
        assert_eq!(schedule(text), None, "{text}");
    }
}

#[test]
fn the_environment_fills_only_what_the_file_leaves_open() {
    let text = "databases:\n  - {name: a, engine: sqlite, database_name: a.db}\n  \
                - {name: b, engine: sqlite, database_name: b.db, timezone: UTC}\n";
    let config = Config::parse(text).expect("it loads").with_default("timezone", &"Europe/Madrid".into());
    assert_eq!(config.databases[0].settings["timezone"], "Europe/Madrid");
    assert_eq!(config.databases[1].settings["timezone"], "UTC");
    assert_eq!(config.global.settings["timezone"], "Europe/Madrid");
}

/// Whole files that are refused.
const BAD_FILES: &[&str] = &[
    "databases: [",
    "databases:\n  - name: x\n   engine: y\n",
    "databases:\n\t- name: x\n",
    "catalog: @home\n",
    "a: b: c\n",
    "just text\n",
    "- a\n- b\n",
    "global: 5\n",
    "global: []\n",
    "? [a]\n: b\n",
    "global:\n  schedule: \"@daily\"\nglobal:\n  schedule: \"@weekly\"\n",
    "global: {}\n---\nglobal: {}\n",
    "databases:\n  - {id: \"2\", name: a, engine: sqlite, database_name: a}\n",
    "databases:\n  - {name: \"2024\", engine: sqlite, database_name: a}\n",
    "databases: *nowhere\n",
    "global: &g\n  schedule: *g\n",
    "global: !secret x\n",
    "globl:\n  schedule: \"@daily\"\n",
    "kubernetes: true\n",
    "package_conf: {}\n",
    "\"two\\nlines\": 1\n",
    "notifications: []\n",
    "retention:\n  object_lock: true\n",
    "retention:\n  object_lock: {mode: soft, days: 3}\n",
    "retention:\n  object_lock: {mode: governance}\n",
    "retention:\n  object_lock: {days: 3}\n",
    "retention:\n  object_lock: {mode: compliance, days: 0}\n",
    "retention:\n  object_lock: {mode: compliance, days: 3, years: 1}\n",
    "restore:\n  allow_superuser: 1\n",
    "restore:\n  safety_days: 0\n",
    "restore:\n  safety_day: 3\n",
    "restore: []\n",
    "encryption:\n  identity_file: [key.txt]\n",
    "encryption:\n  identity_file: AGE-SECRET-KEY-1QQQ\n",
    "global:\n  encryption:\n    identity_file: key.txt\n",
    "verify: hourly\n",
    "verify:\n  schedule: sometimes\n",
    "verify:\n  timezone: Europe/Nowhere\n",
    "verify:\n  policy: always\n",
    "verify:\n  servers: {engine: postgres}\n",
    "verify:\n  servers:\n    - host: h\n",
    "verify:\n  servers:\n    - engine: postgres\n",
    "verify:\n  servers:\n    - {engine: sqlite, host: h}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: h, password: hunter2}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: h, password_var: hunter2!}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: h, tls: verify-full}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: h, port: 0}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: \"a,b\"}\n",
    "verify:\n  servers:\n    - {engine: mysql, host: a}\n    - {engine: mysql, host: b}\n",
    "encryption:\n  recipients: [age1nonsense]\n",
    "encryption:\n  recipients: [AGE-SECRET-KEY-1QQQ]\n",
    "global:\n  schedule: 0 0 30 2 *\n",
    "global:\n  schedule: 0 0 3 * * *\n",
    "global:\n  schedule: \"@reboot\"\n",
    "global:\n  timezone: Europe/Madird\n",
    "global:\n  compression: lz4\n",
    "global:\n  retention_days: 0\n",
    "global:\n  max_backups: -3\n",
    "global:\n  max_parallel_jobs: many\n",
    "global:\n  package: yes\n",
    "global:\n  host: h\n",
    "package-conf:\n  compression: gzip\n",
    "package-conf:\n  schedule: monday\n",
    "package-conf:\n  timezone: Europe/Nowhere\n",
    "package-conf:\n  allow_incomplete: maybe\n",
    "retention:\n  schedule: monday\n",
    "retention:\n  days: 5\n",
    "retention: 5\n",
    "server:\n  memory_budget_mb: 16\n",
    "server:\n  listen: localhost\n",
    "server:\n  sqlite_roots: data\n",
    "server:\n  allow_unauthenticated: \"true\"\n",
    "server:\n  lisen: 127.0.0.1:8000\n",
    "catalog: postgres://db\n",
    "catalog: dynamodb://TABLE\n",
    "storage: data/backups\n",
    "storage: s3://key:secret@bucket\n",
    "storage: s3://bucket?secret_access_key=hunter2\n",
    "databases:\n  name: x\n",
    "databases:\n  - x\n",
    "databases:\n  - engine: postgres\n",
    "databases:\n  - name: x\n    engine: postgres\n    host: h\n",
    "databases:\n  - name: x\n    engine: postgres\n    database_name: d\n",
    "databases:\n  - name: x\n    engine: cassandra\n    database_name: d\n",
    "databases:\n  - name: x\n    engine: sqlite\n    database_name: d\n    host: h\n",
    "databases:\n  - name: x\n    engine: mysql\n    host: h\n    database_name: d\n    format: custom\n",
];

/// Fields that no database may have so.
const BAD_FIELDS: &[&str] = &[
    "compresion: gzip",
    "jitter_seconds: 3601",
    "jitter_seconds: -1",
    "shcedule: \"@daily\"",
    "Port: 5432",
    "port: 0",
    "port: 65536",
    "port: \"5432\"",
    "port: 5432.5",
    "id: \"\"",
    "id: true",
    "id:",
    "id: [1]",
    "tls: \"a\\nb\"",
    "enabled: maybe",
    "schedule:\n  - \"@daily\"",
    "password: hunter2",
    "username: root",
    "credentials: {username: root, password: hunter2}",
    "url: postgres://root:hunter2@h/d",
    "password_var: hunter2!",
    "password_var: [hunter2]",
    "username_var: 1USER",
    "default: true",
    "runner: ecs",
    "verify: nightly",
    "encryption: age1x",
];

#[test]
fn each_bad_file_is_answered_in_one_line() {
    let twice = "databases:\n  - {name: a, engine: sqlite, database_name: a}\n  \
                 - {id: a, name: b, engine: sqlite, database_name: b}\n";
    let all = BAD_FILES
        .iter()
        .map(ToString::to_string)
        .chain(BAD_FIELDS.iter().copied().map(database))
        .chain([twice.to_owned()]);
    let mut lines = String::new();
    for text in all {
        let line = line(&text);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("hunter2"), "{line}");
        let tail = text.replace('\n', "⏎");
        let skip = tail.chars().count().saturating_sub(60);
        let _infallible = writeln!(lines, "{}\n    {line}", tail.chars().skip(skip).collect::<String>());
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn too_much_is_refused() {
    assert_eq!(
        line(&"#".repeat(MAX_BYTES + 1)),
        "config.yaml: the file has 1048577 bytes; at most 1048576 are read"
    );
    let many = format!("databases: [{}]", "1,".repeat(MAX_DATABASES + 1));
    assert_eq!(line(&many), "config.yaml:1:12: databases: has 100001 entries; at most 100000 are read");
    let deep = format!("global: {}{}", "[".repeat(1000), "]".repeat(1000));
    assert!(line(&deep).starts_with("config.yaml:1:"), "{}", line(&deep));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let _infallible = writeln!(bomb, "a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 10].join(", "));
    }
    assert!(
        line(&bomb).ends_with("the file is nested too deeply, or its aliases grow too large"),
        "{}",
        line(&bomb)
    );
    assert_eq!(line("global: \0\n"), "config.yaml: the file has a zero byte: it is not text");
}

#[test]
fn thousands_of_databases_share_one_anchor() {
    let mut text = "databases:\n  - &d {name: d0, engine: postgres, host: h, database_name: d}\n".to_owned();
    for n in 1..5_000 {
        let _infallible = writeln!(text, "  - {{<<: *d, name: d{n}}}");
    }
    assert_eq!(Config::parse(&text).expect("it loads").databases.len(), 5_000);
}

/// A file that is damaged in one place by a secret.
fn damaged() -> impl Strategy<Value = String> {
    let files = [
        include_str!("config/inherited.yaml"),
        include_str!("config/flat.yaml"),
        include_str!("config/whole.yaml"),
    ];
    (
        prop::sample::select(files.to_vec()),
        any::<prop::sample::Index>(),
        "[\"'@`%!&*\\[{|>-]{0,2}",
        0usize..12,
    )
        .prop_map(|(file, at, quote, cut)| {
            let chars: Vec<char> = file.chars().collect();
            // Behind a colon: where values stand, and so where secrets come to stand by mistake.
            let colons: Vec<usize> =
                (0..chars.len() - 1).filter(|i| chars[*i] == ':' && chars[i + 1] == ' ').collect();
            let from = colons[at.index(colons.len())] + 2;
            let to = (from + cut).min(chars.len());
            let (head, tail): (String, String) =
                (chars[..from].iter().collect(), chars[to..].iter().collect());
            format!("{head}{quote}hunter2!{tail}")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_error_repeats_a_value(text in damaged()) {
        if let Err(error) = Config::parse(&text) {
            prop_assert_eq!(error.kind(), ErrorKind::Config);
            prop_assert_eq!(error.to_string().lines().count(), 1);
            prop_assert!(!error.to_string().contains("unter"), "{}\n{}", error, text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z:\\-\\[\\]{}&*!|>'\"%@` \n#?,0-9<~]{0,80}") {
        let _read_or_refused = Config::parse(&text);
        let _read_or_refused = Config::parse(&format!("databases:\n  - {text}"));
    }
}

#[test]
fn a_store_is_accepted_where_the_build_has_it_and_else_refused_with_the_reason() {
    let line = |text: &str, stores: Stores| {
        Config::parse_named("config.yaml", text, stores).err().map(|error| error.to_string())
    };
    let without = Stores { here: &["file"], left_out: &[("gs", "this build has no gs")] };
    let with = Stores { here: &["file", "gs"], left_out: &[] };
    assert_eq!(line("storage: gs://bucket/p\n", with), None);
    let refused = line("storage: gs://bucket/p\n", without).expect("it is refused");
    assert_eq!(refused, "config.yaml:1:10: storage: this build has no gs");
    let unknown = line("storage: ftp://bucket\n", with).expect("it is refused");
    assert_eq!(unknown, "config.yaml:1:10: storage: must begin with file://, gs://");
    for secret in ["account_key", "sas_token", "SAS", "credential"] {
        let text = format!("storage: gs://bucket?{secret}=hunter2\n");
        let refused = line(&text, with).expect("it is refused");
        assert!(refused.contains("holds a key or a password") && !refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_catalog_is_accepted_where_the_build_has_it_and_else_refused_with_the_reason() {
    let text = "catalog: dynamodb://respaldo?region=eu-west-1\n";
    let build = |catalogs| Build { catalogs, ..Build::default() };
    let read = |catalogs| Config::parse_named("config.yaml", text, build(catalogs));
    let url = read(Build::SQLITE_AND_DYNAMODB).unwrap().catalog;
    assert_eq!(url.as_deref(), Some("dynamodb://respaldo?region=eu-west-1"));
    let refused = read(Build::SQLITE).unwrap_err().to_string();
    assert!(
        refused.starts_with("config.yaml:1:10: catalog: ") && refused.contains("--features aws"),
        "{refused}"
    );
}

#[test]
fn test_restores_have_a_default_policy_and_a_time_of_their_own() {
    let word = Config::parse("verify: weekly\n").unwrap();
    assert_eq!(word.global.settings["verify"], "weekly");
    assert_eq!(word.verify.schedule.as_deref(), Some("0 5 * * *"));
    let text = "verify:\n  policy: daily\n  schedule: \"30 2 * * *\"\n  timezone: Asia/Tokyo\nglobal:\n  verify: after_each\n";
    let section = Config::parse(text).unwrap();
    assert_eq!(section.verify.schedule.as_deref(), Some("30 2 * * *"));
    assert_eq!(section.verify.timezone.as_deref(), Some("Asia/Tokyo"));
    assert_eq!(section.global.settings["verify"], "after_each", "global is nearer to the databases");
    assert_eq!(Config::parse("verify:\n  schedule:\n").unwrap().verify.schedule, None);
}

#[test]
fn a_server_for_test_restores_is_read_with_the_variables_of_its_login() {
    let text = "verify:\n  servers:\n    - {engine: postgres, host: db, port: 6432, username_var: U, password_var: P, tls: require}\n    - {engine: mariadb, host: other}\n";
    let servers = Config::parse(text).unwrap().verify.servers;
    assert_eq!(servers.len(), 2);
    assert_eq!(
        (servers[0].engine.as_str(), servers[0].host.as_str(), servers[0].port),
        ("postgres", "db", Some(6432))
    );
    assert_eq!(servers[0].username_var.as_deref(), Some("U"));
    assert_eq!(servers[0].password_var.as_deref(), Some("P"));
    assert_eq!(servers[0].tls.as_deref(), Some("require"));
    assert_eq!((servers[1].engine.as_str(), servers[1].port), ("mariadb", None));
    assert!(Config::parse("verify:\n  servers: []\n").unwrap().verify.servers.is_empty());
}

#[test]
fn a_login_may_be_kept_in_a_store_of_secrets() {
    for (user, password) in [
        ("secretsmanager:rds!cluster-0f1e#username", "secretsmanager:rds!cluster-0f1e#password"),
        ("ssm:/prod/orders/user", "ssm:plain"),
        (
            "ORDERS_USER",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:orders-AbCdEf#password",
        ),
    ] {
        let text = database(&format!("username_var: {user}\npassword_var: {password}"));
        let config = Config::parse(&text).unwrap();
        let expected = Credentials::Reference {
            username_var: Some(user.to_owned()),
            password_var: Some(password.to_owned()),
        };
        assert_eq!(config.databases[0].credentials, expected);
    }
    for bad in ["secretsmanager:#p", "ssm:a#b", "vault:a", "secretsmanager:a?b#c"] {
        let told = line(&database(&format!("password_var: {bad:?}")));
        assert!(told.contains("databases[0].password_var") && !told.contains(bad), "{told}");
    }
}
