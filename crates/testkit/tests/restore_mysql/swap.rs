//! Beside the target, and into its place by renaming.

use respaldo_core::ErrorKind;
use respaldo_core::engine::mysql::Mysql as Engine;
use respaldo_core::engine::{Restorer, WasSwapped};
use respaldo_core::model::RestoreMode;
use respaldo_testkit::mysql::Mysql;

use crate::support::{Restore, dump_of, has_database, is_mariadb};

const PLAIN: &str = "
    CREATE TABLE a (id int PRIMARY KEY, b int, made int AS (id + 1) STORED);
    CREATE TABLE b (id int PRIMARY KEY, a int);
    ALTER TABLE a ADD CONSTRAINT fa FOREIGN KEY (b) REFERENCES b (id);
    ALTER TABLE b ADD CONSTRAINT fb FOREIGN KEY (a) REFERENCES a (id);
    CREATE TABLE tree (id int PRIMARY KEY, parent int, CONSTRAINT ft FOREIGN KEY (parent) REFERENCES tree (id));
    CREATE TABLE leaf (id int PRIMARY KEY, a int, CONSTRAINT fl FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE);
    CREATE TABLE `we``ird; x` (t text, FULLTEXT KEY (t)) ENGINE=MyISAM;
    INSERT INTO a (id) VALUES (1); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1;
    INSERT INTO tree VALUES (1, NULL), (2, 1); INSERT INTO leaf VALUES (1, 1);
    INSERT INTO `we``ird; x` VALUES ('one');";

fn plain(server: &Mysql) -> String {
    let db = server.fresh_database("swapped");
    server.sql(&db, PLAIN);
    if is_mariadb(server) {
        server.sql(&db, "CREATE SEQUENCE seq START 5; SELECT NEXTVAL(seq) INTO @x");
    }
    db
}

/// Changes what a restore shall bring back.
fn change(server: &Mysql, db: &str) {
    server.sql(
        db,
        "DELETE FROM leaf; INSERT INTO tree VALUES (3, 2); DROP TABLE `we``ird; x`;\
         CREATE TABLE newer (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES a (id)); INSERT INTO newer VALUES (1);",
    );
}

/// Where foreign keys of a database lead.
fn references(server: &Mysql, db: &str) -> String {
    server.sql(
        "mysql",
        &format!(
            "SELECT DISTINCT referenced_table_schema = '{db}' FROM information_schema.key_column_usage \
             WHERE table_schema = '{db}' AND referenced_table_name IS NOT NULL"
        ),
    )
}

async fn is_swapped_and_back(server: &Mysql) {
    let db = plain(server);
    let old = server.dump_normalised(&db);
    let mut restore = Restore::of(server, &db).by_swap();
    change(server, &db);
    let new = server.dump_normalised(&db);
    let survey = restore.survey().await;
    assert_eq!((survey.modes, survey.refusals), (vec![RestoreMode::InPlace, RestoreMode::Swap], vec![]));
    assert!(Engine.keeps());

    restore.load().await.unwrap();
    assert_eq!(server.dump_normalised(&db), new, "the target is not touched by a load aside");
    assert!(restore.survey().await.present.aside);
    // A load that is taken over begins again.
    restore.load().await.unwrap();
    assert_eq!(restore.was_swapped().await, WasSwapped::No);
    restore.swap().await.unwrap();
    assert_eq!(server.dump_normalised(&db), old);
    let kept = restore.target.kept.clone();
    let count = server.sql("mysql", &format!("SELECT COUNT(*) FROM {kept}.newer"));
    assert_eq!((count.as_str(), has_database(server, &restore.target.aside)), ("1", false));
    assert_eq!((references(server, &db), references(server, &kept)), ("1".to_owned(), "1".to_owned()));
    server.sql(&db, "INSERT INTO leaf VALUES (2, 1); DELETE FROM leaf WHERE id = 2");
    restore.swap().await.unwrap();
    assert_eq!(server.dump_normalised(&db), old, "a swap that was done is left as it is");

    assert_eq!(restore.was_swapped().await, WasSwapped::Yes);

    for held in [new, old.clone()] {
        restore.swap_back().await.unwrap();
        let kept = &restore.target.kept;
        for _ in 0..2 {
            assert_eq!(server.dump_normalised(&db), held);
            assert_eq!((references(server, &db), references(server, kept)), ("1".to_owned(), "1".to_owned()));
            assert_eq!(restore.was_swapped().await, WasSwapped::Yes);
            restore.swap().await.unwrap();
        }
    }
    let kept = restore.target.kept.clone();
    restore.drop_kept().await;
    restore.drop_kept().await;
    restore.drop_aside().await;
    assert!(!has_database(server, &kept) && has_database(server, &db));
    assert_eq!(server.dump_normalised(&db), old);
}

#[tokio::test]
async fn a_mariadb_is_swapped_and_back_and_its_foreign_keys_lead_to_its_own_tables() {
    is_swapped_and_back(Mysql::shared()).await;
}

#[tokio::test]
async fn a_mysql_is_swapped_and_back_and_its_foreign_keys_lead_to_its_own_tables() {
    if let Some(server) = Mysql::shared_mysql() {
        is_swapped_and_back(server).await;
    }
}

#[tokio::test]
async fn a_swap_into_a_new_name_makes_it() {
    let server = Mysql::shared();
    let db = plain(server);
    let name = format!("{db}_new");
    let mut restore = Restore::new(server, dump_of(server, &db), &db, &name).by_swap();
    restore.target.replaces = false;
    restore.load().await.unwrap();
    // As a try left it that died behind its first order.
    server.create_database(&name);
    restore.swap().await.unwrap();
    assert_eq!(server.dump_normalised(&name), server.dump_normalised(&db));
    assert!(!has_database(server, &restore.target.kept));
    restore.swap().await.unwrap();
    assert_eq!(server.dump_normalised(&name), server.dump_normalised(&db));
}

/// What a server leaves that stops between two of the statement's renames, as those before MariaDB 10.6 and
/// MySQL 8 may: simulated by renaming so far by hand.
#[tokio::test]
async fn a_swap_that_stopped_at_any_rename_is_finished_by_its_next_try() {
    let server = Mysql::shared();
    let tables = ["a", "b", "tree", "leaf", "we``ird; x", "seq"];
    for stop in 0..=12 {
        let db = plain(server);
        let restore = Restore::of(server, &db).by_swap();
        restore.load().await.unwrap();
        let (aside, kept) = (&restore.target.aside, &restore.target.kept);
        server.sql(&db, "INSERT INTO tree VALUES (3, 2)");
        let mark = "COMMENT='Respaldo: marks a swap that was done; holds nothing'";
        server.sql(
            "mysql",
            &format!("CREATE DATABASE {kept}; CREATE TABLE {aside}.{aside} (nothing int) {mark}"),
        );
        let out = tables.iter().map(|table| format!("RENAME TABLE {db}.`{table}` TO {kept}.`{table}`;"));
        let marked = std::iter::once(format!("RENAME TABLE {aside}.{aside} TO {kept}.{aside};"));
        let back = tables.iter().map(|table| format!("RENAME TABLE {aside}.`{table}` TO {db}.`{table}`;"));
        let renames: Vec<String> = out.chain(marked).chain(back).collect();
        server.sql("mysql", &renames[..stop].concat());
        restore.swap().await.unwrap();
        let rows = |db: &str| server.sql("mysql", &format!("SELECT COUNT(*) FROM {db}.tree"));
        assert_eq!((rows(&db), rows(kept)), ("2".to_owned(), "3".to_owned()), "stopped after {stop}");
        assert_eq!(server.sql(&db, "SHOW TABLES").lines().count(), tables.len());
        assert!(!has_database(server, aside));
        restore.drop_kept().await;
        server.drop_database(&db);
    }
}

#[tokio::test]
async fn what_cannot_be_moved_is_found_before_or_after_the_load_and_nothing_is_changed() {
    let server = Mysql::shared();
    let db = plain(server);
    for (make, undo) in [
        ("CREATE VIEW v AS SELECT 1", "DROP VIEW v"),
        ("CREATE PROCEDURE p() SELECT 1", "DROP PROCEDURE p"),
        ("CREATE TRIGGER tr BEFORE INSERT ON a FOR EACH ROW SET NEW.b = NULL", "DROP TRIGGER tr"),
        ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM a", "DROP EVENT e"),
    ] {
        server.sql(&db, make);
        let restore = Restore::of(server, &db).by_swap();
        let survey = restore.survey().await;
        assert_eq!(survey.modes, [RestoreMode::InPlace]);
        assert!(
            survey.refusals[0].reason.contains("a swap is not possible: the target holds 1 "),
            "{survey:?}"
        );
        server.sql(&db, undo);
        let survey = restore.survey().await;
        assert_eq!((survey.modes.len(), survey.refusals.len()), (2, 0), "{make}");
        assert!(survey.warnings[0].contains("that shows after it was loaded aside"), "{survey:?}");
        let before = server.dump_normalised(&db);
        let error = restore.refused().await;
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert_eq!(error.mend(), Some("restore with mode in_place"));
        assert_eq!(server.dump_normalised(&db), before);
        assert!(!has_database(server, &restore.target.aside));
    }
}

#[tokio::test]
async fn a_target_that_other_databases_refer_to_is_restored_in_place_only() {
    let server = Mysql::shared();
    let (db, other) = (plain(server), server.fresh_database("other"));
    server.sql(
        &other,
        &format!("CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES {db}.a (id)); INSERT INTO t VALUES (1)"),
    );
    let restore = Restore::of(server, &db).by_swap();
    let survey = restore.survey().await;
    assert_eq!(survey.modes, [RestoreMode::InPlace]);
    assert!(survey.refusals[0].reason.contains(&format!("{other}.t")), "{survey:?}");
    let before = server.dump_normalised(&db);
    let restore = Restore::of(server, &db);
    restore.load().await.unwrap();
    assert_eq!(server.dump_normalised(&db), before);
    let refused = server.sql("mysql", &format!("SELECT COUNT(*) FROM {other}.t JOIN {db}.a ON t.a = a.id"));
    assert_eq!(refused, "1");
}

/// What the driver of a restore does when it takes over a job whose journal says `swapping`.
async fn take_over(restore: &Restore) -> respaldo_core::Result<()> {
    if restore.was_swapped().await == WasSwapped::Yes {
        return Ok(());
    }
    restore.load().await?;
    restore.swap().await
}

/// The worker died behind the exchange and before the emptied database was dropped: simulated by making that
/// one again.
#[tokio::test]
async fn a_swap_whose_worker_died_before_the_last_drop_is_taken_over() {
    let server = Mysql::shared();
    let db = plain(server);
    let restore = Restore::of(server, &db).by_swap();
    restore.load().await.unwrap();
    server.sql(&db, "INSERT INTO tree VALUES (3, 2)");
    restore.swap().await.unwrap();
    server.create_database(&restore.target.aside);
    take_over(&restore).await.unwrap();
    let rows = |db: &str| server.sql("mysql", &format!("SELECT COUNT(*) FROM {db}.tree"));
    assert_eq!((rows(&db), rows(&restore.target.kept)), ("2".to_owned(), "3".to_owned()));
    assert_eq!(restore.was_swapped().await, WasSwapped::Yes);
}
