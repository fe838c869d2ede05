//! What is backed up comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::model::Status;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, eventually, random_hex, run, unique};
use respaldo_testkit::mysql::Mysql;
use serde_json::json;

use crate::support::{artifact, log_of, login, probe, register, register_as};

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
    assert_eq!(again.backup().unwrap().fingerprint, job.backup().unwrap().fingerprint);
    let rows = job.backup().unwrap().fingerprint.as_ref().unwrap();
    assert!(rows.rows() > 10_000, "{rows:?}");
    assert_eq!((rows.0["empty_one"].rows, rows.0["big"].rows, rows.0["bytes"].rows), (0, 10_000, 259));
    // Rows in another order have the same fingerprint; one row fewer has another.
    server.sql(
        &copy,
        "CREATE TABLE r (id int, filler varchar(200)); INSERT INTO r SELECT * FROM big ORDER BY id DESC",
    );
    server.sql(&copy, "DROP TABLE big; RENAME TABLE r TO big");
    assert_eq!(test.back_up(&copied).await.backup().unwrap().fingerprint, job.backup().unwrap().fingerprint);
    server.sql(&copy, "DELETE FROM big WHERE id = 77");
    assert_ne!(test.back_up(&copied).await.backup().unwrap().fingerprint, job.backup().unwrap().fingerprint);
}

#[tokio::test]
async fn a_mariadb_backup_loads_with_gunzip_and_mariadb_into_an_equal_database() {
    Box::pin(comes_back_whole(Mysql::shared(), "mariadb")).await;
}

#[tokio::test]
async fn a_mysql_backup_loads_with_gunzip_and_mysql_into_an_equal_database_where_mysql_can_be_had() {
    if let Some(server) = Mysql::shared_mysql() {
        Box::pin(comes_back_whole(server, "mysql")).await;
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
        assert_eq!(job.backup().unwrap().fingerprint.as_ref().unwrap().rows(), 2, "{name}");
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
        let tables = &job.backup().unwrap().fingerprint.as_ref().unwrap().0;
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

#[tokio::test]
async fn a_routine_may_hold_what_only_a_server_s_mode_explains() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("modes");
    server.sql(
        &name,
        "DELIMITER ;;\nSET sql_mode = 'ANSI_QUOTES';;\n\
         CREATE PROCEDURE p_1() SELECT 1 AS \"a\\\", 'it''s';;\n\
         SET sql_mode = DEFAULT;;\nCREATE PROCEDURE p_2() SELECT \\N;;\nDELIMITER ;\nCREATE TABLE t (a int);",
    );
    let job = test.back_up(&register(&test, server, &name, json!({})).await).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(job.backup().unwrap().fingerprint.as_ref().unwrap().0.len(), 1);
}
