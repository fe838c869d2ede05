//! The whole path: what goes, what stays, and what is told.

use jiff::{SignedDuration, Timestamp};
use respaldo_core::backup::{self, Download};
use respaldo_core::databases::{self, BackupsFate};
use respaldo_core::model::{BackupKind, DatabaseId, Job, Status};
use respaldo_core::ports::Event;
use respaldo_core::retention::{self, Frozen, Outcome};
use respaldo_core::tick::tick;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::catalog::sample::{artifact, job_of};
use respaldo_testkit::faults::{Call, FaultMode};
use serde_json::json;

use super::{all_but_one_to_remove, apply, change, good, hourly, ids, next_slot, slots, told};

#[tokio::test]
async fn after_each_backup_whatever_is_beyond_the_rule_is_gone_from_catalog_and_disk() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    let manual = test.back_up(&database).await;
    change(&test.app, &database, json!({"max_backups": 2})).await;
    let made = slots(&test, &database, 4).await;
    let left = [manual, made[2].clone(), made[3].clone()];
    assert_eq!(ids(&good(&test, &database).await), ids(&left));
    let expected: Vec<String> =
        made[..2].iter().map(|job| format!("{}: beyond the newest 2", job.id)).collect();
    assert_eq!(told(&test), expected);
    // Nothing but what the catalog names is on the disk.
    test.assert_promises().await;
    assert_eq!(good(&test, &database).await.len(), 3);
}

#[tokio::test]
async fn the_newest_good_backup_outlives_its_retention_when_no_other_follows() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    let made = slots(&test, &database, 3).await;
    let database = change(&test.app, &database, json!({"retention_days": 1, "max_backups": 1})).await;
    test.clock.advance(SignedDuration::from_hours(24 * 365));
    let applied = apply(&test, &database).await;
    assert_eq!((applied.fates.len(), applied.left), (2, 0));
    assert_eq!(told(&test)[0], format!("{}: older than 1 day", made[0].id));
    assert_eq!(ids(&good(&test, &database).await), ids(&made[2..]));
    test.assert_readable(&made[2]);
}

#[tokio::test]
async fn a_failed_run_freezes_everything_until_a_backup_succeeds_again() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 3).await;
    let source = test.folder().join("sample.db");
    let hidden = test.folder().join("hidden.db");
    std::fs::rename(&source, &hidden).unwrap();
    let failed = next_slot(&test, &database).await;
    assert_eq!(failed.status, Status::Failed);
    let applied = apply(&test, &database).await;
    assert_eq!((applied.frozen, applied.fates.len()), (Some(Frozen::LastRunFailed), 0));
    assert_eq!(ids(&good(&test, &database).await), ids(&made));
    std::fs::rename(&hidden, &source).unwrap();
    let newest = next_slot(&test, &database).await;
    assert_eq!(ids(&good(&test, &database).await), ids(&[newest]));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_disabled_database_keeps_everything() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 2).await;
    let database = change(&test.app, &database, json!({"enabled": false})).await;
    let applied = apply(&test, &database).await;
    assert_eq!((applied.frozen, applied.fates.len()), (Some(Frozen::Disabled), 0));
    assert_eq!(ids(&good(&test, &database).await), ids(&made));
}

#[tokio::test]
async fn a_backup_that_is_read_waits_for_its_reader() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 2).await;
    let download = Download::open(&test.app, made[0].id).await.unwrap();
    let applied = apply(&test, &database).await;
    let [fate] = &applied.fates[..] else { panic!("one is to be removed: {applied:?}") };
    assert!(matches!(fate.outcome, Outcome::Waiting), "{fate:?}");
    test.assert_readable(&made[0]);
    drop(download);
    // What the reader's end does not give back runs out by itself.
    test.clock.advance(SignedDuration::from_mins(2));
    test.assert_promises().await;
    assert!(test.catalog.job(made[0].id).await.unwrap().is_none());
}

#[tokio::test]
async fn backups_of_a_database_that_is_gone_are_not_touched() {
    let test = TestApp::with(|limits| limits.retention = Some(super::schedule::every_hour()));
    let (database, made) = all_but_one_to_remove(&test, 2).await;
    databases::remove(&test.app, database.id, Some(BackupsFate::Keep)).await.unwrap();
    assert!(retention::apply(&test.app, database.id, None).await.is_err());
    test.clock.advance(SignedDuration::from_hours(24 * 365));
    assert_eq!(retention::tick(&test.app).await.unwrap().retired, 0);
    assert_eq!(ids(&good(&test, &database).await), ids(&made));
}

#[tokio::test]
async fn a_failure_of_retention_keeps_no_backup_s_end_from_being_told() {
    // The call at which retention begins, found in a run without faults.
    let rehearsal = TestApp::new();
    let run = async |test: &TestApp| {
        let database = hourly(test).await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        test.faults.reset();
        (job.id, database)
    };
    let (id, _) = run(&rehearsal).await;
    rehearsal.run(id).await.unwrap();
    let outlines = (Call::Catalog, "outlines".to_owned());
    let n = 1 + rehearsal.faults.log().iter().position(|call| *call == outlines).expect("retention ran");

    let test = TestApp::new();
    let (id, database) = run(&test).await;
    test.faults.fail_at(n, FaultMode::permanent());
    test.run(id).await.unwrap();
    assert_eq!(test.faults.log()[n - 1], outlines);
    test.faults.reset();
    let events = test.events.all();
    assert!(events.iter().any(|event| matches!(event, Event::JobEnded(job) if job.id == id)));
    let failed = |event: &Event| match event {
        Event::TickFailed(e) => e.operation().contains(&format!("retention of database {}", database.id)),
        _ => false,
    };
    assert!(events.iter().any(failed), "{events:?}");
    assert!(!test.job(id).await.untold);
}

#[tokio::test]
async fn no_removal_begins_after_the_time_that_was_given_and_what_is_left_is_counted() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 3).await;
    let applied = retention::apply(&test.app, database.id, Some(test.app.now())).await.unwrap();
    assert_eq!((applied.fates.len(), applied.left), (0, 2));
    assert_eq!(ids(&good(&test, &database).await), ids(&made));
    assert_eq!(apply(&test, &database).await.fates.len(), 2);
}

/// A record that names an artifact of which nothing is in storage.
fn past(n: u64, database: DatabaseId, created_at: Timestamp, status: Status) -> Job {
    let mut job = job_of(n.into(), database, BackupKind::Scheduled, created_at);
    (job.status, job.finished_at) = (status, Some(created_at));
    if status == Status::Succeeded {
        job.backup_mut().unwrap().artifact = Some(artifact(1, 1));
    }
    job
}

#[tokio::test]
async fn what_lies_beyond_the_first_thousand_is_seen_and_removed() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    let now = test.app.now();
    for n in 0..1_130 {
        let minutes = i64::try_from(n).unwrap();
        let at = now - SignedDuration::from_mins(minutes);
        let status = if n < 1_080 { Status::Skipped } else { Status::Succeeded };
        assert!(test.catalog.create_job(&past(n, database.id, at, status)).await.unwrap());
    }
    let database = change(&test.app, &database, json!({"max_backups": 20})).await;
    let applied = apply(&test, &database).await;
    assert_eq!((applied.fates.len(), applied.left), (30, 0));
    assert!(applied.fates.iter().all(|fate| matches!(fate.outcome, Outcome::Removed)), "{applied:?}");
    let oldest = now - SignedDuration::from_mins(1_099);
    let left = test.catalog.outlines(database.id, None, 10_000).await.unwrap();
    assert_eq!((left.len(), left.last().unwrap().created_at), (1_100, oldest));
}

#[tokio::test]
async fn old_records_of_runs_without_a_backup_are_cleared_away_without_a_request_to_storage() {
    let test = TestApp::new();
    let database = hourly(&test).await;
    let long_ago = test.app.now() - SignedDuration::from_hours(24 * 100);
    for n in 0..5 {
        let skipped = past(n, database.id, long_ago, Status::Skipped);
        assert!(test.catalog.create_job(&skipped).await.unwrap());
    }
    test.faults.reset();
    let applied = apply(&test, &database).await;
    assert_eq!(applied.fates.len(), 4, "the newest record stays");
    let beyond_catalog = test.faults.log().iter().filter(|(call, _)| *call != Call::Catalog).count();
    assert_eq!((test.jobs().await.len(), beyond_catalog), (1, 0));
}

#[tokio::test]
async fn what_has_just_ended_is_left_until_its_end_was_told() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 2).await;
    let mut job = test.job(made[0].id).await;
    job.untold = true;
    test.catalog.update_job(&job).await.unwrap();
    assert_eq!(apply(&test, &database).await.fates.len(), 0);
    tick(&test.app).await.unwrap();
    assert!(!test.catalog.job(job.id).await.unwrap().is_some_and(|job| job.untold));
    apply(&test, &database).await;
    assert_eq!(ids(&good(&test, &database).await), ids(&made[1..]));
}
