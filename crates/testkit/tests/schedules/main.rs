//! Promise 5 against everything that goes wrong with time: late, doubled and simultaneous ticks, clocks
//! that jump, zones that change their rules, schedules that people change, and a thousand due at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod any_ticks;
mod changes;
mod clocks;
mod crowds;
mod every_change;
mod jitter;

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_core::ports::NewDatabase;
use respaldo_core::schedule::Due;
use respaldo_core::tick::{Ticked, tick};
use respaldo_core::{App, Result, databases, jobs};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::cron::{Crontab, LocalTime};
use respaldo_testkit::faults::{Call, FaultPlan};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A scheduler in a process of its own.
struct Scheduler {
    app: App,
    plan: FaultPlan,
}

impl Scheduler {
    fn of(test: &TestApp) -> Self {
        let (app, plan) = test.another_process();
        Self { app, plan }
    }

    /// Begins a tick, and answers when it has ended or waits before its `n`th call.
    async fn tick_until(&self, n: usize) -> JoinHandle<Result<Ticked>> {
        self.plan.reset();
        self.plan.freeze_at(n);
        let app = self.app.clone();
        let ticking = tokio::spawn(async move { tick(&app).await });
        while self.plan.frozen() == 0 && !ticking.is_finished() {
            tokio::task::yield_now().await;
        }
        ticking
    }

    async fn finish(&self, ticking: JoinHandle<Result<Ticked>>) {
        self.plan.thaw();
        ticking.await.unwrap().unwrap();
    }
}

/// Two schedulers tick at once: the first is stopped before its `n`th call, the second before its `m`th;
/// then the first goes on, then the second.
async fn tick_both([first, second]: &[Scheduler; 2], n: usize, m: usize) {
    let begun = first.tick_until(n).await;
    let other = second.tick_until(m).await;
    first.finish(begun).await;
    second.finish(other).await;
}

async fn scheduled(test: &TestApp, schedule: &str, zone: &str) -> Database {
    let path = test.folder().join("sample.db");
    test.register(json!({
        "name": "d", "engine": "sqlite", "database_name": path, "schedule": schedule, "timezone": zone,
    }))
    .await
}

async fn change(app: &App, database: &Database, fields: Value) -> Database {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    databases::change(app, database.id, databases::Change { fields, ..Default::default() }).await.unwrap()
}

async fn current(test: &TestApp, database: &Database) -> Database {
    databases::get(&test.app, database.id).await.unwrap()
}

/// The jobs of each slot; one each, or this panics.
fn outcomes(jobs: Vec<Job>) -> BTreeMap<Timestamp, Job> {
    let mut slots = BTreeMap::new();
    for job in jobs {
        let slot = job.backup().unwrap().slot.expect("a scheduled backup has a slot");
        assert_eq!(job.id, JobId::for_slot(job.owner().unwrap().uid, slot));
        if let Some(other) = slots.insert(slot, job) {
            panic!("two outcomes of {slot}: {other:?}");
        }
    }
    slots
}

/// Ends what waits, as a worker would that is quick.
async fn end_waiting(test: &TestApp) {
    for job in test.jobs().await {
        if job.status == Status::Queued {
            jobs::cancel(&test.app, job.id).await.unwrap();
        }
    }
}

async fn statuses(test: &TestApp) -> Vec<(String, Status)> {
    let outcomes = outcomes(test.jobs().await);
    outcomes.into_iter().map(|(slot, job)| (slot.to_string(), job.status)).collect()
}

#[tokio::test]
async fn two_schedulers_stopped_before_any_of_their_calls_give_a_slot_one_outcome() {
    for n in 1..14 {
        for m in 1..14 {
            let test = TestApp::in_memory();
            test.clock.stop_at(at("2026-05-01T00:30:00Z"));
            scheduled(&test, "@hourly", "UTC").await;
            test.clock.stop_at(at("2026-05-01T02:00:00Z"));
            tick_both(&[Scheduler::of(&test), Scheduler::of(&test)], n, m).await;
            let expected =
                [("2026-05-01T01:00:00Z", Status::Skipped), ("2026-05-01T02:00:00Z", Status::Queued)];
            assert_eq!(
                statuses(&test).await,
                expected.map(|(slot, status)| (slot.to_owned(), status)),
                "{n} {m}"
            );
        }
    }
}

/// The rules of a zone change between two ticks (simulated: the stored due time is one that the rules of
/// now do not have).
#[tokio::test]
async fn a_due_time_of_a_zones_old_rules_has_its_outcome_and_the_next_comes_from_the_new() {
    let test = TestApp::in_memory();
    test.clock.stop_at(at("2026-05-01T12:00:00Z"));
    let database = scheduled(&test, "0 3 * * *", "Europe/Madrid").await;
    assert_eq!(database.next_due_at, Some(at("2026-05-02T01:00:00Z")));
    for (old, following) in
        [("2026-05-02T02:00:00Z", "2026-05-03T01:00:00Z"), ("2026-05-03T00:00:00Z", "2026-05-03T01:00:00Z")]
    {
        let mut moved = current(&test, &database).await;
        moved.set_due(Some(Due { slot: at(old), start: at(old) }));
        test.catalog.update_database(&moved).await.unwrap();
        test.clock.stop_at(at(old) + SignedDuration::from_secs(5));
        let both = [Scheduler::of(&test), Scheduler::of(&test)];
        tick_both(&both, 4, 3).await;
        end_waiting(&test).await;
        assert!(outcomes(test.jobs().await).contains_key(&at(old)));
        assert_eq!(current(&test, &database).await.next_due_at, Some(at(following)));
    }
    test.clock.stop_at(at("2026-05-03T01:00:00Z"));
    tick(&test.app).await.unwrap();
    assert_eq!(statuses(&test).await.len(), 3);
}
