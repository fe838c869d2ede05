//! PostgreSQL databases come back whole from their artifacts by the stock tools, and what lies, hangs
//! or dies never counts as a backup.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::jobs;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::ports::SecretString;
use respaldo_core::{Error, ErrorKind};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, eventually, run};
use respaldo_testkit::postgres::{PgVersion, Postgres, quoted};
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::{Value, json};

fn login(server: &Postgres) -> Login {
    Login {
        username: Some(server.user().to_owned()),
        password: Some(SecretString::from(server.password().to_owned())),
    }
}

async fn register(test: &TestApp, server: &Postgres, database: &str, more: Value) -> Database {
    // The body that the first "Backup API" document prints, with host, port and names replaced.
    let mut fields = json!({
        "name": "PostgreSQL Producción", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": database, "schedule": "0 4 * * *", "retention_days": 30, "max_backups": 15,
        "compression": "gzip",
    });
    let Value::Object(more) = more else { panic!("fields are an object") };
    fields.as_object_mut().unwrap().extend(more);
    let Value::Object(fields) = fields else { unreachable!() };
    let registration = Registration { fields, login: Some(login(server)), uid: None };
    databases::register(&test.app, registration).await.unwrap()
}

fn error_of(job: &Job) -> &Error {
    assert_eq!(job.status, Status::Failed, "{:?}", job.error);
    job.error.as_ref().unwrap()
}

fn artifact(test: &TestApp, job: &Job) -> PathBuf {
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    test.backups().join(job.backup().unwrap().name.as_ref().unwrap())
}

#[tokio::test]
async fn a_plain_backup_loads_with_gunzip_and_psql_into_an_equal_database() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let source = server.fresh_database("ventas");
    server.sample_schema(&source);
    let database = register(&test, server, &source, json!({})).await;
    let job = test.back_up(&database).await;
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(artifact(&test, &job));
    let sql = run(gunzip, std::io::empty()).stdout;
    let copy = server.fresh_database("copy");
    server.load_plain(&copy, sql.as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
    test.assert_promises().await;

    // The copy has the same fingerprint, though its rows may lie in another order.
    let copied = register(&test, server, &copy, json!({})).await;
    let again = test.back_up(&copied).await;
    assert_eq!(again.backup().unwrap().fingerprint, job.backup().unwrap().fingerprint);
    let rows = job.backup().unwrap().fingerprint.as_ref().unwrap().rows();
    assert!(rows > 10_000, "{rows} rows");
    // One row fewer, and it has another.
    server.psql(&copy, "DELETE FROM ONLY app.big WHERE ctid = (SELECT min(ctid) FROM app.big)");
    let changed = test.back_up(&copied).await;
    assert_ne!(changed.backup().unwrap().fingerprint, job.backup().unwrap().fingerprint);
}

#[tokio::test]
async fn a_custom_backup_loads_with_pg_restore_and_has_the_plain_one_s_fingerprint() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let source = server.fresh_database("custom");
    server.sample_schema(&source);
    let plain = test.back_up(&register(&test, server, &source, json!({})).await).await;
    let fields = json!({"format": "custom", "compression": "zstd"});
    let job = test.back_up(&register(&test, server, &source, fields).await).await;
    assert!(artifact(&test, &job).to_string_lossy().ends_with(".dump.zst"));
    assert_eq!(job.backup().unwrap().fingerprint, plain.backup().unwrap().fingerprint);

    let mut zstd = command("zstd");
    zstd.args(["--decompress", "--stdout"]).arg(artifact(&test, &job));
    let dump = test.folder().join("copy.dump");
    fs::write(&dump, run(zstd, std::io::empty()).stdout).unwrap();
    let copy = server.fresh_database("copy");
    let mut restore = server.client("pg_restore", &copy);
    restore.arg("--exit-on-error").arg("--dbname").arg(&copy);
    run(restore, fs::File::open(&dump).unwrap());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
    test.assert_promises().await;
}

#[tokio::test]
async fn hostile_names_are_backed_up_and_never_interpreted() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    for name in ["--version", "-c", "with space", "quote'\"s", "host=evil dbname=x", "東京 ñ", "a/b", "%68"]
    {
        let name = format!("{name} {}", respaldo_testkit::host::random_hex(3));
        server.create_database(&name);
        server.psql(&name, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
        let job = test.back_up(&register(&test, server, &name, json!({})).await).await;
        assert_eq!(job.status, Status::Succeeded, "{name}: {:?}", job.error);
        assert_eq!(job.backup().unwrap().fingerprint.as_ref().unwrap().rows(), 2, "{name}");
        server.drop_database(&name);
    }
    let within = server.fresh_database("names");
    server.hostile_names(&within);
    let job = test.back_up(&register(&test, server, &within, json!({})).await).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let copy = server.fresh_database("copy");
    server.load_plain(&copy, test.opened(&job).as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&within));
}

#[tokio::test]
async fn what_is_wrong_is_said_before_the_dump_in_one_line_with_the_mend() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let name = server.fresh_database("errors");
    let database = register(&test, server, &name, json!({})).await;
    let probe = databases::test(&test.app, database.id).await.unwrap();
    assert!(probe.server_version.starts_with(&server.major().to_string()), "{probe:?}");
    assert!(probe.size_bytes.unwrap() > 0 && probe.tool.is_some());

    let mut wrong = login(server);
    wrong.password = Some(SecretString::from("not-the-password"));
    let change = databases::Change { login: Some(wrong), ..Default::default() };
    databases::change(&test.app, database.id, change).await.unwrap();
    let refused = databases::test(&test.app, database.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");

    let cases = [
        (json!({"database_name": "no_such_database"}), ErrorKind::NotFound, "check database_name"),
        (json!({"port": 1}), ErrorKind::Unavailable, "check host and port"),
        (json!({"host": "no-such-host.invalid"}), ErrorKind::Unavailable, "check host"),
        (json!({"tls": "verify-full"}), ErrorKind::Config, "tls"),
    ];
    for (fields, kind, mend) in cases {
        let database = register(&test, server, &name, fields.clone()).await;
        let error = databases::test(&test.app, database.id).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{fields}: {error}");
        assert!(error.mend().unwrap().contains(mend), "{fields}: {error}");
        let line = error.to_string();
        assert!(!line.contains('\n') && !line.contains(server.password()), "{line}");
        let job = test.back_up(&database).await;
        assert_eq!(error_of(&job).kind(), kind);
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_server_newer_than_every_pg_dump_is_refused_with_the_package_to_install() {
    let (test, old) = (TestApp::new(), Postgres::shared());
    let server = Postgres::start(PgVersion::Sixteen);
    server.create_database("newer");
    let fitting = register(&test, &server, "newer", json!({})).await;
    let test = test.with_tools(old.bin_dir().to_owned());
    let error = databases::test(&test.app, fitting.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tool, "{error}");
    let said = format!("PostgreSQL 16 and the newest pg_dump here is {}", old.major());
    assert!(error.message().contains(&said), "{error}");
    assert_eq!(error.mend(), Some("apt-get install postgresql-client-16"));
    let job = test.back_up(&fitting).await;
    assert_eq!(error_of(&job).kind(), ErrorKind::Tool);

    // With its own tools there, the smallest that fits is taken.
    let test = test.with_tools(server.bin_dir().to_owned());
    let job = test.back_up(&fitting).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
}

#[tokio::test]
async fn a_missing_tool_is_named_with_what_installs_it() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let name = server.fresh_database("toolless");
    let database = register(&test, server, &name, json!({})).await;
    let empty = test.folder().join("empty");
    fs::create_dir(&empty).unwrap();
    let test = test.with_tools(empty);
    let error = databases::test(&test.app, database.id).await.unwrap_err();
    assert!(error.message().contains("psql is not installed"), "{error}");
    assert!(error.mend().unwrap().contains("apt-get install postgresql-client"));
}

/// A database of which `pg_dump` is simulated while `psql` is real.
async fn with_fake_dump(behaviour: Behaviour, stall: SignedDuration) -> (TestApp, Database, Toolbox) {
    let server = Postgres::shared();
    let name = server.fresh_database("fake");
    let tools = Toolbox::new();
    let version = format!("pg_dump (PostgreSQL) {}.0", server.major());
    tools.add(&FakeTool::new("pg_dump").version(&version).behaviour(behaviour));
    std::os::unix::fs::symlink(server.bin_dir().join("psql"), tools.path().join("psql")).unwrap();
    let test = TestApp::with(|limits| limits.stall = stall).with_tools(tools.path());
    let database = register(&test, server, &name, json!({})).await;
    (test, database, tools)
}

fn sample_dump(folder: &std::path::Path) -> PathBuf {
    let server = Postgres::shared();
    let name = server.fresh_database("forged");
    server.sample_schema(&name);
    let mut dump = server.client("pg_dump", &name);
    dump.arg(&name);
    let path = folder.join("dump.sql");
    fs::write(&path, run(dump, std::io::empty()).stdout).unwrap();
    path
}

#[tokio::test]
async fn tools_that_lie_or_die_never_make_a_backup_and_see_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    let stderr = "pg_dump: error: query failed: ERROR: something".to_owned();
    let cases = [
        Behaviour::PrintsHalf(file.clone()),
        Behaviour::PrintsThenFails { file: file.clone(), stderr: stderr.clone(), code: 1 },
        Behaviour::Fails { stderr, code: 3 },
        Behaviour::DiesAfter { file: file.clone(), bytes: 100_000 },
        Behaviour::Script("exit 0".to_owned()),
    ];
    for behaviour in cases {
        let shown = format!("{behaviour:?}");
        let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_mins(1)).await;
        let job = test.back_up(&database).await;
        error_of(&job);
        assert!(job.backup().unwrap().artifact.is_none(), "{shown}");
        let calls = tools.calls("pg_dump");
        assert!(!calls.is_empty(), "{shown}");
        for call in calls {
            assert!(!call.shows(Postgres::shared().password()), "{shown}: {call:?}");
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
    let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_millis(700)).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    assert_eq!(test.run(job.id).await.unwrap(), Ran::Queued);
    let record = test.job(job.id).await;
    let error = record.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("no byte came for"), "{error}");
    for call in tools.calls("pg_dump") {
        eventually("the tool is dead", Duration::from_secs(10), || {
            !respaldo_testkit::host::is_alive(call.pid)
        });
    }
    assert!(test.run_to_end(job.id).await.backup().unwrap().artifact.is_none());
    test.assert_promises().await;
}

fn fill(server: &Postgres, database: &str, mebibytes: usize) {
    let rows = mebibytes * 1024;
    server.psql(
        database,
        &format!(
            "CREATE TABLE big AS SELECT n, (SELECT string_agg(md5((n * 40 + k)::text), '') \
             FROM generate_series(1, 32) k) AS filler FROM generate_series(1, {rows}) n"
        ),
    );
}

/// Waits until part of the artifact lies in storage.
fn await_bytes(test: &TestApp) {
    eventually("bytes have been stored", Duration::from_mins(1), || {
        let files = test.files();
        let artifact = files.iter().find(|file| file.ends_with(".sql.gz"));
        artifact.is_some_and(|file| {
            fs::metadata(test.backups().join(file)).is_ok_and(|metadata| metadata.len() > 1 << 20)
        })
    });
}

async fn in_the_middle(
    test: &Arc<TestApp>,
    database: &Database,
    worker: &Arc<Worker>,
    deed: impl FnOnce(&Job),
) -> (Job, Ran) {
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let (app, worker, id) = (test.app.clone(), Arc::clone(worker), job.id);
    let running = tokio::spawn(async move { backup::run(&app, id, &worker).await });
    let watched = Arc::clone(test);
    tokio::task::spawn_blocking(move || await_bytes(&watched)).await.unwrap();
    deed(&job);
    let ran = tokio::time::timeout(Duration::from_mins(1), running).await.expect("the run ends");
    (test.job(job.id).await, ran.unwrap().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_the_middle_of_a_dump_leaves_no_backup() {
    let test = Arc::new(TestApp::new());
    let server = Postgres::start(PgVersion::Debian);
    server.create_database("big");
    fill(&server, "big", 300);
    let database = register(&test, &server, "big", json!({})).await;
    let worker = Arc::new(Worker::new("test"));
    let (job, ran) = in_the_middle(&test, &database, &worker, |_| server.kill()).await;
    assert_eq!(ran, Ran::Queued, "{:?}", job.error);
    let error = job.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let job = test.run_to_end(job.id).await;
    assert_eq!(error_of(&job).kind(), ErrorKind::Unavailable);
    test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_backup_is_cancelled_and_leaves_nothing() {
    let (test, server) = (Arc::new(TestApp::new()), Postgres::shared());
    let name = server.fresh_database("big");
    fill(server, &name, 300);
    let database = register(&test, server, &name, json!({})).await;
    let worker = Arc::new(Worker::new("test"));
    let (job, ran) = in_the_middle(&test, &database, &worker, |job| {
        let (app, id) = (test.app.clone(), job.id);
        tokio::spawn(async move { jobs::cancel(&app, id).await.unwrap() });
    })
    .await;
    assert_eq!((ran, job.status), (Ran::Ended, Status::Cancelled));
    test.assert_promises().await;
    // Nothing of ours is left at the server either.
    eventually("pg_dump has left the server", Duration::from_secs(10), || {
        let query = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'respaldo' AND datname = '{name}'"
        );
        server.psql("postgres", &query).trim() == "0"
    });

    // A host that shuts down puts its job back, and another worker makes the backup.
    let (job, ran) = in_the_middle(&test, &database, &worker, |_| worker.stop()).await;
    assert_eq!((ran, job.status), (Ran::Queued, Status::Queued), "{:?}", job.error);
    let job = test.run_to_end(job.id).await;
    assert_eq!((job.status, job.attempts.failures), (Status::Succeeded, 0));
    test.assert_promises().await;
    server.psql("postgres", &format!("DROP DATABASE {}", quoted(&name)));
}

#[tokio::test]
async fn the_password_is_found_nowhere_that_others_can_read() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let name = server.fresh_database("secret");
    let database = register(&test, server, &name, json!({})).await;
    test.back_up(&database).await;
    databases::test(&test.app, database.id).await.unwrap();
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
