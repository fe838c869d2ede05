//! Which jobs a worker with a deadline begins.

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, LastSuccess, RestoreMode, Runner, Status};
use respaldo_core::ports::Event;
use respaldo_core::restore::{self, Request};
use respaldo_core::tick::tick;
use respaldo_core::verify;
use respaldo_testkit::app::{LEASE, TestApp};
use serde_json::json;

use crate::support::{Rings, assert_handed_over, ends_in, listened_to, log_of, run, soon};

const HOUR: u32 = 60 * 60;

/// Writes into a database's history that its last backup took so long.
async fn took(test: &TestApp, database: &Database, duration: SignedDuration) {
    let mut record = test.catalog.database(database.id).await.unwrap().unwrap();
    let last = record.history.last_success.clone();
    let last = last.unwrap_or_else(|| LastSuccess {
        id: respaldo_core::model::JobId(test.app.ids.ulid(test.app.now())),
        created_at: test.app.now(),
        finished_at: test.app.now(),
        duration_ms: 0,
        size_bytes: 1,
        raw_bytes: 1,
    });
    let duration_ms = u64::try_from(duration.as_millis()).unwrap();
    record.history.last_success = Some(LastSuccess { duration_ms, ..last });
    test.catalog.update_database(&record).await.unwrap();
}

async fn with_runner(test: &TestApp, runner: &str) -> Database {
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "sample", "engine": "sqlite", "database_name": path, "runner": runner});
    test.register(fields).await
}

#[tokio::test]
async fn a_backup_that_is_expected_to_take_too_long_is_handed_over_unbegun() {
    let (test, rings) = listened_to(TestApp::new());
    let database = test.register_sample().await;
    took(&test, &database, SignedDuration::from_mins(10)).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    assert_eq!(run(&test, job.id, &ends_in(HOUR / 2)).await, Ran::HandedOver);
    let left = test.job(job.id).await;
    assert_handed_over(&left);
    assert_eq!(left.attempts.current, 0);
    assert_eq!(rings.all(), [(job.id, false), (job.id, true)]);
    let log = log_of(&test, job.id).await;
    assert!(log.contains("expected to take 900 s"), "{log}");
    // Asked again, it only rings again; a tick does so too.
    assert_eq!(run(&test, job.id, &ends_in(HOUR)).await, Ran::HandedOver);
    assert_eq!(log_of(&test, job.id).await, log);
    test.clock.advance(SignedDuration::from_mins(2));
    tick(&test.app).await.unwrap();
    assert_eq!(rings.all()[2..], [(job.id, true), (job.id, true)]);
    // Whoever has no deadline does not ask how long it takes.
    assert_eq!(test.run(job.id).await.unwrap(), Ran::Ended);
    assert_eq!(test.job(job.id).await.status, Status::Succeeded);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_backup_that_fits_and_one_that_nobody_can_predict_begin_here() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    for known in [None, Some(SignedDuration::from_secs(1))] {
        if let Some(duration) = known {
            took(&test, &database, duration).await;
        }
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        assert_eq!(run(&test, job.id, &ends_in(HOUR)).await, Ran::Ended, "{known:?}");
        assert_eq!(test.job(job.id).await.status, Status::Succeeded);
    }
}

#[tokio::test]
async fn a_database_may_insist_on_either_host() {
    let (test, rings) = listened_to(TestApp::new());
    let there = with_runner(&test, "fargate").await;
    let job = backup::request(&test.app, there.id, None).await.unwrap();
    assert_eq!((job.long, rings.all()), (true, vec![(job.id, true)]));
    assert_eq!(run(&test, job.id, &ends_in(HOUR)).await, Ran::HandedOver);
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);

    let test = TestApp::new();
    let here = with_runner(&test, "lambda").await;
    assert_eq!(here.settings.runner, Runner::Lambda);
    took(&test, &here, SignedDuration::from_hours(10)).await;
    let job = backup::request(&test.app, here.id, None).await.unwrap();
    assert_eq!(run(&test, job.id, &ends_in(HOUR)).await, Ran::Ended);
    assert_eq!(test.job(job.id).await.status, Status::Succeeded);
}

#[tokio::test]
async fn test_restores_and_restores_in_place_never_begin_where_they_could_be_cut_off() {
    let (test, rings) = listened_to(TestApp::new());
    let database = with_runner(&test, "auto").await;
    let backup = test.back_up(&database).await;
    let id = || respaldo_core::model::JobId(test.app.ids.ulid(test.app.now()));
    let verify = verify::request(&test.app, backup.id, false, id()).await.unwrap();
    let wanted = Request {
        backup: backup.id,
        target: None,
        mode: Some(RestoreMode::InPlace),
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: respaldo_core::model::Ownership::Keep,
    };
    let mut jobs = vec![verify];
    // Not every engine restores in place; SQLite says so before there is a job.
    jobs.extend(Box::pin(restore::request(&test.app, &wanted, id())).await);
    for job in jobs {
        assert_eq!(run(&test, job.id, &ends_in(HOUR)).await, Ran::HandedOver);
        let left = test.job(job.id).await;
        assert_handed_over(&left);
        assert_eq!(left.attempts.current, 0);
        assert!(rings.all().iter().all(|(rung, long)| *rung != job.id || *long));
        assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    }
}

#[tokio::test]
async fn what_a_dead_worker_left_is_handed_over_as_a_failure_of_its() {
    let (test, rings) = listened_to(TestApp::new());
    let database = test.register_sample().await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let mut dead = test.job(job.id).await;
    dead.lease("dead", test.app.now(), LEASE).unwrap();
    test.catalog.update_job(&dead).await.unwrap();
    assert_eq!(run(&test, job.id, &ends_in(1)).await, Ran::NotOurs, "its worker may live");
    test.clock.advance(LEASE + LEASE);
    assert_eq!(run(&test, job.id, &ends_in(1)).await, Ran::HandedOver);
    let left = test.job(job.id).await;
    assert_eq!((left.status, left.long, left.attempts.failures), (Status::Queued, true, 1));
    assert_eq!(rings.all().last(), Some(&(job.id, true)));
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_job_is_handed_over_although_nobody_can_be_woken() {
    let mut test = TestApp::new();
    let database = test.register_sample().await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    test.app.doorbell = Arc::new(Rings { broken: true, ..Rings::default() });
    assert_eq!(run(&test, job.id, &ends_in(1)).await, Ran::HandedOver);
    assert_handed_over(&test.job(job.id).await);
    let log = log_of(&test, job.id).await;
    assert!(log.contains("nobody could be woken") && log.contains("look at the queue"), "{log}");
    let told = test.events.all();
    assert!(matches!(told.last(), Some(Event::TickFailed(e)) if e.is_retryable()), "{told:?}");
}

#[tokio::test]
async fn a_place_that_becomes_free_wakes_both_kinds_of_workers() {
    let (test, rings) = listened_to(TestApp::new());
    let database = test.register_sample().await;
    let [first, long, short] = [(); 3].map(|()| backup::request(&test.app, database.id, None));
    let (first, long, short) = (first.await.unwrap(), long.await.unwrap(), short.await.unwrap());
    assert_eq!(run(&test, long.id, &ends_in(1)).await, Ran::HandedOver);
    let before = rings.all().len();
    assert_eq!(run(&test, first.id, &Worker::new("patient")).await, Ran::Ended);
    assert_eq!(rings.all()[before..], [(short.id, false), (long.id, true)]);
}

#[tokio::test]
async fn a_lease_is_told_to_whoever_waits_for_it() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let worker = soon();
    let held = async {
        worker.leased(job.id).await;
        test.job(job.id).await.status
    };
    let (ran, held) = tokio::join!(run(&test, job.id, &worker), held);
    assert_eq!((ran, held), (Ran::Ended, Status::Running));
    let again = tokio::time::timeout(std::time::Duration::from_millis(50), worker.leased(job.id));
    assert!(again.await.is_err(), "it is held no more");
}
