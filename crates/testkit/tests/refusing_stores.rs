//! A store that lets nothing be deleted (an object lock, a key that may only write), or nothing be written,
//! holds up nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use jiff::SignedDuration;
use respaldo_core::model::{JobId, Status};
use respaldo_core::ports::Event;
use respaldo_core::tick::tick;
use respaldo_core::{App, backup};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;
use serde_json::json;

/// As many as a tick looks at.
const DENIED: usize = 1_000;

fn failures(test: &TestApp) -> usize {
    test.events.all().iter().filter(|event| matches!(event, Event::TickFailed(_))).count()
}

#[tokio::test]
async fn a_thousand_deletions_that_the_store_denies_keep_no_backup_from_its_turn() {
    let test = TestApp::in_memory();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let database = test.register(json!({"name": "d", "engine": "sqlite", "database_name": path})).await;
    let waiting = backup::request(&test.app, database.id, None).await.unwrap();
    for _ in 0..DENIED {
        let mut job = waiting.clone();
        job.id = JobId(test.app.ids.ulid(test.app.now()));
        job.created_at = waiting.created_at - SignedDuration::from_hours(24);
        job.status = Status::Deleting;
        job.attempts.current = 1;
        assert!(test.catalog.create_job(&job).await.unwrap());
    }
    let (elsewhere, store) = test.another_process();
    store.fail_at(0, FaultMode::CrashAfter);
    let app = App { storage: elsewhere.storage, ..test.app.clone() };
    test.clock.advance(SignedDuration::from_mins(2));
    let first = tick(&app).await.unwrap();
    let second = tick(&app).await.unwrap();
    assert_eq!(first.rung + second.rung, 1, "the backup that waits has its turn");
    assert_eq!(failures(&test), DENIED, "each denial is told once a minute, not at every tick");
    // When the store allows it, they go.
    test.clock.advance(SignedDuration::from_mins(2));
    let (third, fourth) = (tick(&test.app).await.unwrap(), tick(&test.app).await.unwrap());
    assert_eq!(third.deleted + fourth.deleted, DENIED);
}

#[tokio::test]
async fn a_thousand_definitions_that_the_store_refuses_keep_no_schedule_from_its_turn() {
    let test = TestApp::in_memory();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields =
        |schedule| json!({"name": "d", "engine": "sqlite", "database_name": path, "schedule": schedule});
    for _ in 0..DENIED {
        let mut database = test.register(fields(None)).await;
        database.definition_stale = true;
        test.catalog.update_database(&database).await.unwrap();
    }
    test.register(fields(Some("@hourly"))).await;
    let (elsewhere, store) = test.another_process();
    store.fail_at(0, FaultMode::CrashAfter);
    let app = App { storage: elsewhere.storage, ..test.app.clone() };
    test.clock.advance(SignedDuration::from_hours(1));
    let (first, second) = (tick(&app).await.unwrap(), tick(&app).await.unwrap());
    assert_eq!(
        (first.due + second.due, failures(&test)),
        (1, DENIED),
        "told once a minute, not at every tick"
    );
    test.clock.advance(SignedDuration::from_mins(2));
    // Two, because the next hour may have come, and its backup with it.
    let (third, fourth) = (tick(&test.app).await.unwrap(), tick(&test.app).await.unwrap());
    assert_eq!(third.defined + fourth.defined, DENIED, "and written when the store takes them");
}
