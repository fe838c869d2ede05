//! PostgreSQL: tested on a private server.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::jobs::{self, Worker};
use respaldo_core::model::{Database, Status, VerificationStatus};
use respaldo_core::ports::SecretString;
use respaldo_core::verify;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{eventually, is_alive};
use respaldo_testkit::postgres::{Postgres, quoted};
use serde_json::{Value, json};

use super::support::{assert_differs_in, assert_ok, log_of, new_id, replace_dump, tested, verdict};

/// An installation whose staging a server's own user reaches.
pub(crate) fn reachable() -> TestApp {
    let test = TestApp::new();
    std::fs::set_permissions(test.folder(), std::fs::Permissions::from_mode(0o711)).unwrap();
    test
}

pub(crate) async fn register(test: &TestApp, server: &Postgres, database: &str, more: Value) -> Database {
    let mut fields = json!({
        "name": "tienda", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": database,
    });
    let Value::Object(more) = more else { panic!("fields are an object") };
    fields.as_object_mut().unwrap().extend(more);
    let Value::Object(fields) = fields else { unreachable!() };
    let login = Login {
        username: Some(server.user().to_owned()),
        password: Some(SecretString::from(server.password().to_owned())),
    };
    databases::register(&test.app, Registration { fields, login: Some(login), uid: None }).await.unwrap()
}

/// Healthy, the sample is ok; without one row it fails and names the table.
async fn the_sample_in(format: &str) {
    let (test, server) = (reachable(), Postgres::shared());
    let source = server.fresh_database("tienda");
    server.sample_schema(&source);
    let database = register(&test, server, &source, json!({"format": format})).await;
    let backup = test.back_up(&database).await;
    let job = tested(&test, &backup).await;
    let healthy = job.test_restore().unwrap().verdict.clone();
    assert_ok(&healthy.unwrap_or_else(|| panic!("{:?}", job.error)));
    let log = log_of(&test, &job).await;
    assert!(log.contains("loading it into a scratch database on postgres (PostgreSQL)"), "{log}");
    server.psql(&source, "DELETE FROM ONLY app.big WHERE ctid = (SELECT min(ctid) FROM app.big)");
    let poorer = test.back_up(&database).await;
    replace_dump(&test, &backup, &test.opened(&poorer)).await;
    assert_differs_in(&verdict(&test, &backup).await, "app.big");
    test.assert_promises().await;
    server.drop_database(&source);
}

#[tokio::test]
async fn a_plain_backup_is_ok_and_fails_when_it_misses_one_row() {
    Box::pin(the_sample_in("plain")).await;
}

#[tokio::test]
async fn a_custom_backup_is_ok_and_fails_when_it_misses_one_row() {
    Box::pin(the_sample_in("custom")).await;
}

#[tokio::test]
async fn a_database_in_another_encoding_is_ok() {
    let (test, server) = (reachable(), Postgres::shared());
    for (encoding, text) in [("LATIN1", "E'caf\\351'"), ("SQL_ASCII", "E'\\351\\377'")] {
        let source = respaldo_testkit::host::unique("codificada");
        server.psql(
            "postgres",
            &format!(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'",
                quoted(&source)
            ),
        );
        server.psql(
            &source,
            &format!("SET client_encoding = '{encoding}'; CREATE TABLE t AS SELECT {text} AS a"),
        );
        for format in ["plain", "custom"] {
            let database = register(&test, server, &source, json!({"format": format})).await;
            let backup = test.back_up(&database).await;
            assert_ok(&verdict(&test, &backup).await);
        }
        server.drop_database(&source);
    }
}

#[tokio::test]
async fn a_statement_that_no_server_takes_fails_with_what_the_server_says() {
    let (test, server) = (reachable(), Postgres::shared());
    let source = server.fresh_database("rota");
    server.psql(&source, "CREATE TABLE t AS SELECT 1 AS a");
    let database = register(&test, server, &source, json!({})).await;
    let backup = test.back_up(&database).await;
    let sql = String::from_utf8(test.opened(&backup)).unwrap();
    let broken = sql.replacen("CREATE TABLE public.t", "CREATE TABEL public.t", 1);
    assert_ne!(sql, broken);
    replace_dump(&test, &backup, broken.as_bytes()).await;
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::Failed, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("TABEL"), "{verdict:?}");
    server.drop_database(&source);
}

#[tokio::test]
async fn a_missing_extension_is_no_verdict_about_the_backup() {
    let (test, server) = (reachable(), Postgres::shared());
    let source = server.fresh_database("mapas");
    server.psql(&source, "CREATE TABLE t AS SELECT 1 AS a");
    let database = register(&test, server, &source, json!({})).await;
    let backup = test.back_up(&database).await;
    let sql = String::from_utf8(test.opened(&backup)).unwrap();
    let needs = "CREATE EXTENSION postgis_of_nowhere;\n\nCREATE TABLE public.t";
    replace_dump(&test, &backup, sql.replacen("CREATE TABLE public.t", needs, 1).as_bytes()).await;
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("postgis_of_nowhere"), "{verdict:?}");
    server.drop_database(&source);
}

/// The scratch server's own process, once it is ready.
async fn server_of(test: &TestApp) -> u32 {
    for _ in 0..1_500 {
        for entry in std::fs::read_dir(&test.app.limits.staging).into_iter().flatten() {
            let status = entry.unwrap().path().join("server/data/postmaster.pid");
            let text = std::fs::read_to_string(status).unwrap_or_default();
            if text.lines().any(|line| line.trim() == "ready") {
                return text.lines().next().unwrap().trim().parse().unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no scratch server has become ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_or_cancels_a_test_restore_in_the_middle_leaves_no_server_and_no_folder() {
    let (test, server) = (reachable(), Postgres::shared());
    let source = server.fresh_database("lenta");
    server.psql(&source, "CREATE TABLE t AS SELECT 1 AS a");
    let database = register(&test, server, &source, json!({})).await;
    let backup = test.back_up(&database).await;
    let sql = String::from_utf8(test.opened(&backup)).unwrap();
    let slow = "SELECT pg_catalog.pg_sleep(60);\n\nCREATE TABLE public.t";
    replace_dump(&test, &backup, sql.replacen("CREATE TABLE public.t", slow, 1).as_bytes()).await;
    let job = verify::request(&test.app, backup.id, false, new_id(&test)).await.unwrap();
    for cancels in [false, true] {
        let worker = Arc::new(Worker::new("test"));
        let (app, working, id) = (test.app.clone(), Arc::clone(&worker), job.id);
        let run = tokio::spawn(async move { jobs::run(&app, id, &working).await.unwrap() });
        let scratch = server_of(&test).await;
        if cancels {
            jobs::cancel(&test.app, job.id).await.unwrap();
        } else {
            worker.stop();
        }
        run.await.unwrap();
        let stopped = if cancels { Status::Cancelled } else { Status::Queued };
        assert_eq!(test.job(job.id).await.status, stopped);
        eventually("the scratch server is gone", Duration::from_secs(15), || !is_alive(scratch));
        test.clock.advance(SignedDuration::from_mins(5));
        test.assert_promises().await;
    }
    assert_eq!(test.job(backup.id).await.backup().unwrap().verification, None);
    server.drop_database(&source);
}

#[tokio::test]
async fn without_a_server_on_this_machine_it_is_not_verified_and_the_reason_tells_the_package() {
    let mut test = reachable();
    let server = Postgres::shared();
    let source = server.fresh_database("sola");
    let database = register(&test, server, &source, json!({})).await;
    let backup = test.back_up(&database).await;
    // The clients are there, the server is not.
    let tools = test.folder().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for tool in ["psql", "pg_dump", "pg_restore"] {
        std::os::unix::fs::symlink(server.bin_dir().join(tool), tools.join(tool)).unwrap();
    }
    test = test.with_tools(tools);
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("apt-get install postgresql-15"), "{verdict:?}");
    server.drop_database(&source);
}

#[tokio::test]
async fn a_dump_that_this_installation_did_not_make_is_not_run_as_a_superuser() {
    let mut test = reachable();
    let server = Postgres::shared();
    let source = server.fresh_database("ajena");
    let database = register(&test, server, &source, json!({})).await;
    let backup = test.back_up(&database).await;
    test.app.key = std::sync::Arc::new(respaldo_core::keyring::MasterKey::generate([9; 32]));
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("superuser"), "{verdict:?}");
    server.drop_database(&source);
}
