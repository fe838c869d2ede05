//! Promise 3 on real files: retention removes what its plan says, and whatever fails, races or dies in the
//! middle, the newest good backup stays.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod faults;
mod path;
mod races;
mod schedule;

use jiff::SignedDuration;
use respaldo_core::databases::{self, Change};
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::ports::Event;
use respaldo_core::tick::tick;
use respaldo_core::{App, retention};
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

/// A small database that is backed up every hour, and kept without limit.
async fn hourly(test: &TestApp) -> Database {
    let path = test.folder().join("sample.db");
    if !path.exists() {
        respaldo_testkit::sqlite::sample(&path);
    }
    test.register(json!({
        "name": "hourly", "engine": "sqlite", "database_name": path, "schedule": "@hourly",
    }))
    .await
}

async fn change(app: &App, database: &Database, fields: Value) -> Database {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let change = Change { fields, may_shorten_retention: true, ..Change::default() };
    databases::change(app, database.id, change).await.unwrap()
}

/// The next slot's backup, run to its end.
async fn next_slot(test: &TestApp, database: &Database) -> Job {
    let record = test.catalog.database(database.id).await.unwrap().unwrap();
    let wait = record.next_due_at.expect("it has a schedule").duration_since(test.app.now());
    test.clock.advance(wait + SignedDuration::from_secs(1));
    tick(&test.app).await.unwrap();
    let jobs = test.jobs().await;
    let waits = |job: &&Job| job.database_id() == Some(database.id) && job.status == Status::Queued;
    let queued = jobs.iter().find(waits).expect("a slot is due").id;
    test.run_to_end(queued).await
}

async fn slots(test: &TestApp, database: &Database, n: usize) -> Vec<Job> {
    let mut jobs = Vec::new();
    for _ in 0..n {
        jobs.push(next_slot(test, database).await);
    }
    jobs
}

/// So many hourly backups, of which the policy keeps the newest one from now on.
async fn all_but_one_to_remove(test: &TestApp, backups: usize) -> (Database, Vec<Job>) {
    let database = hourly(test).await;
    let jobs = slots(test, &database, backups).await;
    let database = change(&test.app, &database, json!({"max_backups": 1})).await;
    (database, jobs)
}

/// The succeeded backups of a database, oldest first.
async fn good(test: &TestApp, database: &Database) -> Vec<Job> {
    let mut jobs = test.jobs().await;
    jobs.retain(|job| job.database_id() == Some(database.id) && job.status == Status::Succeeded);
    jobs.reverse();
    jobs
}

fn ids(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| job.id.to_string()).collect()
}

/// The reasons that were told for each removal.
fn told(test: &TestApp) -> Vec<String> {
    let reason = |event: Event| match event {
        Event::BackupRetired { job, reason } => Some(format!("{}: {reason}", job.id)),
        _ => None,
    };
    test.events.all().into_iter().filter_map(reason).collect()
}

async fn apply(test: &TestApp, database: &Database) -> retention::Applied {
    retention::apply(&test.app, database.id, None).await.unwrap()
}
