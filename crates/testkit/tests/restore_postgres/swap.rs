//! Names are exchanged in one step, whoever is connected, and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use respaldo_core::ErrorKind;
use respaldo_core::engine::WasSwapped;
use respaldo_core::model::{DumpFormat, RestoreMode};
use respaldo_testkit::host::{eventually, unique};
use respaldo_testkit::postgres::Postgres;

use super::support::{Restore, dump, exists, failed, refusal, restore};

/// A database whose rows say `old`, and a restore that brings `new`.
fn old_and_new(server: &Postgres) -> (String, Restore) {
    let database = server.fresh_database("swapped");
    server.psql(&database, "CREATE TABLE t (a text); INSERT INTO t VALUES ('new')");
    let bytes = dump(server, &database, DumpFormat::Plain);
    server.psql(&database, "UPDATE t SET a = 'old'");
    let restore = restore(server, &database, &bytes, RestoreMode::Swap);
    (database, restore)
}

fn row(server: &Postgres, database: &str) -> String {
    server.psql(database, "SELECT a FROM t")
}

#[tokio::test]
async fn a_swap_that_is_done_again_changes_nothing_and_its_leftovers_can_be_dropped() {
    let server = Postgres::shared();
    let (database, restore) = old_and_new(server);
    restore.load().await.unwrap();
    assert_eq!(row(server, &database), "old", "loading does not touch the target");
    restore.load().await.unwrap();
    for _ in 0..2 {
        restore.swap().await.unwrap();
        assert_eq!(row(server, &database), "new");
        assert_eq!(row(server, &restore.target.kept), "old");
    }
    let survey = restore.survey().await;
    assert!(survey.present.kept && survey.present.target && !survey.present.aside);
    for _ in 0..2 {
        restore.drop_kept().await.unwrap();
        restore.drop_aside().await.unwrap();
    }
    assert!(exists(server, &database) && !exists(server, &restore.target.kept));
}

#[tokio::test]
async fn a_swap_is_undone_by_a_swap_with_what_was_kept() {
    let server = Postgres::shared();
    let (database, mut restore) = old_and_new(server);
    assert_eq!(restore.was_swapped().await, WasSwapped::No);
    restore.load().await.unwrap();
    assert_eq!(restore.was_swapped().await, WasSwapped::No);
    restore.swap().await.unwrap();
    assert_eq!(restore.was_swapped().await, WasSwapped::Yes);
    let target = &mut restore.target;
    (target.aside, target.kept) = (target.kept.clone(), unique("undone"));
    assert_eq!(restore.was_swapped().await, WasSwapped::No);
    for _ in 0..2 {
        restore.swap().await.unwrap();
        assert_eq!(row(server, &database), "old");
        assert_eq!(row(server, &restore.target.kept), "new");
        assert_eq!(restore.was_swapped().await, WasSwapped::Yes);
    }
}

#[tokio::test]
async fn a_swap_without_anything_aside_is_refused() {
    let server = Postgres::shared();
    let (database, restore) = old_and_new(server);
    let error = failed(restore.swap().await);
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("no database"), "{error}");
    assert_eq!(row(server, &database), "old");
}

#[tokio::test]
async fn who_is_connected_is_in_the_way_of_a_swap_and_is_named() {
    let server = Postgres::shared();
    let (database, mut restore) = old_and_new(server);
    let mut client = server
        .client("psql", &database)
        .env("PGAPPNAME", "the shop")
        .args(["-X", "-c", "SELECT pg_sleep(600)"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let connected = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
    eventually("the client is there", Duration::from_secs(10), || server.psql("postgres", &connected) == "1");
    let survey = restore.survey().await;
    assert!(survey.connections.len() == 1 && survey.connections[0].contains("\"the shop\""), "{survey:?}");
    let in_use = refusal(&survey, "in use by pid");
    assert!(in_use.forceable && in_use.reason.contains("the shop"), "{in_use:?}");

    restore.load().await.unwrap();
    let error = failed(restore.swap().await);
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("the shop"), "{error}");
    assert!(error.mend().unwrap().contains("force"), "{error}");
    assert_eq!(server.psql("postgres", &connected), "1");
    assert!(exists(server, &restore.target.aside) && !exists(server, &restore.target.kept));

    restore.target.options.force = true;
    restore.swap().await.unwrap();
    assert_eq!(row(server, &database), "new");
    assert!(!client.wait().unwrap().success(), "its connection was ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reconnects_at_once_cannot_keep_a_forced_swap_out() {
    let server = Postgres::shared();
    let (database, mut restore) = old_and_new(server);
    restore.load().await.unwrap();
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    thread::scope(|scope| {
        for _ in 0..3 {
            let (stop, seen, database) = (Arc::clone(&stop), Arc::clone(&seen), database.clone());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut client = server.client("psql", &database);
                    client.args([
                        "-X",
                        "-q",
                        "-A",
                        "-t",
                        "-c",
                        "SELECT a FROM t",
                        "-c",
                        "SELECT pg_sleep(600)",
                    ]);
                    client.stderr(std::process::Stdio::null());
                    let mut child = client.stdout(std::process::Stdio::null()).spawn().unwrap();
                    seen.fetch_add(1, Ordering::Relaxed);
                    while !stop.load(Ordering::Relaxed) && child.try_wait().unwrap().is_none() {
                        thread::sleep(Duration::from_millis(2));
                    }
                    child.kill().ok();
                    child.wait().unwrap();
                }
            });
        }
        let sleeping = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE '%600)'"
        );
        eventually("the clients are there", Duration::from_secs(20), || {
            server.psql("postgres", &sleeping) == "3"
        });
        restore.target.options.force = true;
        let runtime = tokio::runtime::Handle::current();
        let swapped = tokio::task::block_in_place(|| runtime.block_on(restore.swap()));
        stop.store(true, Ordering::Relaxed);
        swapped.unwrap();
    });
    assert!(seen.load(Ordering::Relaxed) >= 3);
    assert_eq!(row(server, &database), "new");
    assert_eq!(row(server, &restore.target.kept), "old");
}

#[tokio::test]
async fn a_swap_does_not_take_the_place_of_what_somebody_else_calls_so() {
    let server = Postgres::shared();
    let (database, restore) = old_and_new(server);
    server.create_database(&restore.target.kept);
    restore.load().await.unwrap();
    let error = failed(restore.swap().await);
    assert!(error.kind() == ErrorKind::Conflict && error.message().contains("already"), "{error}");
    assert_eq!(row(server, &database), "old");
}
