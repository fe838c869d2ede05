//! What a dump holds, and what ends it.

use std::time::Duration;

use bson::rawdoc;
use respaldo_core::ErrorKind;
use respaldo_core::model::Consistency;
use respaldo_testkit::not_mongod::{Fault, NotMongod, When};

use crate::support::{At, Restore, index, observed, shop};

#[tokio::test]
async fn what_the_engine_observed_is_what_its_bytes_hold() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let at = At::new(&server, "shop");
    let (bytes, seen) = at.dump().await.unwrap();
    let mut again = observed(&bytes).unwrap();
    again.consistency = Some(Consistency::PerCollection);
    assert_eq!(seen, again);
    let rows: Vec<(&str, u64)> = seen.fingerprint.0.iter().map(|(name, t)| (name.as_str(), t.rows)).collect();
    assert_eq!(rows, [("customers", 40), ("orders", 250)]);
    assert_eq!(seen.server_version.as_deref(), Some("7.0.14"));
    assert!(at.log().contains("built-in dump"));
    assert_eq!(server.open_cursors(), 0);
}

#[tokio::test]
async fn chosen_collections_are_dumped_and_no_other() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let chosen = At::new(&server, "shop").with(|settings| settings.collections = vec!["orders".to_owned()]);
    let (_, seen) = chosen.dump().await.unwrap();
    assert_eq!(seen.fingerprint.0.keys().collect::<Vec<_>>(), ["orders"]);
    let gone = At::new(&server, "shop").with(|settings| settings.collections = vec!["ordres".to_owned()]);
    for error in [gone.dump().await.unwrap_err(), gone.probe().await.unwrap_err()] {
        assert_eq!((error.kind(), error.field()), (ErrorKind::NotFound, Some("collections")), "{error}");
        assert!(error.message().contains("ordres"), "{error}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_lost_in_the_middle_fails_the_dump_and_it_is_tried_again() {
    let faults = [
        Fault::error(43, "CursorNotFound"),
        Fault::error(237, "CursorKilled"),
        Fault::error(175, "QueryPlanKilled"),
        Fault::Close,
        Fault::LoseReply,
        Fault::CutReply,
        Fault::Die,
        Fault::DieAfter,
        Fault::LieAboutLength(7),
        Fault::HugeLength,
    ];
    for fault in faults {
        let server = NotMongod::start();
        let long = "x".repeat(60_000);
        server.load("shop", "orders", (0..400).map(|n| rawdoc! { "_id": n, "text": long.as_str() }));
        server.fail(When::nth("getMore", 3).on("shop.orders"), fault.clone());
        let at = At::new(&server, "shop");
        let error = tokio::time::timeout(Duration::from_mins(1), at.dump()).await.unwrap().unwrap_err();
        assert!(error.is_retryable(), "{fault:?}: {error}");
        assert!(error.operation().contains("read orders"), "{fault:?}: {error}");
        assert!(error.mend().is_some(), "{fault:?}: {error}");
        assert!(server.count("getMore") >= 3, "{fault:?}");
    }
}

#[tokio::test]
async fn a_collection_that_is_renamed_meanwhile_is_no_silent_gap() {
    let server = NotMongod::start();
    shop(&server, "shop");
    server.fail(When::every("find").on("shop.orders").times(1), Fault::Slow(Duration::from_millis(800)));
    let at = At::new(&server, "shop");
    let renaming = async {
        while server.count_on("find", "shop.customers") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Behind the cursor that has read it: the name is gone at the end, the collection is not.
        server.run("admin", &rawdoc! { "renameCollection": "shop.customers", "to": "shop.people" });
    };
    let (dumped, ()) = tokio::join!(at.dump(), renaming);
    let error = dumped.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Conflict, true), "{error}");
    assert!(error.message().contains("customers was renamed to people"), "{error}");
}

#[tokio::test]
async fn a_member_of_a_replica_set_is_dumped_as_of_one_time() {
    let server = NotMongod::builder().replica_set("rs0").start();
    shop(&server, "shop");
    let (_, seen) = At::new(&server, "shop").dump().await.unwrap();
    assert_eq!(seen.consistency, Some(Consistency::Snapshot));
    let old = NotMongod::builder().replica_set("rs0").version(4, 4, 29).start();
    shop(&old, "shop");
    let (_, seen) = At::new(&old, "shop").dump().await.unwrap();
    assert_eq!(seen.consistency, Some(Consistency::PerCollection));
}

#[tokio::test]
async fn what_is_written_during_a_snapshot_dump_is_not_in_it() {
    let server = NotMongod::builder().replica_set("rs0").start();
    shop(&server, "shop");
    server.fail(When::every("find").on("shop.orders").times(1), Fault::Slow(Duration::from_millis(500)));
    let at = At::new(&server, "shop");
    let writing = async {
        // It is asked for, and answered later than this: the snapshot is that of the collections before it.
        while server.count_on("find", "shop.orders") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.load("shop", "orders", [rawdoc! { "_id": "late" }]);
    };
    let (dumped, ()) = tokio::join!(at.dump(), writing);
    let (_, seen) = dumped.unwrap();
    assert_eq!(seen.consistency, Some(Consistency::Snapshot));
    assert_eq!(seen.fingerprint.0["orders"].rows, 250);
}

#[tokio::test]
async fn a_server_that_refuses_snapshots_is_dumped_without_and_the_result_says_so() {
    let server = NotMongod::builder().replica_set("rs0").start();
    shop(&server, "shop");
    server.fail(When::nth("find", 1), Fault::error(246, "SnapshotUnavailable"));
    let at = At::new(&server, "shop");
    let (_, seen) = at.dump().await.unwrap();
    assert_eq!(seen.consistency, Some(Consistency::PerCollection));
    assert!(at.log().contains("no snapshot"));
    assert_eq!(seen.fingerprint.rows(), 290);
}

#[tokio::test]
async fn a_snapshot_that_grows_too_old_fails_the_attempt_and_the_next_one_does_without() {
    let server = NotMongod::builder().replica_set("rs0").start();
    let long = "x".repeat(60_000);
    server.load("shop", "orders", (0..200).map(|n| rawdoc! { "_id": n, "text": long.as_str() }));
    server.fail(When::nth("getMore", 2), Fault::error(239, "SnapshotTooOld"));
    let error = At::new(&server, "shop").dump().await.unwrap_err();
    assert!(error.is_retryable() && error.mend().unwrap().contains("minSnapshotHistory"), "{error}");
    server.fail(When::nth("getMore", 2), Fault::Slow(Duration::from_millis(1)));
    let (_, seen) = At::new(&server, "shop").again().dump().await.unwrap();
    assert_eq!(seen.consistency, Some(Consistency::PerCollection));
}

#[tokio::test]
async fn an_empty_database_is_dumped_and_restored() {
    let server = NotMongod::start();
    let (bytes, seen) = At::new(&server, "nothing").dump().await.unwrap();
    assert!(seen.fingerprint.0.is_empty());
    shop(&server, "shop");
    let restore = Restore::new(At::new(&server, "shop"), bytes);
    restore.load().await.unwrap();
    assert!(server.snapshot("shop").0.is_empty());
}

/// What a restore is just loading belongs to no dump.
#[tokio::test]
async fn collections_that_a_restore_is_loading_are_left_out() {
    let server = NotMongod::start();
    shop(&server, "shop");
    server.load("shop", "respaldo_loading_00000000.orders", [rawdoc! { "_id": 1 }]);
    index(&server, "shop", "respaldo_loading_00000000.orders", rawdoc! { "key": { "a": 1 }, "name": "a" });
    let (_, seen) = At::new(&server, "shop").dump().await.unwrap();
    assert_eq!(seen.fingerprint.0.keys().collect::<Vec<_>>(), ["customers", "orders"]);
}

#[tokio::test]
async fn servers_that_know_no_hello_are_dumped_and_restored() {
    for (major, minor, patch) in [(4, 4, 1), (4, 4, 2)] {
        let server = NotMongod::builder().version(major, minor, patch).start();
        shop(&server, "shop");
        let before = server.snapshot("shop");
        let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
        Restore::new(At::new(&server, "shop"), bytes).load().await.unwrap();
        assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    }
}
