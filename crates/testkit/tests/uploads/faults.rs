//! Each call to storage and catalog that an upload makes is failed in turn, in every way.

use respaldo_core::model::Status;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;

use crate::support::{PLAIN, send, unasked};

/// Fails the `n`th call of an upload; answers whether there was one.
async fn fails_at(n: usize, mode: FaultMode) -> bool {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let received = send(&test, &database, PLAIN).await;
    let met = test.faults.calls() >= n;
    let step = test.faults.log().get(n.saturating_sub(1)).cloned();
    test.faults.reset();
    let told = format!("step {n} {step:?} {mode:?}");
    if let Ok(received) = &received {
        assert_eq!(test.job(received.job.id).await.status, Status::Succeeded, "{told}");
    }
    // The fault has passed, and whoever held the lease counts as dead.
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    for job in test.jobs().await {
        let ended = test.run_to_end(job.id).await;
        assert!(matches!(ended.status, Status::Succeeded | Status::Failed), "{told}: {:?}", ended.status);
        assert!(received.is_err() || ended.status == Status::Succeeded, "{told}: {:?}", ended.error);
    }
    test.assert_promises().await;
    let again = tick(&test.app).await.unwrap();
    assert_eq!((again.swept, again.deleted), (0, 0), "{told}");
    met
}

async fn at_every_step(mode: FaultMode) {
    let mut n = 1;
    while fails_at(n, mode).await {
        n += 1;
    }
    assert!(n > 15, "an upload makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_leaves_a_whole_backup_or_none() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_leaves_a_whole_backup_or_none() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_leaves_a_whole_backup_or_none() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_leaves_a_whole_backup_or_none() {
    at_every_step(FaultMode::CrashAfter).await;
}
