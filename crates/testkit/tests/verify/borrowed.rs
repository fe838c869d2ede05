//! Test restores on a server of `verify.servers`: the same verdicts, and nothing of them stays on it.

use std::sync::Arc;
use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::jobs::{self, Worker};
use respaldo_core::model::{EngineKind, Job, Status, VerificationStatus};
use respaldo_core::tick::tick;
use respaldo_core::verify::{self, TestServer};
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::{PgVersion, Postgres};
use serde_json::json;

use super::support::{assert_differs_in, assert_ok, log_of, new_id, replace_dump, tested, verdict};
use super::{mariadb, postgres};

/// An installation that tests on this server, and could start none: it has clients only.
fn testing_on(engine: EngineKind, port: u16, (user, password): (&str, &str)) -> TestApp {
    let server = TestServer {
        engine,
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        username_var: Some("TEST_USER".to_owned()),
        password_var: Some("TEST_PASSWORD".to_owned()),
        tls: None,
    };
    let test = TestApp::with(|limits| limits.test_servers = vec![server]);
    test.secrets.set("TEST_USER", user);
    test.secrets.set("TEST_PASSWORD", password);
    let tools = test.folder().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let (source, clients): (_, &[&str]) = match engine {
        EngineKind::Postgres => (Postgres::shared().bin_dir(), &["psql", "pg_dump", "pg_restore"]),
        _ => (Mysql::shared().bin_dir(), &["mariadb", "mariadb-dump"]),
    };
    for tool in clients {
        std::os::unix::fs::symlink(source.join(tool), tools.join(tool)).unwrap();
    }
    test.with_tools(tools)
}

/// A login that may make databases and nothing else.
fn limited(server: &Postgres) -> (&'static str, &'static str) {
    server.psql("postgres", "CREATE ROLE probador LOGIN CREATEDB PASSWORD 'p:r\\o'");
    ("probador", "p:r\\o")
}

/// Every database and role of a server.
fn everything_on(server: &Postgres) -> String {
    server.psql(
        "postgres",
        "SELECT 'd', datname FROM pg_database UNION ALL SELECT 'r', rolname FROM pg_roles ORDER BY 1, 2",
    )
}

async fn the_sample_in(format: &str) {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let test = testing_on(EngineKind::Postgres, there.port(), (there.user(), there.password()));
    let name = source.fresh_database("tienda");
    source.psql(
        &name,
        "CREATE ROLE duena_de_otra_casa; CREATE TABLE t (n int); ALTER TABLE t OWNER TO duena_de_otra_casa; \
         INSERT INTO t SELECT generate_series(1, 1000); CREATE VIEW v AS SELECT * FROM t",
    );
    let before = everything_on(&there);
    let database = postgres::register(&test, source, &name, json!({"format": format})).await;
    let backup = test.back_up(&database).await;
    let job = tested(&test, &backup).await;
    let healthy = job.test_restore().unwrap().verdict.clone();
    assert_ok(&healthy.unwrap_or_else(|| panic!("{:?}", job.error)));
    let log = log_of(&test, &job).await;
    assert!(log.contains("loading it into a scratch database on postgres 15"), "{log}");
    assert_eq!(everything_on(&there), before);
    source.psql(&name, "DELETE FROM t WHERE n = 7");
    let poorer = test.back_up(&database).await;
    replace_dump(&test, &backup, &test.opened(&poorer)).await;
    assert_differs_in(&verdict(&test, &backup).await, "public.t");
    assert_eq!(everything_on(&there), before);
    assert!(
        test.jobs().await.iter().all(|job| job.test_restore().is_err() || job.attempts.litter.is_empty())
    );
    test.assert_promises().await;
    source.drop_database(&name);
    source.psql("postgres", "DROP ROLE duena_de_otra_casa");
}

/// Both formats one after the other: they share a role's name.
#[tokio::test]
async fn on_a_configured_postgresql_a_backup_is_ok_and_fails_when_it_misses_one_row() {
    Box::pin(the_sample_in("plain")).await;
    Box::pin(the_sample_in("custom")).await;
}

#[tokio::test]
async fn a_login_that_may_only_make_databases_is_enough_and_what_it_may_not_do_is_no_failure() {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let test = testing_on(EngineKind::Postgres, there.port(), limited(&there));
    let name = source.fresh_database("modesta");
    source.psql(&name, "CREATE TABLE t AS SELECT 1 AS a; GRANT SELECT ON t TO pg_monitor");
    let before = everything_on(&there);
    let database = postgres::register(&test, source, &name, json!({})).await;
    let backup = test.back_up(&database).await;
    assert_ok(&verdict(&test, &backup).await);
    let sql = String::from_utf8(test.opened(&backup)).unwrap();
    for (statement, told) in [
        ("CREATE FUNCTION public.f() RETURNS void LANGUAGE c AS 'x';", "permission denied"),
        ("CREATE POLICY p ON public.t TO nadie_de_aqui;", "nadie_de_aqui"),
    ] {
        let more = sql.replacen("COPY public.t", &format!("{statement}\n\nCOPY public.t"), 1);
        assert_ne!(more, sql);
        replace_dump(&test, &backup, more.as_bytes()).await;
        let job = tested(&test, &backup).await;
        let verdict = job.test_restore().unwrap().verdict.clone().unwrap();
        assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
        assert!(verdict.reason.as_ref().unwrap().contains(told), "{verdict:?}");
    }
    let broken = sql.replacen("CREATE TABLE public.t", "CREATE TABEL public.t", 1);
    replace_dump(&test, &backup, broken.as_bytes()).await;
    assert_eq!(verdict(&test, &backup).await.status, VerificationStatus::Failed);
    assert_eq!(everything_on(&there), before);
    source.drop_database(&name);
}

/// Begins a test restore that sleeps while it loads, and kills it there. Answers the job, and the dump that
/// does not sleep.
async fn crashed(test: &TestApp, backup: &Job, there: &Postgres) -> (Job, String) {
    let sql = String::from_utf8(test.opened(backup)).unwrap();
    let slow = sql.replacen("COPY public.t", "SELECT pg_catalog.pg_sleep(60);\n\nCOPY public.t", 1);
    replace_dump(test, backup, slow.as_bytes()).await;
    let job = verify::request(&test.app, backup.id, false, new_id(test)).await.unwrap();
    let (app, id) = (test.app.clone(), job.id);
    let run = tokio::spawn(async move { jobs::run(&app, id, &Worker::new("doomed")).await });
    for tries in 0.. {
        assert!(tries < 1_000, "it loads");
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        if there.psql("postgres", asleep).trim() == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert!(everything_on(there).contains("respaldo_verify_"), "it was killed in the middle");
    test.clock.advance(LEASE + LEASE);
    (test.job(job.id).await, sql)
}

#[tokio::test]
async fn what_a_crash_leaves_on_the_server_the_next_attempt_or_a_tick_drops() {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let test = testing_on(EngineKind::Postgres, there.port(), limited(&there));
    let name = source.fresh_database("caida");
    source.psql(&name, "CREATE TABLE t AS SELECT 1 AS a");
    let database = postgres::register(&test, source, &name, json!({})).await;
    let backup = test.back_up(&database).await;
    let before = everything_on(&there);

    let (job, sql) = crashed(&test, &backup, &there).await;
    replace_dump(&test, &backup, sql.as_bytes()).await;
    let ended = test.run_to_end(job.id).await;
    assert_ok(ended.test_restore().unwrap().verdict.as_ref().unwrap());
    assert_eq!(everything_on(&there), before, "the next attempt");

    // Here no further attempt comes as far as the server.
    let (job, _) = crashed(&test, &backup, &there).await;
    jobs::cancel(&test.app, job.id).await.unwrap();
    assert_eq!(test.run_to_end(job.id).await.status, Status::Cancelled);
    assert!(everything_on(&there).contains("respaldo_verify_"));
    tick(&test.app).await.unwrap();
    assert_eq!(everything_on(&there), before, "a tick");
    source.drop_database(&name);
}

#[tokio::test]
async fn who_cancels_a_test_restore_in_the_middle_leaves_nothing_on_the_server() {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let test = testing_on(EngineKind::Postgres, there.port(), limited(&there));
    let name = source.fresh_database("parada");
    source.psql(&name, "CREATE TABLE t AS SELECT 1 AS a");
    let database = postgres::register(&test, source, &name, json!({})).await;
    let backup = test.back_up(&database).await;
    let sql = String::from_utf8(test.opened(&backup)).unwrap();
    let slow = sql.replacen("COPY public.t", "SELECT pg_catalog.pg_sleep(60);\n\nCOPY public.t", 1);
    replace_dump(&test, &backup, slow.as_bytes()).await;
    let before = everything_on(&there);
    let job = verify::request(&test.app, backup.id, false, new_id(&test)).await.unwrap();
    let (app, id, worker) = (test.app.clone(), job.id, Arc::new(Worker::new("test")));
    let run = tokio::spawn(async move { jobs::run(&app, id, &worker).await.unwrap() });
    for tries in 0.. {
        assert!(tries < 1_000, "it loads");
        if everything_on(&there).contains("_aside") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    jobs::cancel(&test.app, job.id).await.unwrap();
    run.await.unwrap();
    assert_eq!(test.job(job.id).await.status, Status::Cancelled);
    assert_eq!(everything_on(&there), before);
    source.drop_database(&name);
}

#[tokio::test]
async fn a_server_that_refuses_the_login_or_is_away_is_the_job_s_failure_and_no_verdict() {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let name = source.fresh_database("cerrada");
    source.psql(&name, "CREATE TABLE t AS SELECT 1 AS a");
    let wrong = testing_on(EngineKind::Postgres, there.port(), (there.user(), "a guess"));
    let port = there.port();
    let unset = testing_on(EngineKind::Postgres, port, (there.user(), there.password()));
    let mut limits = (*unset.app.limits).clone();
    limits.test_servers[0].password_var = Some("NOT_SET".to_owned());
    let mut unset = unset;
    unset.app.limits = Arc::new(limits);
    for (test, kind, mend) in [
        (&wrong, ErrorKind::Denied, "check the user name and the password"),
        (&unset, ErrorKind::Config, "set NOT_SET"),
    ] {
        let database = postgres::register(test, source, &name, json!({})).await;
        let backup = test.back_up(&database).await;
        let job = tested(test, &backup).await;
        let error = job.error.clone().unwrap();
        assert_eq!((job.status, error.kind()), (Status::Failed, kind), "{error}");
        assert!(error.mend().unwrap().contains(mend), "{error}");
        assert!(error.to_string().contains("verify.servers"), "{error}");
        assert!(!format!("{error:?}{}", log_of(test, &job).await).contains("a guess"));
        assert_eq!(test.job(backup.id).await.backup().unwrap().verification, None);
    }
    let away = testing_on(EngineKind::Postgres, port, (there.user(), there.password()));
    let database = postgres::register(&away, source, &name, json!({})).await;
    let backup = away.back_up(&database).await;
    there.kill();
    let job = tested(&away, &backup).await;
    let error = job.error.clone().unwrap();
    assert_eq!((job.status, error.kind()), (Status::Failed, ErrorKind::Unavailable), "{error}");
    assert_eq!(job.attempts.failures, job.attempts.most, "it is tried again");
    assert_eq!(away.job(backup.id).await.backup().unwrap().verification, None);
    source.drop_database(&name);
}

#[tokio::test]
async fn a_dump_that_this_installation_did_not_make_is_not_loaded_there() {
    let (source, there) = (Postgres::shared(), Postgres::start(PgVersion::Debian));
    let mut test = testing_on(EngineKind::Postgres, there.port(), limited(&there));
    let name = source.fresh_database("ajena");
    let database = postgres::register(&test, source, &name, json!({})).await;
    let backup = test.back_up(&database).await;
    test.app.key = Arc::new(respaldo_core::keyring::MasterKey::generate([9; 32]));
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    source.drop_database(&name);
}

#[tokio::test]
async fn on_a_configured_mariadb_a_backup_is_ok_and_fails_when_it_misses_one_row() {
    let (source, there) = (Mysql::shared(), Mysql::start());
    let test = testing_on(EngineKind::Mariadb, there.port(), (there.user(), there.password()));
    let everything = || {
        there.sql("mysql", "SELECT schema_name FROM information_schema.schemata ORDER BY 1")
            + &there.sql("mysql", "SELECT user, host FROM mysql.user ORDER BY 1, 2")
    };
    let name = source.fresh_database("tienda");
    source.sample_schema(&name);
    source.sql(&name, "CREATE TABLE cuenta (n INT PRIMARY KEY); INSERT INTO cuenta VALUES (1), (2), (3)");
    let before = everything();
    let database = mariadb::register(&test, source, "mariadb", &name).await;
    let backup = test.back_up(&database).await;
    let job = tested(&test, &backup).await;
    let healthy = job.test_restore().unwrap().verdict.clone();
    assert_ok(&healthy.unwrap_or_else(|| panic!("{:?}", job.error)));
    assert_eq!(everything(), before);
    source.sql(&name, "DELETE FROM cuenta WHERE n = 2");
    let poorer = test.back_up(&database).await;
    replace_dump(&test, &backup, &test.opened(&poorer)).await;
    assert_differs_in(&verdict(&test, &backup).await, "cuenta");
    assert_eq!(everything(), before);

    there.sql("mysql", "SET GLOBAL event_scheduler = ON");
    let job = tested(&test, &backup).await;
    let verdict = job.test_restore().unwrap().verdict.clone().unwrap();
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("event_scheduler = OFF"), "{verdict:?}");
    assert_eq!(everything(), before);
    test.assert_promises().await;
    source.drop_database(&name);
}
