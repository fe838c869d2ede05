//! MySQL and MariaDB databases come back whole from their artifacts by the stock tools, and what lies,
//! hangs or dies never counts as a backup. What says so runs against a real MySQL where one can be had;
//! everything else runs against a real MariaDB.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup::{self, Ran, Worker};
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::engine::Probe;
use respaldo_core::jobs;
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::ports::SecretString;
use respaldo_core::{Error, ErrorKind};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, eventually, random_hex, run, unique};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::{Value, json};

fn login(user: &str, password: &str) -> Login {
    Login { username: Some(user.to_owned()), password: Some(SecretString::from(password.to_owned())) }
}

async fn register_as(test: &TestApp, server: &Mysql, database: &str, login: Login, more: Value) -> Database {
    let mut fields = json!({
        "name": "MySQL Producción", "engine": "mariadb", "host": server.host(), "port": server.port(),
        "database_name": database, "schedule": "0 4 * * *", "retention_days": 30, "max_backups": 15,
        "compression": "gzip",
    });
    let Value::Object(more) = more else { panic!("fields are an object") };
    fields.as_object_mut().unwrap().extend(more);
    let Value::Object(fields) = fields else { unreachable!() };
    let registration = Registration { fields, login: Some(login), uid: None };
    databases::register(&test.app, registration).await.unwrap()
}

async fn register(test: &TestApp, server: &Mysql, database: &str, more: Value) -> Database {
    register_as(test, server, database, login(server.user(), server.password()), more).await
}

async fn probe(test: &TestApp, database: &Database) -> respaldo_core::Result<Probe> {
    databases::test(&test.app, database.id).await
}

fn error_of(job: &Job) -> &Error {
    assert_eq!(job.status, Status::Failed, "{:?}", job.error);
    job.error.as_ref().unwrap()
}

fn artifact(test: &TestApp, job: &Job) -> PathBuf {
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    test.backups().join(job.backup().name.as_ref().unwrap())
}

async fn log_of(test: &TestApp, job: &Job) -> String {
    let lines = test.catalog.log(job.id, 0, 1_000).await.unwrap();
    lines.into_iter().map(|entry| entry.line + "\n").collect()
}

/// Backs a sample up, loads the artifact with stock tools and compares.
async fn comes_back_whole(server: &Mysql, engine: &str) {
    let test = TestApp::new().with_tools(server.bin_dir().to_owned());
    let source = server.fresh_database("ventas");
    server.sample_schema(&source);
    let database = register(&test, server, &source, json!({"engine": engine})).await;
    let job = test.back_up(&database).await;
    let file = artifact(&test, &job);
    assert!(file.to_string_lossy().ends_with(".sql.gz"), "{}", file.display());
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(file);
    let sql = run(gunzip, std::io::empty()).stdout;
    let copy = server.fresh_database("copy");
    server.load(&copy, sql.as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
    test.assert_promises().await;

    let copied = register(&test, server, &copy, json!({"engine": engine})).await;
    let again = test.back_up(&copied).await;
    assert_eq!(again.backup().fingerprint, job.backup().fingerprint);
    let rows = job.backup().fingerprint.as_ref().unwrap();
    assert!(rows.rows() > 10_000, "{rows:?}");
    assert_eq!((rows.0["empty_one"].rows, rows.0["big"].rows, rows.0["bytes"].rows), (0, 10_000, 259));
    // Rows in another order have the same fingerprint; one row fewer has another.
    server.sql(
        &copy,
        "CREATE TABLE r (id int, filler varchar(200)); INSERT INTO r SELECT * FROM big ORDER BY id DESC",
    );
    server.sql(&copy, "DROP TABLE big; RENAME TABLE r TO big");
    assert_eq!(test.back_up(&copied).await.backup().fingerprint, job.backup().fingerprint);
    server.sql(&copy, "DELETE FROM big WHERE id = 77");
    assert_ne!(test.back_up(&copied).await.backup().fingerprint, job.backup().fingerprint);
}

#[tokio::test]
async fn a_mariadb_backup_loads_with_gunzip_and_mariadb_into_an_equal_database() {
    comes_back_whole(Mysql::shared(), "mariadb").await;
}

#[tokio::test]
async fn a_mysql_backup_loads_with_gunzip_and_mysql_into_an_equal_database_where_mysql_can_be_had() {
    if let Some(server) = Mysql::shared_mysql() {
        comes_back_whole(server, "mysql").await;
    }
}

#[tokio::test]
async fn a_mariadb_that_was_registered_as_mysql_is_dumped_by_its_own_tool_and_the_log_says_so() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("misnamed");
    server.sample_schema(&name);
    let job = test.back_up(&register(&test, server, &name, json!({"engine": "mysql"})).await).await;
    assert!(artifact(&test, &job).file_name().unwrap().to_string_lossy().starts_with("mysql_misnamed"));
    let log = log_of(&test, &job).await;
    assert!(log.contains("registered as mysql, the server is MariaDB"), "{log}");
    assert!(log.contains("not transactional: aria_one, not_transactional;"), "{log}");
}

#[tokio::test]
async fn the_other_family_s_tool_alone_is_refused_with_what_to_install() {
    let Some(server) = Mysql::shared_mysql() else { return };
    let test = TestApp::new().with_tools(Mysql::shared().bin_dir().to_owned());
    let name = server.fresh_database("foreign");
    let database = register(&test, server, &name, json!({"engine": "mysql"})).await;
    let error = probe(&test, &database).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tool, "{error}");
    assert!(
        error.message().contains("the server is MySQL 9") && error.message().contains("MariaDB"),
        "{error}"
    );
    assert!(error.mend().unwrap().contains("mysql-client"), "{error}");

    let test = TestApp::new().with_tools(server.bin_dir().to_owned());
    let mariadb = Mysql::shared();
    let name = mariadb.fresh_database("foreign");
    let error = probe(&test, &register(&test, mariadb, &name, json!({})).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tool, "{error}");
    assert!(error.mend().unwrap().contains("apt-get install mariadb-client"), "{error}");
}

#[tokio::test]
async fn hostile_names_and_passwords_are_used_and_never_interpreted() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let names =
        ["--version", "-e x", "with space", "quote'\"s`", "a;b -- c", "東京 ñ", "a\\b", "%68_", "a/b.c"];
    for name in names {
        let name = format!("{name} {}", random_hex(3));
        server.create_database(&name);
        server.sql(&name, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
        let job = test.back_up(&register(&test, server, &name, json!({})).await).await;
        assert_eq!(job.status, Status::Succeeded, "{name}: {:?}", job.error);
        assert_eq!(job.backup().fingerprint.as_ref().unwrap().rows(), 2, "{name}");
        server.drop_database(&name);
    }
    let name = server.fresh_database("passwords");
    for password in [
        "'",
        "\"",
        "\\",
        "a\\nb\\",
        "#x ;y",
        " leads and trails ",
        "ñ東😀",
        "!include x",
        "\"'\\\"#",
        "%s$HOME`id`",
        "\t",
    ] {
        let user = unique("u");
        let literal = password.replace('\\', "\\\\").replace('\'', "\\'");
        server.sql(
            "mysql",
            &format!("CREATE USER {user}@'%' IDENTIFIED BY '{literal}'; GRANT ALL ON *.* TO {user}@'%'"),
        );
        let database = register_as(&test, server, &name, login(&user, password), json!({})).await;
        assert!(probe(&test, &database).await.is_ok(), "{password:?}: {:?}", probe(&test, &database).await);
    }
    for password in ["a\nb", "a\rb"] {
        let database = register_as(&test, server, &name, login("root", password), json!({})).await;
        let error = probe(&test, &database).await.unwrap_err();
        assert_eq!(error.field(), Some("credentials.password"), "{error}");
    }
}

#[tokio::test]
async fn a_socket_s_path_is_a_host_too() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    server.sql(
        "mysql",
        &format!("CREATE OR REPLACE USER root@localhost IDENTIFIED BY '{}'", server.password()),
    );
    server.sql("mysql", "GRANT ALL ON *.* TO root@localhost");
    let name = server.fresh_database("socket");
    let job = test.back_up(&register(&test, server, &name, json!({"host": server.socket()})).await).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
}

#[tokio::test]
async fn what_is_wrong_is_said_before_the_dump_in_one_line_with_the_mend() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("errors");
    let database = register(&test, server, &name, json!({})).await;
    let found = probe(&test, &database).await.unwrap();
    assert!(found.server_version.contains("MariaDB") && found.tool.unwrap().contains("MariaDB"));

    let database = register_as(&test, server, &name, login("root", "not-the-password"), json!({})).await;
    let refused = probe(&test, &database).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    assert!(refused.mend().unwrap().contains("password"), "{refused}");

    let cases = [
        (json!({"database_name": "no_such_database"}), ErrorKind::NotFound, "check database_name"),
        (json!({"port": 1}), ErrorKind::Unavailable, "check host and port"),
        (json!({"host": "no-such-host.invalid"}), ErrorKind::Unavailable, "check host"),
        (json!({"tls": "required"}), ErrorKind::Config, "tls"),
        (json!({"tls": "verify_identity"}), ErrorKind::Config, "tls"),
    ];
    for (fields, kind, mend) in cases {
        let database = register(&test, server, &name, fields.clone()).await;
        let error = probe(&test, &database).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fields}: {error}");
        assert!(error.mend().unwrap().contains(mend), "{fields}: {error}");
        let line = error.to_string();
        assert!(!line.contains('\n') && !line.contains(server.password()), "{line}");
        let job = test.back_up(&database).await;
        assert_eq!(error_of(&job).kind(), kind);
    }
    for tls in ["disabled", "preferred"] {
        let database = register(&test, server, &name, json!({"tls": tls})).await;
        assert!(probe(&test, &database).await.is_ok(), "{tls}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_privilege_that_is_missing_is_named_and_never_makes_a_smaller_backup() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("grants");
    server.sample_schema(&name);
    let all = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"];
    for missing in all {
        let user = unique("u");
        let given: Vec<&str> = all.into_iter().filter(|privilege| *privilege != missing).collect();
        let on = name.replace('_', "\\_");
        server.sql("mysql", &format!("CREATE USER {user}@'%' IDENTIFIED BY 'x'; GRANT {}, EXECUTE ON `{on}`.* TO {user}@'%'; GRANT SELECT ON mysql.proc TO {user}@'%'", given.join(", ")));
        let database = register_as(&test, server, &name, login(&user, "x"), json!({})).await;
        let job = test.back_up(&database).await;
        let error = error_of(&job);
        assert_eq!(error.kind(), ErrorKind::Denied, "{missing}: {error}");
        assert!(error.mend().unwrap().contains(missing), "{missing}: {error}");
        server.sql("mysql", &format!("GRANT {missing} ON `{on}`.* TO {user}@'%'"));
        assert_eq!(test.back_up(&database).await.status, Status::Succeeded, "{missing}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_dump_under_writers_is_one_moment_of_the_database() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("busy");
    server.sql(&name, "CREATE TABLE a_first (n int PRIMARY KEY); CREATE TABLE z_last (n int PRIMARY KEY)");
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, db) = (Arc::clone(&stop), name.clone());
    let writer = std::thread::spawn(move || {
        let mut n = 0;
        while !stopped.load(Ordering::Relaxed) {
            let batch: String = (n..n + 50)
                .map(|n| {
                    format!(
                        "BEGIN; INSERT INTO a_first VALUES ({n}); INSERT INTO z_last VALUES ({n}); COMMIT;"
                    )
                })
                .collect();
            server.sql(&db, &batch);
            n += 50;
        }
    });
    let rows = || server.sql(&name, "SELECT COUNT(*) FROM z_last").parse::<u64>().unwrap();
    eventually("the writer writes", Duration::from_secs(20), || rows() > 100);
    let database = register(&test, server, &name, json!({})).await;
    for _ in 0..3 {
        let job = test.back_up(&database).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        let tables = &job.backup().fingerprint.as_ref().unwrap().0;
        assert_eq!(tables["a_first"], tables["z_last"], "both tables hold the same rows at any moment");
        assert!(tables["a_first"].rows > 100);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    test.assert_promises().await;
}

#[tokio::test]
async fn a_row_longer_than_its_server_accepts_is_said_in_the_log() {
    let (test, server) = (TestApp::new(), Mysql::start());
    server.create_database("long");
    server.sql("long", "CREATE TABLE t (b longblob); INSERT INTO t VALUES (REPEAT('x', 3000000))");
    let database = register(&test, &server, "long", json!({})).await;
    let quiet = test.back_up(&database).await;
    assert!(!log_of(&test, &quiet).await.contains("max_allowed_packet"));
    server.sql("mysql", "SET GLOBAL max_allowed_packet = 4194304");
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let log = log_of(&test, &job).await;
    assert!(log.contains("and this server accepts 4,194,304: raise max_allowed_packet"), "{log}");
}

/// A database of which the dumping tool is simulated while the asking client is real.
async fn with_fake_dump(behaviour: Behaviour, stall: SignedDuration) -> (TestApp, Database, Toolbox) {
    let server = Mysql::shared();
    let name = server.fresh_database("fake");
    let tools = Toolbox::new();
    let version = "mariadb-dump  Ver 10.19 Distrib 10.11.99-MariaDB, for simulation (x86_64)";
    tools.add(&FakeTool::new("mariadb-dump").version(version).behaviour(behaviour));
    std::os::unix::fs::symlink(server.bin_dir().join("mariadb"), tools.path().join("mariadb")).unwrap();
    let test = TestApp::with(|limits| limits.stall = stall).with_tools(tools.path());
    let database = register(&test, server, &name, json!({})).await;
    (test, database, tools)
}

fn sample_dump(folder: &Path) -> PathBuf {
    let server = Mysql::shared();
    let name = server.fresh_database("forged");
    server.sample_schema(&name);
    let path = folder.join("dump.sql");
    fs::write(&path, server.dump(&name, &[])).unwrap();
    path
}

#[tokio::test]
async fn tools_that_lie_or_die_never_make_a_backup_and_see_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    let stderr = "mariadb-dump: Error 1412: Table definition has changed, please retry transaction when dumping table `t` at row: 0".to_owned();
    let cases = [
        (Behaviour::PrintsHalf(file.clone()), ErrorKind::Incomplete),
        (
            Behaviour::PrintsThenFails { file: file.clone(), stderr: stderr.clone(), code: 1 },
            ErrorKind::Conflict,
        ),
        (Behaviour::Fails { stderr, code: 3 }, ErrorKind::Conflict),
        (Behaviour::DiesAfter { file: file.clone(), bytes: 100_000 }, ErrorKind::Internal),
        (Behaviour::Script("exit 0".to_owned()), ErrorKind::Incomplete),
    ];
    for (behaviour, kind) in cases {
        let shown = format!("{behaviour:?}");
        let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_mins(1)).await;
        let job = test.back_up(&database).await;
        assert_eq!(error_of(&job).kind(), kind, "{shown}");
        assert!(job.backup().artifact.is_none(), "{shown}");
        let calls = tools.calls("mariadb-dump");
        assert!(!calls.is_empty(), "{shown}");
        for call in calls {
            assert!(!call.shows(Mysql::shared().password()), "{shown}: {call:?}");
        }
        test.assert_promises().await;
    }
    let (test, database, _tools) =
        with_fake_dump(Behaviour::Prints(file), SignedDuration::from_mins(1)).await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "the same tool, honest: {:?}", job.error);
}

#[tokio::test]
async fn a_tool_that_gives_no_byte_for_too_long_is_killed_with_its_children_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    let behaviour = Behaviour::HangsAfter { file, bytes: 100_000 };
    let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_secs(2)).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    assert_eq!(test.run(job.id).await.unwrap(), Ran::Queued);
    let error = test.job(job.id).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("no byte came for"), "{error}");
    for call in tools.calls("mariadb-dump") {
        eventually("the tool is dead", Duration::from_secs(10), || {
            !respaldo_testkit::host::is_alive(call.pid)
        });
    }
    assert!(test.run_to_end(job.id).await.backup().artifact.is_none());
    test.assert_promises().await;
}

fn fill(server: &Mysql, database: &str, mebibytes: usize) {
    server.sql(
        database,
        &format!(
            "CREATE TABLE big (n int, filler text); INSERT INTO big WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL \
             SELECT n + 1 FROM i WHERE n < 1000) SELECT n, REPEAT(MD5(n), 32) FROM i"
        ),
    );
    let mut size = 1;
    while size < mebibytes {
        server.sql(database, "INSERT INTO big SELECT n, CONCAT(MD5(RAND()), filler) FROM big");
        size *= 2;
    }
}

/// Waits until part of the artifact lies in storage.
fn await_bytes(test: &TestApp) {
    eventually("bytes have been stored", Duration::from_mins(1), || {
        let files = test.files();
        let artifact = files.iter().find(|file| file.ends_with(".sql"));
        artifact.is_some_and(|file| {
            fs::metadata(test.backups().join(file)).is_ok_and(|metadata| metadata.len() > 1 << 20)
        })
    });
}

async fn in_the_middle(test: &Arc<TestApp>, database: &Database, deed: impl FnOnce(&Job)) -> (Job, Ran) {
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let (app, id) = (test.app.clone(), job.id);
    let running = tokio::spawn(async move { backup::run(&app, id, &Worker::new("test")).await });
    let watched = Arc::clone(test);
    tokio::task::spawn_blocking(move || await_bytes(&watched)).await.unwrap();
    deed(&job);
    let ran = tokio::time::timeout(Duration::from_mins(1), running).await.expect("the run ends");
    (test.job(job.id).await, ran.unwrap().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cancelled_or_whose_server_is_killed_in_the_middle_leaves_nothing() {
    let test = Arc::new(TestApp::new());
    let server = Mysql::start();
    server.create_database("big");
    fill(&server, "big", 128);
    let database = register(&test, &server, "big", json!({"compression": "none"})).await;
    let (job, ran) = in_the_middle(&test, &database, |job| {
        let (app, id) = (test.app.clone(), job.id);
        tokio::spawn(async move { jobs::cancel(&app, id).await.unwrap() });
    })
    .await;
    assert_eq!((ran, job.status), (Ran::Ended, Status::Cancelled));
    test.assert_promises().await;
    // Nothing of ours is left at the server either.
    eventually("mariadb-dump has left the server", Duration::from_secs(10), || {
        server.sql("mysql", "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'big'") == "0"
    });

    let (job, ran) = in_the_middle(&test, &database, |_| server.kill()).await;
    assert_eq!(ran, Ran::Queued, "{:?}", job.error);
    let error = job.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let job = test.run_to_end(job.id).await;
    assert_eq!(error_of(&job).kind(), ErrorKind::Unavailable);
    test.assert_promises().await;
}

#[tokio::test]
async fn the_password_is_found_nowhere_that_others_can_read() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("secret");
    let database = register(&test, server, &name, json!({})).await;
    test.back_up(&database).await;
    probe(&test, &database).await.unwrap();
    let password = server.password().as_bytes();
    let mut folders = vec![test.folder().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(password.len()).any(|window| window == password);
            assert!(!found, "{} holds the password", path.display());
        }
    }
    assert!(files >= 4, "catalog, artifact, manifest and definition were read");
}
