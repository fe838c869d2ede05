//! Promise 5, as far as this version goes: each due time has one outcome, however many ticks see it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use respaldo_core::databases;
use respaldo_core::model::{BackupKind, Database, Job, Status};
use respaldo_core::tick::tick;
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

async fn hourly(test: &TestApp) -> Database {
    let path = test.folder().join("sample.db");
    if !path.exists() {
        respaldo_testkit::sqlite::sample(&path);
    }
    test.register(json!({"name": "hourly", "engine": "sqlite", "database_name": path, "schedule": "@hourly"}))
        .await
}

fn by_slot(jobs: &[Job]) -> BTreeMap<Timestamp, Vec<&Job>> {
    let mut slots: BTreeMap<Timestamp, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        slots
            .entry(job.backup().unwrap().slot.expect("a scheduled backup has a slot"))
            .or_default()
            .push(job);
    }
    slots
}

#[tokio::test]
async fn nothing_is_due_before_its_time_and_then_once() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    tick(&test.app).await.unwrap();
    assert_eq!(test.jobs().await, []);
    test.clock.advance(SignedDuration::from_hours(1));
    for _ in 0..3 {
        tick(&test.app).await.unwrap();
    }
    let [job] = &test.jobs().await[..] else { panic!("one backup") };
    assert_eq!(
        (job.backup().unwrap().kind, job.backup().unwrap().slot),
        (BackupKind::Scheduled, database.next_due_at)
    );
    let job = test.run_to_end(job.id).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ticks_at_once_give_each_slot_one_outcome() {
    let test = TestApp::new();
    for _ in 0..20 {
        hourly(&test).await;
    }
    for _ in 0..5 {
        test.clock.advance(SignedDuration::from_hours(1));
        let ticks = (0..8).map(|_| {
            let app = test.app.clone();
            tokio::spawn(async move { tick(&app).await })
        });
        for ticked in ticks.collect::<Vec<_>>() {
            ticked.await.unwrap().unwrap();
        }
    }
    let jobs = test.jobs().await;
    assert_eq!(jobs.len(), 20 * 5);
    for (slot, jobs) in by_slot(&jobs) {
        assert_eq!(jobs.len(), 20, "{slot}");
    }
}

#[tokio::test]
async fn after_a_downtime_the_newest_slot_is_backed_up_and_the_older_are_recorded_as_missed() {
    let test = TestApp::new();
    hourly(&test).await;
    test.clock.advance(SignedDuration::from_hours(5));
    tick(&test.app).await.unwrap();
    let jobs = test.jobs().await;
    assert_eq!(jobs.len(), 5);
    assert_eq!(jobs[0].status, Status::Queued);
    for missed in &jobs[1..] {
        assert_eq!(missed.status, Status::Skipped);
        assert!(missed.error.as_ref().unwrap().message().contains("missed"));
    }
}

#[tokio::test]
async fn a_downtime_of_more_slots_than_one_tick_takes_leaves_none_without_an_outcome() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    test.register(json!({"name": "m", "engine": "sqlite", "database_name": path, "schedule": "* * * * *"}))
        .await;
    test.clock.advance(SignedDuration::from_mins(2_500));
    for _ in 0..3 {
        tick(&test.app).await.unwrap();
    }
    let totals = test.catalog.totals(None).await.unwrap().by_status;
    assert_eq!(totals.get("queued"), Some(&1), "{totals:?}");
    // One more may have come while this ran.
    let skipped = totals["skipped"];
    assert!((2_499..=2_500).contains(&skipped), "{totals:?}");
}

#[tokio::test]
async fn a_slot_that_meets_its_predecessor_is_skipped_with_the_reason() {
    let test = TestApp::new();
    hourly(&test).await;
    test.clock.advance(SignedDuration::from_hours(1));
    tick(&test.app).await.unwrap();
    let first = test.jobs().await[0].clone();
    test.clock.advance(SignedDuration::from_hours(1));
    tick(&test.app).await.unwrap();
    let second = test.jobs().await[0].clone();
    assert_eq!(second.status, Status::Skipped);
    assert!(second.error.as_ref().unwrap().message().contains(&first.id.to_string()));
}

#[tokio::test]
async fn a_changed_schedule_counts_from_the_change_and_a_disabled_database_rests() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    let change = async |fields: Value| {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let change = databases::Change { fields, ..Default::default() };
        databases::change(&test.app, database.id, change).await.unwrap()
    };
    let changed = change(json!({"schedule": "*/10 * * * *"})).await;
    assert!(changed.next_due_at <= database.next_due_at);
    let disabled = change(json!({"enabled": false})).await;
    assert_eq!(disabled.attention_at(), None);
    test.clock.advance(SignedDuration::from_hours(5));
    tick(&test.app).await.unwrap();
    assert_eq!(test.jobs().await, []);
    // Enabled again, what passed meanwhile is not caught up.
    let enabled = change(json!({"enabled": true})).await;
    assert!(enabled.next_due_at.unwrap() > enabled.updated_at);
    tick(&test.app).await.unwrap();
    assert_eq!(test.jobs().await, []);
}

#[tokio::test]
async fn a_database_that_is_held_back_has_its_slots_skipped_and_keeps_no_other_from_its_turn() {
    let test = TestApp::new();
    hourly(&test).await;
    let config =
        "databases:\n  - {id: m, name: M, engine: neo4j, host: h, database_name: d, schedule: '@hourly'}\n";
    let config = respaldo_core::config::Config::parse(config).unwrap();
    respaldo_core::config::apply(&test.app, &config).await.unwrap();
    test.clock.advance(SignedDuration::from_hours(1));
    tick(&test.app).await.unwrap();
    let jobs = test.jobs().await;
    let of = |status| jobs.iter().filter(|job| job.status == status).count();
    assert_eq!((of(Status::Queued), of(Status::Skipped)), (1, 1));
    let skipped = jobs.iter().find(|job| job.status == Status::Skipped).unwrap();
    assert!(skipped.error.as_ref().unwrap().message().contains("held back"));
}
