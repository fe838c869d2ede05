//! Every end of a backup is counted in its database's history, once: whichever call to storage or catalog
//! fails, whoever dies in between, however many see to it at once, and whatever is deleted afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::databases::{self, BackupsFate};
use respaldo_core::jobs::Worker;
use respaldo_core::model::{Database, DatabaseId, History, Job, JobId, Status};
use respaldo_core::ports::Event;
use respaldo_core::tick::tick;
use respaldo_core::{App, jobs};
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;
use serde_json::json;

/// Longer than an ended job waits for a tick to see to it.
const UNTIL_TOLD: SignedDuration = SignedDuration::from_secs(31);

fn modes() -> [FaultMode; 4] {
    [FaultMode::temporary(), FaultMode::permanent(), FaultMode::after_effect(), FaultMode::CrashAfter]
}

async fn history(test: &TestApp, id: DatabaseId) -> History {
    test.catalog.database(id).await.unwrap().unwrap().history
}

/// What a history says, without what is there only to keep it exact.
async fn ended(test: &TestApp, id: DatabaseId) -> BTreeMap<String, u64> {
    history(test, id).await.ended
}

fn once(status: Status) -> BTreeMap<String, u64> {
    BTreeMap::from([(status.as_str().to_owned(), 1)])
}

fn told(test: &TestApp, id: JobId) -> usize {
    let events = test.events.all();
    events.iter().filter(|event| matches!(event, Event::JobEnded(job) if job.id == id)).count()
}

/// A queued backup that was cancelled by somebody who died before he could count it.
async fn uncounted(test: &TestApp, database: &Database) -> Job {
    let mut job = backup::request(&test.app, database.id, None).await.unwrap();
    job.cancel(test.app.now()).unwrap();
    test.catalog.update_job(&job).await.unwrap()
}

/// Makes a backup whose `n`th call fails and brings it to its end; answers whether there was such a call.
async fn is_counted_once_when_call_fails(n: usize, mode: FaultMode) -> bool {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let _as_it_may = test.run(job.id).await;
    let (met, log) = (test.faults.calls() >= n, test.faults.log());
    test.faults.reset();
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let job = test.run_to_end(job.id).await;
    test.clock.advance(UNTIL_TOLD);
    tick(&test.app).await.unwrap();
    let step = log.get(n - 1);
    assert_eq!(ended(&test, database.id).await, once(job.status), "step {n} {step:?} {mode:?}");
    assert!(told(&test, job.id) >= 1, "step {n} {step:?} {mode:?}: nobody was told");
    assert!(!test.job(job.id).await.untold, "step {n} {step:?} {mode:?}");
    test.assert_promises().await;
    met
}

async fn whichever_call_of_the_backup_fails(mode: FaultMode) {
    let mut n = 1;
    while is_counted_once_when_call_fails(n, mode).await {
        n += 1;
    }
    assert!(n > 20, "a backup makes more than {n} calls");
}

#[tokio::test]
async fn an_end_is_counted_once_whichever_call_of_the_backup_fails_for_now() {
    whichever_call_of_the_backup_fails(FaultMode::temporary()).await;
}

#[tokio::test]
async fn an_end_is_counted_once_whichever_call_of_the_backup_fails_for_good() {
    whichever_call_of_the_backup_fails(FaultMode::permanent()).await;
}

#[tokio::test]
async fn an_end_is_counted_once_whichever_answer_of_the_backup_is_lost() {
    whichever_call_of_the_backup_fails(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn an_end_is_counted_once_after_whichever_call_the_backup_crashes() {
    whichever_call_of_the_backup_fails(FaultMode::CrashAfter).await;
}

/// The tick that sees to an end that nobody has seen to fails at each of its calls.
#[tokio::test]
async fn an_end_is_counted_once_whichever_call_of_the_tick_fails() {
    for mode in modes() {
        for n in 1.. {
            let test = TestApp::new();
            let database = test.register_sample().await;
            let job = uncounted(&test, &database).await;
            test.clock.advance(UNTIL_TOLD);
            test.faults.reset();
            test.faults.fail_at(n, mode);
            let _as_it_may = tick(&test.app).await;
            let met = test.faults.calls() >= n;
            test.faults.reset();
            tick(&test.app).await.unwrap();
            assert_eq!(ended(&test, database.id).await, once(Status::Cancelled), "step {n} {mode:?}");
            assert!(!test.job(job.id).await.untold);
            if !met {
                assert!(n > 6, "a tick makes more than {n} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_tick_half_a_minute_later_counts_what_a_dead_worker_has_not() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let job = uncounted(&test, &database).await;
    tick(&test.app).await.unwrap();
    assert_eq!(ended(&test, database.id).await, BTreeMap::new(), "whoever ended it may be just doing it");
    test.clock.advance(UNTIL_TOLD);
    assert_eq!(tick(&test.app).await.unwrap().told, 1);
    assert_eq!(ended(&test, database.id).await, once(Status::Cancelled));
    assert_eq!(told(&test, job.id), 1);
    assert_eq!(tick(&test.app).await.unwrap().told, 0);
    assert_eq!(ended(&test, database.id).await, once(Status::Cancelled));
}

/// Waits until the process behind this app stands still, or has done its work.
async fn stands_still<T>(plan: &respaldo_testkit::faults::FaultPlan, work: &tokio::task::JoinHandle<T>) {
    while plan.frozen() == 0 && !work.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One process stops at its `n`th call of a tick, `meanwhile` happens, and it goes on.
async fn interleaved<F: Future<Output = ()>>(
    test: &TestApp,
    n: usize,
    meanwhile: impl FnOnce(App) -> F,
) -> bool {
    let (slow, plan) = test.another_process();
    plan.freeze_at(n);
    let work = tokio::spawn(async move { tick(&slow).await });
    stands_still(&plan, &work).await;
    let met = plan.frozen() > 0;
    meanwhile(test.app.clone()).await;
    plan.thaw();
    work.await.unwrap().unwrap();
    met
}

#[tokio::test]
async fn two_that_see_to_one_end_at_once_count_it_once() {
    for n in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        uncounted(&test, &database).await;
        test.clock.advance(UNTIL_TOLD);
        let met = interleaved(&test, n, async |app| assert_eq!(tick(&app).await.unwrap().deleted, 0)).await;
        assert_eq!(ended(&test, database.id).await, once(Status::Cancelled), "stopped at call {n}");
        test.assert_promises().await;
        if !met {
            assert!(n > 6, "a tick makes more than {n} calls");
            break;
        }
    }
}

/// The slow one counts while others count further ends, delete the backup, and forget what they counted.
#[tokio::test]
async fn one_that_is_slow_counts_nothing_that_was_counted_and_deleted_meanwhile() {
    for n in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let first = uncounted(&test, &database).await;
        test.clock.advance(UNTIL_TOLD);
        let deeds = async |app: App| {
            tick(&app).await.unwrap();
            backup::delete(&app, first.id).await.unwrap();
            for _ in 0..2 {
                let job = backup::request(&app, first.owner().unwrap().id, None).await.unwrap();
                jobs::cancel(&app, job.id).await.unwrap();
            }
        };
        let met = interleaved(&test, n, deeds).await;
        let expected = BTreeMap::from([("cancelled".to_owned(), 3)]);
        assert_eq!(ended(&test, database.id).await, expected, "stopped at call {n}");
        test.assert_promises().await;
        if !met {
            assert!(n > 6, "a tick makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_end_at_once_are_all_counted() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let ends = (0..12).map(|_| {
        let (app, id) = (test.app.clone(), database.id);
        tokio::spawn(async move {
            let job = backup::request(&app, id, None).await.unwrap();
            jobs::cancel(&app, job.id).await.unwrap();
        })
    });
    for end in ends.collect::<Vec<_>>() {
        end.await.unwrap();
    }
    test.clock.advance(UNTIL_TOLD);
    tick(&test.app).await.unwrap();
    let history = history(&test, database.id).await;
    assert_eq!(history.ended, BTreeMap::from([("cancelled".to_owned(), 12)]));
    assert!(test.jobs().await.iter().all(|job| !job.untold));
}

#[tokio::test]
async fn what_is_kept_to_count_exactly_does_not_grow() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    for _ in 0..30 {
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        jobs::cancel(&test.app, job.id).await.unwrap();
    }
    let history = history(&test, database.id).await;
    assert_eq!(history.ended, BTreeMap::from([("cancelled".to_owned(), 30)]));
    assert!(history.counted.len() <= 2, "{:?}", history.counted);
}

/// A worker dies between the commit and what follows from it, and somebody deletes the backup at once.
#[tokio::test]
async fn a_backup_that_is_deleted_right_after_its_end_stays_counted() {
    let mut hit = 0;
    for n in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let _died = test.run(job.id).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        let record = test.job(job.id).await;
        if record.status == Status::Succeeded && record.untold {
            hit += 1;
            assert!(backup::delete(&test.app, job.id).await.unwrap());
            assert!(test.catalog.job(job.id).await.unwrap().is_none());
            let history = history(&test, database.id).await;
            assert_eq!(history.ended, once(Status::Succeeded), "step {n}");
            assert_eq!(history.last_success.map(|last| last.id), Some(job.id), "its end outlives its record");
            test.assert_promises().await;
        }
        if !met {
            break;
        }
    }
    assert!(hit >= 4, "only {hit} crashes lay between the commit and the end of the aftermath");
}

/// Removing a database with its backups dies half-way: it is there still, and nothing was forgotten.
#[tokio::test]
async fn a_removal_that_dies_half_way_loses_no_count() {
    for n in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        test.back_up(&database).await;
        backup::request(&test.app, database.id, None).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let removed = databases::remove(&test.app, database.id, Some(BackupsFate::Delete)).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        test.clock.advance(UNTIL_TOLD);
        tick(&test.app).await.unwrap();
        if let Some(left) = test.catalog.database(database.id).await.unwrap() {
            let counted = left.history.ended;
            let waits = test.jobs().await.iter().filter(|job| job.status == Status::Queued).count();
            let expected = if waits == 1 { None } else { Some(&1) };
            assert_eq!(counted.get("cancelled"), expected, "step {n}, removed: {removed:?}");
            assert_eq!(counted.get("succeeded"), Some(&1), "step {n}");
        }
        if !met {
            assert!(n > 10, "a removal makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn skipped_slots_are_counted_by_the_tick_that_skips_them() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "h", "engine": "sqlite", "database_name": path, "schedule": "@hourly"});
    let database = test.register(fields).await;
    test.clock.advance(SignedDuration::from_hours(5));
    let ticked = tick(&test.app).await.unwrap();
    assert_eq!(ticked.due, 5, "the schedule is advanced at once: {ticked:?}");
    assert_eq!(ended(&test, database.id).await, BTreeMap::from([("skipped".to_owned(), 4)]));
    let record = test.catalog.database(database.id).await.unwrap().unwrap();
    assert!(record.next_due_at.unwrap() > test.app.now() && record.last_due_at.unwrap() <= test.app.now());
    assert_eq!(history(&test, database.id).await.last_run, None, "a skipped slot did not run");
}

#[tokio::test]
async fn a_success_that_a_clock_which_was_ahead_dated_in_the_future_gives_way_to_the_next_one() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    test.clock.advance(SignedDuration::from_hours(24 * 365));
    let ahead = test.back_up(&database).await;
    test.clock.advance(-SignedDuration::from_hours(24 * 365));
    let now = test.back_up(&database).await;
    let history = history(&test, database.id).await;
    assert!(ahead.finished_at > now.finished_at);
    assert_eq!(history.last_success.map(|last| last.id), Some(now.id));
    assert_eq!(history.last_run.map(|last| last.id), Some(now.id));
    assert_eq!(history.ended.get("succeeded"), Some(&2));
}

#[tokio::test]
async fn retries_count_as_one_backup_and_its_last_attempt_is_what_took_time() {
    for n in 1..100 {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::temporary());
        let _as_it_may = backup::run(&test.app, job.id, &Worker::new("first")).await;
        test.faults.reset();
        if test.job(job.id).await.attempts.not_before.is_none() {
            continue;
        }
        assert_eq!(ended(&test, database.id).await, BTreeMap::new());
        let job = test.run_to_end(job.id).await;
        let history = history(&test, database.id).await;
        assert_eq!(history.ended, once(Status::Succeeded));
        assert_eq!(history.last_success.unwrap().duration_ms, job.duration_ms().unwrap());
        return;
    }
    panic!("no fault led to a retry");
}
