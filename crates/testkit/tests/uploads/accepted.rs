//! What is taken, and what becomes of it.

use std::path::Path;

use respaldo_core::ErrorKind;
use respaldo_core::model::{BackupKind, DumpFormat, JobId, Ownership, Status};
use respaldo_core::restore::{self, Wanted};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::run;
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::sqlite;
use serde_json::json;

use crate::support::{
    CLOSED, CUSTOM, MARIADB, MYSQL, PLAIN, in_members, log_of, mongodb, packed, refused, send, send_in,
    unasked,
};

#[tokio::test]
async fn dumps_of_the_real_tools_in_every_packing_become_backups_of_the_same_bytes() {
    let (test, server) = (TestApp::new(), Postgres::shared());
    let source = server.fresh_database("ventas");
    server.sample_schema(&source);
    let dump = |options: &[&str]| {
        let mut dump = server.client("pg_dump", &source);
        dump.args(options);
        run(dump, std::io::empty()).stdout
    };
    let database = unasked(&test, "postgres").await;
    let shapes = [
        (dump(&[]), DumpFormat::Plain),
        (dump(&["-Fc"]), DumpFormat::Custom),
        (dump(&["-Fc", "-Z0"]), DumpFormat::Custom),
    ];
    for (raw, format) in &shapes {
        for file in [
            raw.clone(),
            packed(&["gzip"], raw),
            packed(&["zstd", "-q"], raw),
            packed(&["zstd", "-q", "-19"], raw),
            in_members(&["gzip", "-9"], raw),
            in_members(&["zstd", "-q", "-T2"], raw),
        ] {
            let received = send(&test, &database, &file).await.unwrap();
            let job = &received.job;
            assert_eq!(&test.opened(job), raw);
            let backup = job.backup().unwrap();
            assert_eq!((backup.kind, backup.format), (BackupKind::Uploaded, *format));
            let extension = if *format == DumpFormat::Custom { ".dump.zst" } else { ".sql.zst" };
            assert!(backup.name.as_ref().unwrap().ends_with(extension), "{:?}", backup.name);
            assert!(received.warnings.is_empty());
        }
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn dumps_of_mariadb_s_and_mysql_s_tools_go_into_databases_of_either() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let source = server.fresh_database("ventas");
    server.sample_schema(&source);
    let made = server.dump(&source, &[]);
    for engine in ["mariadb", "mysql"] {
        let database = unasked(&test, engine).await;
        for dump in [made.as_slice(), MARIADB, MYSQL] {
            let received = send(&test, &database, &packed(&["gzip"], dump)).await.unwrap();
            assert_eq!(test.opened(&received.job), dump);
            assert!(!received.job.backup().unwrap().fingerprint.as_ref().unwrap().0.is_empty());
        }
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn an_archive_of_mongodb_goes_into_a_database_of_mongodb_and_is_refused_when_it_is_cut() {
    let test = TestApp::new();
    let database = unasked(&test, "mongodb").await;
    let archive = mongodb();
    for file in [archive.clone(), packed(&["gzip"], &archive), packed(&["zstd", "-q"], &archive)] {
        let received = send(&test, &database, &file).await.unwrap();
        assert_eq!(test.opened(&received.job), archive);
        let backup = received.job.backup().unwrap();
        assert_eq!(backup.fingerprint.as_ref().unwrap().0["orders"].rows, 3);
        assert!(backup.name.as_ref().unwrap().ends_with(".archive.zst"), "{:?}", backup.name);
        assert!(received.warnings.is_empty());
    }
    let cut = refused(&test, &database, &archive[..archive.len() - 1]).await;
    assert_eq!(cut.kind(), ErrorKind::Invalid);
    assert!(cut.message().contains("the archive ends inside a block"), "{cut}");
    let error = refused(&test, &unasked(&test, "postgres").await, &archive).await;
    assert!(
        error.message().contains("an archive of mongodump, and its database is one of postgres"),
        "{error}"
    );
    test.assert_promises().await;
}

#[tokio::test]
async fn what_a_file_is_does_not_depend_on_how_it_is_cut() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    for file in [PLAIN.to_vec(), CUSTOM.to_vec(), CLOSED.to_vec(), packed(&["gzip"], CUSTOM)] {
        let whole = send_in(&test, &database, &file, usize::MAX).await.unwrap().job;
        let cut = send_in(&test, &database, &file, 7).await.unwrap().job;
        assert_eq!(test.opened(&whole), test.opened(&cut));
        let (whole, cut) = (whole.backup().unwrap(), cut.backup().unwrap());
        assert_eq!((whole.format, &whole.fingerprint), (cut.format, &cut.fingerprint));
    }
}

#[tokio::test]
async fn sql_that_no_tool_signed_is_taken_with_the_warning_that_nothing_proves_it_whole() {
    let test = TestApp::new();
    for engine in ["postgres", "mariadb"] {
        let database = unasked(&test, engine).await;
        let sql = "-- made by hand\nCREATE TABLE t (a int);\nINSERT INTO t VALUES (1), (2);\n";
        let received = send(&test, &database, sql.as_bytes()).await.unwrap();
        assert_eq!(received.warnings.len(), 1);
        assert!(log_of(&test, &received.job).await.contains(&received.warnings[0]));
        assert!(received.job.backup().unwrap().fingerprint.as_ref().unwrap().0.is_empty());
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_file_s_name_is_shown_without_its_tricks_and_never_becomes_a_path() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    let request = respaldo_core::upload::Request {
        filename: Some("../../etc/\u{1b}[31mpasswd\n".to_owned()),
        ..crate::support::request(&database)
    };
    let body = futures::stream::iter([Ok(bytes::Bytes::from_static(PLAIN))]);
    let job = Box::pin(respaldo_core::upload::receive(&test.app, request, body)).await.unwrap().job;
    let log = log_of(&test, &job).await;
    assert!(log.contains("../../etc/") && !log.contains('\u{1b}'), "{log}");
    assert!(job.backup().unwrap().name.as_ref().unwrap().starts_with("postgres_shop_"));
    test.assert_promises().await;
}

#[tokio::test]
async fn an_upload_is_encrypted_as_its_database_says() {
    let test = TestApp::new();
    let identity = respaldo_core::seal::Identity::generate();
    let database = test
        .register(json!({
            "name": "sealed", "engine": "postgres", "host": "127.0.0.1", "port": 1, "database_name": "shop",
            "encryption": [identity.recipient().to_string()],
        }))
        .await;
    let job = send(&test, &database, PLAIN).await.unwrap().job;
    assert!(test.stored(&job).starts_with(b"age-encryption.org/"));
    assert!(job.backup().unwrap().name.as_ref().unwrap().ends_with(".sql.gz.age"));
    test.assert_promises().await;
}

#[tokio::test]
async fn an_uploaded_sqlite_file_is_restored_to_a_new_path() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let (source, target) = (test.folder().join("brought.db"), test.folder().join("restored.db"));
    sqlite::sample(&source);
    sqlite::open(&source)
        .execute_batch(
            "PRAGMA journal_mode = DELETE; CREATE TABLE brought (a); INSERT INTO brought VALUES (42);",
        )
        .unwrap();
    let job = send(&test, &database, &packed(&["gzip"], &std::fs::read(&source).unwrap())).await.unwrap().job;
    assert!(job.backup().unwrap().name.as_ref().unwrap().ends_with(".db.gz"));
    restored_to(&test, job.id, &target).await;
    assert_eq!(sqlite::dump(&target), sqlite::dump(&source));
    test.assert_promises().await;
}

async fn restored_to(test: &TestApp, backup: JobId, target: &Path) {
    let request = restore::Request {
        backup,
        target: Some(Wanted::Name(target.to_string_lossy().into_owned())),
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    };
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let job = Box::pin(restore::request(&test.app, &request, id)).await.unwrap();
    let ended = Box::pin(test.run_to_end(job.id)).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
}

#[tokio::test]
async fn an_upload_counts_neither_as_a_backup_of_the_database_nor_as_its_newest_good_one() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let file = std::fs::read(&database.settings.database_name).unwrap();
    let before = test.catalog.database(database.id).await.unwrap().unwrap().history;
    let job = send(&test, &database, &file).await.unwrap().job;
    let after = test.catalog.database(database.id).await.unwrap().unwrap().history;
    assert_eq!((&before.ended, &before.last_success), (&after.ended, &after.last_success));
    let plan = respaldo_core::model::Outline::of(&job).unwrap();
    assert!(!plan.is_good());
    test.assert_promises().await;
}
