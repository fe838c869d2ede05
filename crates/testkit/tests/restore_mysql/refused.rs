//! What is found before anything is touched.

use std::sync::Arc;
use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::engine::Toolbox;
use respaldo_testkit::host::{eventually, unique};
use respaldo_testkit::mysql::{Mysql, quoted};

use crate::support::{Restore, dump_of};

fn small(server: &Mysql) -> String {
    let db = server.fresh_database("small");
    server.sql(&db, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    db
}

#[tokio::test]
async fn a_dump_of_the_other_family_is_refused_unless_forced() {
    let Some(mysql) = Mysql::shared_mysql() else { return };
    let mariadb = Mysql::shared();
    for (from, to, name) in [(mariadb, mysql, "MariaDB"), (mysql, mariadb, "MySQL")] {
        let source = small(from);
        let into = to.fresh_database("from_the_other");
        let restore = Restore::new(to, dump_of(from, &source), &source, &into);
        let survey = restore.survey().await;
        assert_eq!(survey.refusals.len(), 1, "{survey:?}");
        assert!(survey.refusals[0].forceable);
        assert!(survey.refusals[0].reason.starts_with(&format!("the dump comes from {name}")), "{survey:?}");
    }
    // What the two have in common goes over by force.
    let source = small(mariadb);
    let into = mysql.fresh_database("forced");
    let restore = Restore::new(mysql, dump_of(mariadb, &source), &source, &into);
    restore.load().await.unwrap();
    assert_eq!(mysql.sql(&into, "SELECT a FROM t"), "1");
}

#[tokio::test]
async fn a_newer_server_s_dump_and_chosen_tables_and_the_server_s_own_databases_are_refused() {
    let server = Mysql::shared();
    let db = small(server);
    let mut restore = Restore::of(server, &db);
    restore.target.dump.server_version = Some("99.1.2-MariaDB".to_owned());
    let survey = restore.survey().await;
    assert!(survey.refusals[0].forceable && survey.refusals[0].reason.contains("newer"), "{survey:?}");
    let mut restore = Restore::of(server, &db);
    restore.target.options.tables = vec!["t".to_owned()];
    assert!(!restore.survey().await.refusals[0].forceable);
    assert_eq!(restore.refused().await.field(), Some("tables"));
    for name in ["mysql", "Sys", "INFORMATION_SCHEMA"] {
        let restore = Restore::new(server, dump_of(server, &db), &db, name);
        assert_eq!(restore.refused().await.kind(), ErrorKind::Invalid, "{name}");
    }
    assert_eq!(server.sql(&db, "SELECT a FROM t"), "1");
}

#[tokio::test]
async fn the_other_family_s_client_alone_is_refused_with_what_to_install() {
    let Some(mysql) = Mysql::shared_mysql() else { return };
    let db = small(mysql);
    let mut restore = Restore::of(mysql, &db);
    restore.target.at.toolbox = Arc::new(Toolbox::new([Mysql::shared().bin_dir().to_owned()]));
    let survey = restore.survey().await;
    assert!(survey.refusals[0].mend.contains("mysql-client"), "{survey:?}");
    assert_eq!(restore.refused().await.kind(), ErrorKind::Tool);
    assert_eq!(mysql.sql(&db, "SELECT a FROM t"), "1");
}

#[tokio::test]
async fn a_user_who_lacks_privileges_is_told_which() {
    let server = Mysql::shared();
    let (db, user) = (small(server), unique("u"));
    let (on, sql) = (quoted(&db), |sql: &str| server.sql("mysql", sql));
    sql(&format!("CREATE USER {user} IDENTIFIED BY 'x'; GRANT SELECT, INSERT ON {on}.* TO {user}"));
    let restore = Restore::of(server, &db).by_user(&user, "x");
    let survey = restore.survey().await;
    let reason = &survey.refusals[0].reason;
    assert_eq!(
        *reason,
        format!("the user lacks CREATE, DROP, ALTER, INDEX, LOCK TABLES, REFERENCES on {db}")
    );
    sql(&format!("GRANT ALL ON {on}.* TO {user}"));
    let survey = restore.survey().await;
    assert!(survey.refusals.is_empty(), "{survey:?}");
    assert!(survey.warnings.iter().any(|line| line.contains("run as another account")), "{survey:?}");
    let swap = Restore::of(server, &db).by_user(&user, "x").by_swap();
    assert!(swap.survey().await.refusals[0].reason.contains("may not make the databases"));
    restore.load().await.unwrap();
    sql(&format!("CREATE VIEW {on}.v AS SELECT 1"));
    let restore = Restore::of(server, &db).by_user(&user, "x");
    let error = restore.refused().await;
    assert!(error.mend().unwrap().contains("ownership none"), "{error}");
    restore.disowned().load().await.unwrap();
    assert_eq!(server.sql(&db, "SELECT * FROM v"), "1");
}

#[tokio::test]
async fn who_is_connected_is_listed_and_a_table_in_use_is_told_or_freed_by_force() {
    let server = Arc::new(Mysql::start());
    server.create_database("busy");
    server.sql("busy", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    let mut restore = Restore::of(&server, "busy").by_swap();
    restore.load().await.unwrap();
    let holding = Arc::clone(&server);
    let holder = std::thread::spawn(move || {
        let mut client = holding.client("mariadb");
        client.args(["--database=busy", "--execute", "BEGIN; SELECT * FROM t; SELECT SLEEP(600)"]);
        client.output().unwrap().status.success()
    });
    eventually("it holds the table", Duration::from_secs(10), || {
        let sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
        server.sql("mysql", sql) == "1"
    });
    let survey = restore.survey().await;
    assert_eq!(survey.connections.len(), 1, "{survey:?}");
    assert!(survey.connections[0].contains("root@127.0.0.1"), "{survey:?}");
    restore.target.options.force = true;
    restore.swap().await.unwrap();
    assert!(!holder.join().unwrap(), "its connection was ended");
    assert_eq!(server.sql("busy", "SELECT a FROM t"), "1");
}
