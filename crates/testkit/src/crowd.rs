//! Many databases that are due at once, and two hosts that see to them at once: on any catalog.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use respaldo_core::jobs::{self, Worker};
use respaldo_core::model::{Database, DatabaseId, JobId, Status};
use respaldo_core::ports::NewDatabase;
use respaldo_core::schedule::Timing;
use respaldo_core::tick::tick;
use respaldo_core::{App, ErrorKind};

use crate::app::{TestApp, TestClock};

/// How many are registered at the same time.
const AT_ONCE: usize = 8;
/// How many of the jobs are run, each by both hosts at once.
const SAMPLE: usize = 8;

/// Registers so many databases that are all due at 03:00, when it is half a minute earlier.
pub async fn register(test: &TestApp, size: u32) {
    test.clock.stop_at(due() - SignedDuration::from_secs(30));
    let path = test.folder().join("sample.db");
    crate::sqlite::sample(&path);
    let fields = serde_json::json!({
        "name": "d", "engine": "sqlite", "database_name": path, "schedule": "0 3 * * *", "timezone": "UTC",
    });
    let model = test.register(fields).await;
    let new = |n: u32| {
        let mut new = Database { id: DatabaseId(0), ..model.clone() };
        new.uid = format!("{:026}", 10_000 + n).parse().expect("digits are a ULID");
        let timing = Timing::of(new.uid, &new.settings).expect("the model's is good").expect("it has one");
        new.set_due(Some(timing.after(test.app.now())));
        test.catalog.create_database(NewDatabase(new))
    };
    let mut made = stream::iter((1..size).map(new)).buffer_unordered(AT_ONCE);
    while let Some(made) = made.next().await {
        made.expect("the database is registered");
    }
}

/// The time at which they are due.
fn due() -> Timestamp {
    "2026-05-01T03:00:00Z".parse().expect("a time")
}

/// Two hosts tick at the same time, twice each, with clocks that differ by so much around the right time; each
/// database has one backup then, and a sample of them, worked on by both hosts at once and asked for twice,
/// ends once each.
///
/// # Panics
/// When a slot has two outcomes or none, or a job ends twice.
pub async fn each_slot_has_one_outcome(test: &TestApp, size: u32, skew: SignedDuration) {
    register(test, size).await;
    let hosts = [host(test, skew), host(test, -skew)];
    Box::pin(ticks(&hosts)).await;
    // The one that is behind comes to the time too.
    let hosts = [host(test, skew), host(test, SignedDuration::ZERO)];
    Box::pin(ticks(&hosts)).await;
    let totals = test.catalog.totals(None).await.expect("totals").by_status;
    let totals: Vec<(String, u64)> = totals.into_iter().collect();
    assert_eq!(totals, [("queued".to_owned(), u64::from(size))]);
    let mut ids: Vec<JobId> = test.jobs().await.into_iter().map(|job| job.id).collect();
    ids.truncate(SAMPLE);
    for id in &ids {
        run_twice_on_both(&hosts, *id).await;
    }
    for id in ids {
        let job = test.run_to_end(id).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        test.assert_readable(&job);
    }
}

/// Another process on the same catalog and storage, whose clock is wrong by so much.
fn host(test: &TestApp, skew: SignedDuration) -> App {
    let clock = Arc::new(TestClock::default());
    clock.stop_at(due() + SignedDuration::from_secs(1) + skew);
    App { clock, ..test.another_process().0 }
}

async fn ticks(hosts: &[App; 2]) {
    let [one, other] = hosts;
    let ticked = futures::join!(tick(one), tick(other), tick(one), tick(other));
    for ticked in [ticked.0, ticked.1, ticked.2, ticked.3] {
        ticked.expect("a tick ends well");
    }
}

/// Each message is delivered twice, to either host.
async fn run_twice_on_both(hosts: &[App; 2], id: JobId) {
    let [one, other] = hosts;
    let (first, second) = (Worker::new("one"), Worker::new("other"));
    let ran = futures::join!(
        jobs::run(one, id, &first),
        jobs::run(other, id, &second),
        jobs::run(one, id, &first),
        jobs::run(other, id, &second)
    );
    for ran in [ran.0, ran.1, ran.2, ran.3] {
        // A host whose clock is ahead takes a lease that has not ended; the other finds out and stops.
        if let Err(error) = ran {
            assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Fenced), "{error}");
        }
    }
}
