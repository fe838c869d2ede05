//! Each call to storage and catalog that a test restore makes is failed in turn, in every way: it ends with the
//! right verdict in both records, and leaves no folder, no lease and no job that nobody works on.

use jiff::SignedDuration;
use respaldo_core::model::{Status, VerificationStatus};
use respaldo_core::tick::tick;
use respaldo_core::verify;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;

use super::support::{backed_up, new_id};

/// Fails the `n`th call of a test restore; answers whether there was one.
async fn fails_at(before: &TestApp, n: usize, mode: FaultMode) -> bool {
    let test = before.copy();
    let backup = test.jobs().await.pop().unwrap();
    let job = verify::request(&test.app, backup.id, false, new_id(&test)).await.unwrap();
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let ran = test.run(job.id).await;
    let met = test.faults.calls() >= n;
    let step = test.faults.log().get(n.saturating_sub(1)).cloned();
    test.faults.reset();

    // The fault has passed, and whoever held the lease counts as dead.
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let ended = test.run_to_end(job.id).await;
    let told = ended.error.as_ref().map(ToString::to_string);
    match (ended.status, mode) {
        (Status::Succeeded, _) => {
            let verdict = ended.test_restore().unwrap().verdict.clone().unwrap();
            assert_eq!(verdict.status, VerificationStatus::Ok, "step {n} {step:?} {mode:?}: {verdict:?}");
            let record = test.job(backup.id).await;
            let recorded = record.backup().unwrap().verification.clone().unwrap();
            assert_eq!(recorded.status, VerificationStatus::Ok, "step {n} {step:?} {mode:?}");
        }
        (Status::Failed, FaultMode::Permanent(_)) => {
            let record = test.job(backup.id).await;
            let recorded = record.backup().unwrap().verification.clone();
            assert!(
                recorded.is_none_or(|recorded| recorded.status == VerificationStatus::Ok),
                "step {n} {step:?}: a store that fails says nothing of the backup"
            );
        }
        (status, _) => panic!("step {n} {step:?} {mode:?}: {ran:?}, then {status:?}: {told:?}"),
    }
    test.clock.advance(SignedDuration::from_mins(5));
    test.assert_promises().await;
    let now = test.app.now();
    assert!(test.catalog.live_leases("place/", now).await.unwrap().is_empty(), "step {n} {step:?}");
    met
}

async fn at_every_step(mode: FaultMode) {
    let before = TestApp::new();
    backed_up(&before).await;
    let mut n = 1;
    while fails_at(&before, n, mode).await {
        n += 1;
    }
    assert!(n > 15, "a test restore makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_ends_in_the_right_verdict() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_ends_in_the_right_verdict_or_a_failed_job() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_ends_in_the_right_verdict() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_is_finished_by_the_next_worker() {
    at_every_step(FaultMode::CrashAfter).await;
}
