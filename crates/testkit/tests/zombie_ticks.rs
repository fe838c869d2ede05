//! Ticks that were stopped in the middle and go on when their slot's backup has been made and deleted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::model::{Database, Status};
use respaldo_core::tick::tick;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;
use serde_json::json;

/// A database whose first slot has just come.
async fn due(test: &TestApp) -> Database {
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "d", "engine": "sqlite", "database_name": path, "schedule": "@daily"});
    let database = test.register(fields).await;
    let slot = database.next_due_at.unwrap();
    test.clock.advance(slot.duration_since(test.app.now()) + SignedDuration::from_secs(1));
    database
}

/// A tick is stopped before its `step`th call; meanwhile the slot is backed up and the backup deleted;
/// then the tick goes on, and with `dies` it ends for good behind that call. False when the tick makes
/// fewer calls.
async fn stopped_at(step: usize, dies: bool) -> bool {
    let test = TestApp::new();
    due(&test).await;
    let (app, plan) = test.another_process();
    plan.freeze_at(step);
    if dies {
        plan.fail_at(step, FaultMode::CrashAfter);
    }
    let sleeper = tokio::spawn(async move { tick(&app).await });
    while plan.frozen() == 0 && !sleeper.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    if plan.frozen() == 0 {
        return false;
    }
    tick(&test.app).await.unwrap();
    let [job] = &test.jobs().await[..] else { panic!("step {step}: one backup") };
    let ended = test.run_to_end(job.id).await;
    assert_eq!(ended.status, Status::Succeeded, "step {step}: {:?}", ended.error);
    assert!(backup::delete(&test.app, job.id).await.unwrap(), "step {step}: it is deleted");
    plan.thaw();
    // What it could not do was told; what counts is what is there.
    let _outcome = sleeper.await.unwrap();
    // An old ring is delivered late, and a tick rings for whatever waits.
    test.run(job.id).await.unwrap();
    test.clock.advance(SignedDuration::from_mins(5));
    tick(&test.app).await.unwrap();
    for job in test.jobs().await {
        test.run(job.id).await.unwrap();
    }
    assert_eq!(test.jobs().await, [], "step {step}, dies: {dies}");
    test.assert_promises().await;
    true
}

#[tokio::test]
async fn a_tick_that_wakes_after_its_slots_backup_was_deleted_makes_no_second_one() {
    let mut step = 1;
    while stopped_at(step, false).await {
        step += 1;
    }
    assert!(step > 6, "a tick makes more than {step} calls");
}

#[tokio::test]
async fn a_tick_that_wakes_late_and_dies_at_any_call_makes_no_second_backup() {
    let mut step = 1;
    while stopped_at(step, true).await {
        step += 1;
    }
    assert!(step > 6, "a tick makes more than {step} calls");
}
