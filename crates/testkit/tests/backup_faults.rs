//! Promise 1, at every step: each call to storage and catalog that a backup makes is failed in turn, in
//! every way, and whatever happens then, no backup is `succeeded` that cannot be read, and nothing is
//! left behind after a sweep.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::model::Status;
use respaldo_core::storage::Storage;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;

/// Fails the `n`th call of a backup; answers whether there was one.
async fn fails_at(n: usize, mode: FaultMode, confirmed: fn(Storage) -> Storage) -> bool {
    let mut test = TestApp::new();
    test.app.storage = confirmed(test.app.storage);
    let database = test.register_sample().await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let ran = test.run(job.id).await;
    let met = test.faults.calls() >= n;
    let log = test.faults.log();
    let step = log.get(n.saturating_sub(1)).cloned();
    test.faults.reset();

    let record = test.job(job.id).await;
    if record.status == Status::Succeeded {
        test.assert_readable(&record);
    }
    // The fault has passed, and whoever held the lease counts as dead.
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let ended = test.run_to_end(job.id).await;
    let outcome = (ended.status, mode);
    let told = ended.error.as_ref().map(ToString::to_string);
    assert!(
        matches!(outcome, (Status::Succeeded, _) | (Status::Failed, FaultMode::Permanent(_))),
        "step {n} {step:?} {mode:?}: {ran:?}, then {:?}: {told:?}",
        ended.status
    );
    test.assert_promises().await;
    // A second sweep finds nothing more to do.
    let again = tick(&test.app).await.unwrap();
    assert_eq!((again.swept, again.deleted), (0, 0), "step {n} {step:?} {mode:?}");
    met
}

async fn at_every_step(mode: FaultMode) {
    at_every_step_on(mode, |storage| storage).await;
}

async fn at_every_step_on(mode: FaultMode, confirmed: fn(Storage) -> Storage) {
    let mut n = 1;
    while fails_at(n, mode, confirmed).await {
        n += 1;
    }
    assert!(n > 20, "a backup makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_ends_in_a_whole_backup() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_ends_in_a_whole_backup_or_a_failed_one() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_ends_in_a_whole_backup() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_is_finished_by_the_next_worker() {
    at_every_step(FaultMode::CrashAfter).await;
}

#[tokio::test]
async fn a_crash_after_any_step_on_a_store_that_is_read_back_is_finished_too() {
    at_every_step_on(FaultMode::CrashAfter, Storage::with_read_back).await;
}

/// The same for deletion: whatever step fails, a later tick finishes it.
#[tokio::test]
async fn a_deletion_that_fails_at_any_step_is_finished_by_a_tick() {
    for mode in
        [FaultMode::temporary(), FaultMode::permanent(), FaultMode::after_effect(), FaultMode::CrashAfter]
    {
        for n in 1.. {
            let test = TestApp::new();
            let database = test.register_sample().await;
            let (doomed, kept) = (test.back_up(&database).await, test.back_up(&database).await);
            test.faults.reset();
            test.faults.fail_at(n, mode);
            let deleted = backup::delete(&test.app, doomed.id).await;
            let met = test.faults.calls() >= n;
            test.faults.reset();
            if deleted.is_err() && test.catalog.job(doomed.id).await.unwrap().is_some() {
                // Whoever asked was told, and asks again.
                backup::delete(&test.app, doomed.id).await.unwrap();
            }
            test.clock.advance(SignedDuration::from_mins(5));
            test.assert_promises().await;
            assert!(test.catalog.job(doomed.id).await.unwrap().is_none(), "step {n} {mode:?}");
            test.assert_readable(&kept);
            if !met {
                assert!(n > 5, "a deletion makes more than {n} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_deletion_does_not_depend_on_a_list_that_is_behind() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let doomed = test.back_up(&database).await;
    test.faults.let_lists_be_behind(true);
    assert!(backup::delete(&test.app, doomed.id).await.unwrap());
    test.faults.let_lists_be_behind(false);
    test.assert_promises().await;
}
