//! Others act in the middle of a run: another run, a deletion by hand, a longer policy. One process is
//! stopped at each of its calls in turn (as by SIGSTOP, for as long as it takes), the other acts and is
//! answered, then the first goes on.

use std::time::Duration;

use respaldo_core::model::{Database, JobId, Status, Verification, VerificationStatus};
use respaldo_core::tick::tick;
use respaldo_core::{App, Result, backup, retention};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{FaultMode, FaultPlan};
use serde_json::json;
use tokio::task::JoinHandle;

use super::{all_but_one_to_remove, apply, change, good, ids, told};

type Running = JoinHandle<Result<retention::Applied>>;

/// A run in another process, which is stopped at its `n`th call.
async fn run_stopped_at(test: &TestApp, database: &Database, n: usize) -> (FaultPlan, Running) {
    let (app, plan): (App, FaultPlan) = test.another_process();
    plan.freeze_at(n);
    let id = database.id;
    let run = tokio::spawn(async move { retention::apply(&app, id, None).await });
    while plan.frozen() == 0 && !run.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (plan, run)
}

/// At every step of a run: the newest backup is deleted by `delete`, and what is then the newest stays.
async fn newest_is_deleted(delete: impl AsyncFn(&TestApp, JobId)) {
    let before = TestApp::new();
    let (database, made) = all_but_one_to_remove(&before, 3).await;
    for n in 1.. {
        let test = before.copy();
        let (stopped, run) = run_stopped_at(&test, &database, n).await;
        let met = stopped.frozen() > 0;
        delete(&test, made[2].id).await;
        let newest = good(&test, &database).await.pop();
        stopped.thaw();
        run.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        if let Some(newest) = newest {
            let left = good(&test, &database).await.pop();
            assert_eq!(left.map(|job| job.id), Some(newest.id), "step {n}");
        }
        test.assert_promises().await;
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn the_newest_good_backup_of_those_that_somebody_left_is_never_removed() {
    Box::pin(newest_is_deleted(async |test, id| assert!(backup::delete(&test.app, id).await.unwrap()))).await;
}

#[tokio::test]
async fn nor_is_it_when_the_deletion_died_in_the_middle_and_a_tick_has_finished_it() {
    Box::pin(newest_is_deleted(async |test, id| {
        // The record is read, jobs that need it are looked for three times, it is read again, and marked.
        test.faults.reset();
        test.faults.fail_at(6, FaultMode::CrashAfter);
        backup::delete(&test.app, id).await.unwrap_err();
        test.faults.reset();
        assert_eq!(test.job(id).await.status, Status::Deleting);
        tick(&test.app).await.unwrap();
        assert!(test.catalog.job(id).await.unwrap().is_none());
    }))
    .await;
}

#[tokio::test]
async fn the_newest_verified_backup_of_those_that_somebody_left_is_never_removed() {
    let before = TestApp::new();
    let (database, made) = all_but_one_to_remove(&before, 4).await;
    for verified in &made[1..3] {
        let mut job = before.job(verified.id).await;
        job.backup_mut().unwrap().verification = Some(Verification {
            status: VerificationStatus::Ok,
            reason: None,
            differences: Vec::new(),
            duration_ms: None,
            at: None,
        });
        before.catalog.update_job(&job).await.unwrap();
    }
    for n in 1.. {
        let test = before.copy();
        let (stopped, run) = run_stopped_at(&test, &database, n).await;
        let met = stopped.frozen() > 0;
        assert!(backup::delete(&test.app, made[2].id).await.unwrap(), "step {n}");
        let left = good(&test, &database).await;
        let heir = left.into_iter().find(|job| job.id == made[1].id);
        stopped.thaw();
        run.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        let left = ids(&good(&test, &database).await);
        if let Some(heir) = heir {
            assert!(left.contains(&heir.id.to_string()), "step {n}: {left:?}");
        }
        assert_eq!(left.last(), Some(&made[3].id.to_string()), "step {n}");
        test.assert_promises().await;
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}

/// One removal may have been decided under the policy that was in force, and no more than that one.
#[tokio::test]
async fn a_policy_that_is_lengthened_in_the_middle_holds_from_the_next_removal_on() {
    let before = TestApp::new();
    let (database, _made) = all_but_one_to_remove(&before, 3).await;
    for n in 1.. {
        let test = before.copy();
        let (stopped, run) = run_stopped_at(&test, &database, n).await;
        let met = stopped.frozen() > 0;
        let had = good(&test, &database).await.len();
        change(&test.app, &database, json!({"max_backups": null})).await;
        stopped.thaw();
        run.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        let after = good(&test, &database).await.len();
        assert!(had - after <= 1, "step {n}: {had} backups, then {after}");
        test.assert_promises().await;
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn two_runs_of_which_one_is_stopped_in_the_middle_remove_the_same_and_no_more() {
    let before = TestApp::new();
    let (database, made) = all_but_one_to_remove(&before, 3).await;
    for n in 1.. {
        let test = before.copy();
        let (stopped, run) = run_stopped_at(&test, &database, n).await;
        let met = stopped.frozen() > 0;
        let ours = apply(&test, &database).await;
        stopped.thaw();
        let theirs = run.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        assert_eq!((ours.fates.len() + theirs.fates.len(), theirs.left), (2, 0), "step {n}");
        assert_eq!(told(&test).len(), 2, "step {n}");
        assert_eq!(ids(&good(&test, &database).await), ids(&made[2..]), "step {n}");
        test.assert_promises().await;
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_runs_at_once_remove_each_backup_once() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 8).await;
    let runs = (0..4).map(|_| {
        let (app, id) = (test.another_process().0, database.id);
        tokio::spawn(async move { retention::apply(&app, id, None).await })
    });
    let mut removed = 0;
    for run in runs.collect::<Vec<_>>() {
        removed += run.await.unwrap().unwrap().fates.len();
    }
    assert_eq!((removed, told(&test).len()), (7, 7));
    assert_eq!(ids(&good(&test, &database).await), ids(&made[7..]));
    test.assert_promises().await;
}
