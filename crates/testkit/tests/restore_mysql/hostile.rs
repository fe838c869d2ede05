//! Dumps that somebody made up.

use respaldo_core::ErrorKind;
use respaldo_testkit::host::unique;
use respaldo_testkit::mysql::{Mysql, quoted};

use crate::support::{Restore, accounts, dump_of};

/// A whole dump with something between its last table and its end.
fn laced(server: &Mysql, db: &str, with: &str) -> Vec<u8> {
    let dump = String::from_utf8(dump_of(server, db)).unwrap();
    let at = dump.rfind("/*!40101 SET SQL_MODE=@OLD_SQL_MODE").unwrap();
    format!("{}{with}\n{}", &dump[..at], &dump[at..]).into_bytes()
}

fn sample(server: &Mysql) -> (String, String) {
    let (db, other) = (server.fresh_database("victim"), server.fresh_database("other"));
    server.sql(&db, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    server.sql(&other, "CREATE TABLE canary (a int); INSERT INTO canary VALUES (7)");
    (db, other)
}

#[tokio::test]
async fn what_no_dump_tool_writes_is_refused_and_touches_neither_other_databases_nor_files() {
    let server = Mysql::shared();
    let (db, other) = sample(server);
    let files = tempfile::TempDir::new().unwrap();
    std::fs::set_permissions(files.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let file = files.path().join("canary");
    let path = file.display();
    for with in [
        format!("\\! touch {path}"),
        format!("system touch {path}"),
        format!("source {path}"),
        format!("\\. {path}"),
        format!("tee {path}\nSELECT 1;"),
        format!("pager touch {path}\nSELECT 1;"),
        format!("\\T {path}\nSELECT 1;"),
        format!("/*!M999999\\- */;\n\\! touch {path}\n"),
        format!("SELECT 1 INTO OUTFILE '{path}';"),
        format!("/*!50000 SELECT 1 INTO OUTFILE '{path}' */;"),
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;".to_owned(),
        format!("USE {other};\nDELETE FROM canary;"),
        format!("use {other}\nDELETE FROM canary;"),
        format!("DELETE FROM {other}.canary;"),
        format!("DROP DATABASE {other};"),
        format!("CREATE DATABASE {other}_2;"),
        format!("DELIMITER $$\nDROP DATABASE {other}$$\nDELIMITER ;"),
        format!("DELIMITER ;;\nDROP DATABASE {other};;\nDELIMITER ;"),
        format!("INSERT INTO `t` VALUES (1 /* ' */);\nDROP DATABASE {other};\n-- ' \n"),
        format!("INSERT INTO `t` VALUES ((SELECT COUNT(*) FROM {other}.canary));"),
        format!("INSERT INTO `t` VALUES (2 -- '\n);DROP DATABASE {other};-- '\n);"),
        "GRANT ALL ON *.* TO nobody_x IDENTIFIED BY 'x';".to_owned(),
        "CREATE USER nobody_x;".to_owned(),
        "SET GLOBAL max_connections = 1;".to_owned(),
        "SET PASSWORD = PASSWORD('x');".to_owned(),
        "CREATE DEFINER=`root`@`127.0.0.1` PROCEDURE p() SELECT 1;".to_owned(),
        format!("CREATE TABLE {other}.made (a int);"),
    ] {
        let restore = Restore::new(server, laced(server, &db, &with), &db, &db).untrusted();
        let error = restore.refused().await;
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Incomplete), "{with}: {error}");
        assert!(!file.exists(), "{with}");
        assert_eq!(server.sql(&other, "SELECT a FROM canary"), "7", "{with}");
        assert_eq!(server.sql(&other, "SHOW TABLES"), "canary", "{with}");
        server.sql(&db, "DROP TABLE IF EXISTS t; CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    }
}

/// What hides from a filter: the account that loads may not do it either.
async fn what_passes_reaches_nothing(server: &Mysql) {
    let (db, other) = sample(server);
    let name = quoted(&other);
    let version = if server.bin_dir().join("mariadb-dump").exists() { "/*!50000" } else { "/*!80000" };
    for with in [
        // Some comments are code, some are not: taken both ways it is harmless, mixed it is not.
        format!(
            "/*!99999 CREATE TABLE x (a int) */ {version} DROP */ /*!99999 ; */ {version} TABLE {name}.canary */;"
        ),
        format!("CREATE TABLE copied AS SELECT * FROM {name}.canary;"),
        format!("CREATE VIEW seen AS SELECT * FROM {name}.canary;"),
        format!(
            "CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW DELETE FROM {name}.canary;\nINSERT INTO `t` VALUES (5);"
        ),
    ] {
        let restore = Restore::new(server, laced(server, &db, &with), &db, &db).untrusted();
        let error = restore.refused().await;
        assert_eq!(server.sql(&other, "SELECT a FROM canary"), "7", "{with}");
        assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::Invalid), "{with}: {error}");
        server.sql("mysql", &format!("DROP DATABASE {db}; CREATE DATABASE {db}"));
        server.sql(&db, "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
    }
    // A body may name what it likes; it runs as the account, whoever calls it.
    let with =
        format!("DELIMITER ;;\nCREATE PROCEDURE `p`() BEGIN DELETE FROM {name}.canary; END ;;\nDELIMITER ;");
    let restore = Restore::new(server, laced(server, &db, &with), &db, &db).untrusted().disowned();
    restore.load().await.unwrap();
    let mut call = server.client("mariadb");
    call.args([format!("--database={db}"), "--execute=CALL p()".to_owned()]);
    let output = call.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("denied to user 'respaldo_"), "{output:?}");
    assert_eq!(server.sql(&other, "SELECT a FROM canary"), "7");
}

#[tokio::test]
async fn what_a_filter_lets_through_to_mariadb_reaches_nothing_beyond_the_target() {
    what_passes_reaches_nothing(Mysql::shared()).await;
}

#[tokio::test]
async fn what_a_filter_lets_through_to_mysql_reaches_nothing_beyond_the_target() {
    if let Some(server) = Mysql::shared_mysql() {
        server.sql("mysql", "SET GLOBAL log_bin_trust_function_creators = 1");
        what_passes_reaches_nothing(server).await;
    }
}

#[tokio::test]
async fn an_upload_needs_a_user_who_can_make_accounts_or_has_the_target_alone() {
    let server = Mysql::start();
    let (db, other) = sample(&server);
    let (user, on, elsewhere) = (unique("u"), quoted(&db), quoted(&other));
    let sql = |sql: String| server.sql("mysql", &sql);
    sql(format!(
        "CREATE USER {user} IDENTIFIED BY 'x'; GRANT ALL ON {on}.* TO {user}; GRANT SELECT ON {elsewhere}.* TO {user}"
    ));
    let restore = Restore::of(&server, &db).by_user(&user, "x").untrusted();
    let survey = restore.survey().await;
    assert!(
        survey.refusals.iter().any(|refusal| refusal.mend.starts_with("GRANT CREATE USER")),
        "{survey:?}"
    );
    assert_eq!(restore.refused().await.kind(), ErrorKind::Denied);
    assert_eq!(server.sql(&db, "SELECT a FROM t"), "1", "nothing was touched");

    sql(format!("REVOKE SELECT ON {elsewhere}.* FROM {user}"));
    // A name in a grant is a pattern: `_` stands for any character.
    assert!(!restore.survey().await.refusals.is_empty());
    sql(format!("REVOKE ALL ON {on}.* FROM {user}; GRANT ALL ON {}.* TO {user}", on.replace('_', "\\_")));
    assert_eq!(restore.survey().await.refusals, []);
    restore.load().await.unwrap();

    sql(format!("GRANT SELECT ON {elsewhere}.* TO {user}; GRANT CREATE USER ON *.* TO {user}"));
    sql(format!("GRANT ALL ON {}.* TO {user} WITH GRANT OPTION", on.replace('_', "\\_")));
    assert_eq!(restore.survey().await.refusals, []);
    restore.load().await.unwrap();
    assert_eq!(accounts(&server, &db), [""; 0], "nothing runs as it, so it is dropped");
    assert_eq!(server.sql(&db, "SELECT a FROM t"), "1");
}

#[tokio::test]
async fn an_upload_is_swapped_in_and_its_account_is_gone() {
    let server = Mysql::start();
    let (db, _) = sample(&server);
    let restore = Restore::of(&server, &db).untrusted().by_swap();
    server.sql(&db, "DELETE FROM t");
    restore.load().await.unwrap();
    assert_eq!(accounts(&server, &restore.target.aside), [""; 0]);
    restore.swap().await.unwrap();
    assert_eq!(server.sql(&db, "SELECT a FROM t"), "1");
    let failing =
        Restore::new(&server, laced(&server, &db, "CREATE USER x;"), &db, &db).untrusted().by_swap();
    failing.refused().await;
    assert_eq!(accounts(&server, &failing.target.aside), [""; 0], "a load that failed leaves none");
    failing.drop_aside().await;
    assert_eq!(accounts(&server, &failing.target.aside), [""; 0]);
}

#[tokio::test]
async fn a_scratch_server_takes_an_upload_without_whom_its_objects_ran_as() {
    let server = Mysql::start();
    server.create_database("source");
    server.sample_schema("source");
    let mut restore = Restore::new(&server, dump_of(&server, "source"), "source", "scratch").untrusted();
    assert_eq!(restore.refused().await.kind(), ErrorKind::Invalid);
    restore.target.scratch = true;
    let loaded = restore.load().await.unwrap();
    assert_eq!(Some(loaded.observed.fingerprint), restore.target.dump.fingerprint);
    let definers = "SELECT DISTINCT definer LIKE 'respaldo\\_%' FROM information_schema.triggers";
    assert_eq!(server.sql("mysql", &format!("{definers} WHERE trigger_schema = 'scratch'")), "1");
}

#[tokio::test]
async fn no_password_shows_in_what_a_restore_says() {
    let server = Mysql::shared();
    let (db, _) = sample(server);
    let restore = Restore::new(server, laced(server, &db, "CREATE TABLE t (a int);"), &db, &db).untrusted();
    let error = restore.refused().await;
    assert!(error.message().contains("already exists"), "{error}");
    let log = restore.log();
    assert!(!log.contains(server.password()) && !error.to_string().contains(server.password()), "{log}");
}
