//! Into the target itself.

use respaldo_core::ErrorKind;
use respaldo_core::model::RestoreMode;
use respaldo_testkit::host::{random_hex, unique};
use respaldo_testkit::mysql::{Mysql, quoted};

use crate::support::{Restore, accounts, dump_of, has_database, is_mariadb, observed};

/// Destroys what a sample holds, and leaves things that it did not.
fn ruin(server: &Mysql, db: &str) {
    server.sql(
        db,
        "DROP TABLE numbers; UPDATE big SET filler = 'ruined'; DROP VIEW a_view_of_views, view_1; DROP FUNCTION f_1; DROP EVENT ev;\
         DELETE FROM a_child; CREATE TABLE stray (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES parent (id));\
         CREATE VIEW stray_view AS SELECT 1; CREATE PROCEDURE stray_procedure() SELECT 1;\
         CREATE TRIGGER stray_trigger BEFORE INSERT ON big FOR EACH ROW SET NEW.filler = 'x';\
         CREATE EVENT stray_event ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM big;",
    );
}

async fn comes_back(server: &Mysql) {
    let db = server.fresh_database("ventas");
    server.sample_schema(&db);
    let before = server.dump_normalised(&db);
    let restore = Restore::of(server, &db);
    ruin(server, &db);
    assert_ne!(server.dump_normalised(&db), before);
    let survey = restore.survey().await;
    assert_eq!((survey.modes, survey.refusals), (vec![RestoreMode::InPlace], vec![]));
    assert!(survey.present.target && !survey.present.aside && !survey.in_place_is_atomic);
    assert!(survey.size_bytes.unwrap() > 0);
    let loaded = restore.load().await.unwrap();
    assert_eq!(Some(&loaded.observed.fingerprint), restore.target.dump.fingerprint.as_ref());
    assert_eq!(server.dump_normalised(&db), before);
    assert!(!has_database(server, &restore.target.aside));
    assert_eq!(restore.target.meter.progress().raw_bytes, restore.dump.len() as u64);
}

#[tokio::test]
async fn a_ruined_mariadb_comes_back_as_it_was_and_nothing_stray_stays() {
    comes_back(Mysql::shared()).await;
}

#[tokio::test]
async fn a_ruined_mysql_comes_back_as_it_was_where_mysql_can_be_had() {
    if let Some(server) = Mysql::shared_mysql() {
        comes_back(server).await;
    }
}

#[tokio::test]
async fn a_new_name_gets_a_database_of_its_own_and_its_source_is_left_alone() {
    let server = Mysql::shared();
    let source = server.fresh_database("source");
    server.sample_schema(&source);
    // A routine of another collation is dumped with an ALTER DATABASE that names the source.
    server.sql(&source, &format!("ALTER DATABASE {} COLLATE latin1_swedish_ci", quoted(&source)));
    server.sql(&source, "CREATE PROCEDURE collated() SELECT 1");
    server.sql(&source, &format!("ALTER DATABASE {} COLLATE utf8mb4_bin", quoted(&source)));
    let before = server.dump_normalised(&source);
    let dump = dump_of(server, &source);
    assert!(String::from_utf8_lossy(&dump).contains("ALTER DATABASE"));
    let name = format!("new `x` {}", random_hex(4));
    let restore = Restore::new(server, dump.clone(), &source, &name);
    assert!(!restore.survey().await.present.target);
    server.sql("mysql", &format!("CREATE TABLE {}.canary (a int)", quoted(&source)));
    // The source must not be needed, not even for its name.
    server.drop_database(&source);
    restore.load().await.unwrap();
    server.sql(&name, &format!("ALTER DATABASE {} COLLATE utf8mb4_bin", quoted(&name)));
    let plain = |text: &str, name: &str| text.replace(&quoted(name), "`it`");
    assert_eq!(plain(&server.dump_normalised(&name), &name), plain(&before, &source));
}

#[tokio::test]
async fn databases_of_any_name_are_restored_and_their_grants_stay() {
    let server = Mysql::shared();
    for name in ["--help", "quote'\"s`", "a;b -- c", "東京 ñ", "a\\b", "%68_", "a/b.c"] {
        let name = format!("{name} {}", random_hex(3));
        server.create_database(&name);
        server.sql(&name, "CREATE TABLE `t'\"``\\ x` (a int); INSERT INTO `t'\"``\\ x` VALUES (1), (2)");
        let user = unique("u");
        server.sql("mysql", &format!("CREATE USER {user}; GRANT SELECT ON {}.* TO {user}", quoted(&name)));
        let grants = || server.sql("mysql", &format!("SHOW GRANTS FOR {user}"));
        let (before, granted) = (server.dump_normalised(&name), grants());
        let restore = Restore::of(server, &name);
        server.sql(&name, "DELETE FROM `t'\"``\\ x`");
        restore.load().await.unwrap();
        assert_eq!((server.dump_normalised(&name), grants()), (before, granted), "{name}");
    }
}

#[tokio::test]
async fn a_cut_dump_is_refused_and_the_whole_one_repairs_what_it_left() {
    let server = Mysql::shared();
    let db = server.fresh_database("cut");
    server.sample_schema(&db);
    let before = server.dump_normalised(&db);
    let mut restore = Restore::of(server, &db);
    let whole = restore.dump.clone();
    for share in [3, 2] {
        restore.dump = whole[..whole.len() - whole.len() / share].to_vec();
        assert_eq!(restore.refused().await.kind(), ErrorKind::Incomplete);
    }
    // Whole but for its last line: everything was loaded, and yet nobody may call it restored.
    let end = String::from_utf8_lossy(&whole).rfind("-- Dump completed").unwrap();
    restore.dump = whole[..end].to_vec();
    assert_eq!(restore.refused().await.kind(), ErrorKind::Incomplete);
    restore.dump = whole;
    restore.load().await.unwrap();
    assert_eq!(server.dump_normalised(&db), before);
}

#[tokio::test]
async fn more_bytes_than_the_backup_had_are_refused() {
    let server = Mysql::shared();
    let db = server.fresh_database("longer");
    server.sql(&db, "CREATE TABLE t (a int)");
    let mut restore = Restore::of(server, &db);
    restore.target.dump.raw_bytes -= 1;
    assert_eq!(restore.refused().await.kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_is_told_so_and_a_second_load_repairs_the_target() {
    let server = Mysql::start();
    server.create_database("big");
    server.sql("big", "CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, filler varchar(1000))");
    let rows = "INSERT INTO t (filler) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
                SELECT REPEAT('x', 1000) FROM n;";
    server.sql("big", &rows.repeat(20));
    let restore = Restore::of(&server, "big");
    let meter = std::sync::Arc::clone(&restore.target.meter);
    let load = restore.load();
    let kill = async {
        while meter.progress().raw_bytes < 4 << 20 {
            tokio::task::yield_now().await;
        }
        server.kill();
    };
    let (loaded, ()) = tokio::join!(load, kill);
    let error = loaded.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");

    let again = Mysql::start();
    again.create_database("big");
    again.sql("big", "CREATE TABLE t (half int); CREATE TABLE `left behind` (a int)");
    let second = Restore::new(&again, restore.dump.clone(), "big", "big");
    second.load().await.unwrap();
    assert_eq!(again.sql("big", "SELECT COUNT(*) FROM t"), "18000");
    assert_eq!(again.sql("big", "SHOW TABLES"), "t");
}

#[tokio::test]
async fn a_row_that_the_server_does_not_accept_is_explained_with_the_mend() {
    let server = Mysql::start();
    server.create_database("packet");
    server.sql("packet", "CREATE TABLE t (b longblob); INSERT INTO t VALUES (REPEAT('x', 3000000))");
    let restore = Restore::of(&server, "packet");
    server.sql("mysql", "SET GLOBAL max_allowed_packet = 4194304");
    let error = restore.refused().await;
    assert!(error.mend().unwrap_or_default().contains("max_allowed_packet"), "{error}");
    server.sql("mysql", "SET GLOBAL max_allowed_packet = 16777216");
    restore.load().await.unwrap();
}

/// The account is the server's, so nothing of it may outlive a load that leaves nothing to run as it.
async fn an_upload_comes_back(server: &Mysql) {
    let db = server.fresh_database("upload");
    server.sample_schema(&db);
    let dump = dump_of(server, &db);
    let copy = server.fresh_database("up_load%");
    let restore = Restore::new(server, dump, &db, &copy).untrusted().disowned();
    if !is_mariadb(server) {
        server.sql("mysql", "SET GLOBAL log_bin_trust_function_creators = 1");
    }
    let loaded = restore.load().await.unwrap();
    assert_eq!(observed(&dump_of(server, &copy)).unwrap().fingerprint, loaded.observed.fingerprint);
    assert!(loaded.warnings.iter().any(|line| line.contains("run as the account respaldo_")), "{loaded:?}");
    let account = accounts(server, &copy);
    assert_eq!(account.len(), 1, "{account:?}");
    // They run as the locked account, which can do nothing elsewhere.
    server.sql(&copy, "INSERT INTO empty_one VALUES (70)");
    assert_eq!(server.sql(&copy, "SELECT id FROM empty_one"), "71");
    assert_eq!(server.sql(&copy, "SELECT COUNT(*) > 0 FROM view_1"), "1");
    let definers = format!(
        "SELECT DISTINCT definer FROM information_schema.triggers WHERE trigger_schema = '{copy}' UNION \
         SELECT DISTINCT definer FROM information_schema.views WHERE table_schema = '{copy}' UNION \
         SELECT DISTINCT definer FROM information_schema.routines WHERE routine_schema = '{copy}'"
    );
    assert_eq!(server.sql("mysql", &definers), format!("{}@%", account[0]));
    // The same restore again finds its account.
    restore.load().await.unwrap();
    assert_eq!(accounts(server, &copy), account);
    server.sql("mysql", &format!("DROP USER {}", account[0]));
}

#[tokio::test]
async fn an_upload_to_mariadb_is_loaded_by_an_account_of_its_own_that_is_locked_after_it() {
    an_upload_comes_back(&Mysql::start()).await;
}

#[tokio::test]
async fn an_upload_to_mysql_is_loaded_by_an_account_of_its_own_that_is_locked_after_it() {
    if let Some(server) = Mysql::shared_mysql() {
        an_upload_comes_back(server).await;
    }
}
