//! Each call to storage and catalog that a package makes is failed in turn, in every way: no package is
//! `succeeded` that cannot be read, and nothing is left behind.

use respaldo_core::model::{PackageFormat, Status};
use respaldo_core::package;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;

use crate::support::{backed_up, files_of_packages, good, incomplete, new_id, request};

/// Fails the `n`th call of a package; answers whether there was one.
async fn fails_at(state: &TestApp, n: usize, mode: FaultMode) -> bool {
    let test = state.copy();
    let job = package::request(&test.app, &request(PackageFormat::Zip), new_id(&test)).await.unwrap();
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let ran = test.run(job.id).await;
    let met = test.faults.calls() >= n;
    let step = test.faults.log().get(n.saturating_sub(1)).cloned();
    test.faults.reset();

    let record = test.job(job.id).await;
    if record.status == Status::Succeeded {
        test.assert_readable(&record);
    }
    // The fault has passed, and whoever held the lease counts as dead.
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let ended = test.run_to_end(job.id).await;
    let told = ended.error.as_ref().map(ToString::to_string);
    assert!(
        matches!((ended.status, mode), (Status::Succeeded, _) | (Status::Failed, FaultMode::Permanent(_))),
        "step {n} {step:?} {mode:?}: {ran:?}, then {:?}: {told:?}",
        ended.status
    );
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let counted = test.job(job.id).await.package().unwrap().counts.expect("it is counted");
    assert_eq!(counted.succeeded + counted.failed, 1, "step {n} {step:?} {mode:?}");
    test.assert_promises().await;
    met
}

async fn at_every_step(mode: FaultMode) {
    let state = TestApp::new();
    backed_up(&state, &["a", "b"]).await;
    let mut n = 1;
    while fails_at(&state, n, mode).await {
        n += 1;
    }
    assert!(n > 25, "a package makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_ends_in_a_whole_package() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_ends_in_a_whole_package_or_a_failed_one() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_ends_in_a_whole_package() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_is_finished_by_the_next_worker() {
    at_every_step(FaultMode::CrashAfter).await;
}

#[tokio::test]
async fn a_crash_while_a_broken_member_is_being_left_out_is_finished_too() {
    let state = TestApp::new();
    let made = backed_up(&state, &["a", "b"]).await;
    std::fs::write(crate::support::artifact(&state, &made[1].1), "nothing").unwrap();
    for n in 1.. {
        let test = state.copy();
        let job =
            package::request(&test.app, &incomplete(PackageFormat::TarGz), new_id(&test)).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let _crashed = test.run(job.id).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        test.clock.advance(LEASE + LEASE);
        let ended = test.run_to_end(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "step {n}: {:?}", ended.error);
        assert_eq!(ended.package().unwrap().left_out.len(), 1, "step {n}");
        test.assert_readable(&ended);
        if !met {
            assert!(n > 30, "it makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_deletion_that_fails_at_any_step_is_finished_by_a_tick() {
    let state = TestApp::new();
    backed_up(&state, &["a"]).await;
    let doomed = good(&state, &request(PackageFormat::Zip)).await;
    let kept = good(&state, &request(PackageFormat::Zip)).await;
    for mode in
        [FaultMode::temporary(), FaultMode::permanent(), FaultMode::after_effect(), FaultMode::CrashAfter]
    {
        for n in 1.. {
            let test = state.copy();
            test.faults.reset();
            test.faults.fail_at(n, mode);
            let deleted = package::delete(&test.app, doomed.id).await;
            let met = test.faults.calls() >= n;
            test.faults.reset();
            if deleted.is_err() && test.catalog.job(doomed.id).await.unwrap().is_some() {
                // Whoever asked was told, and asks again.
                package::delete(&test.app, doomed.id).await.unwrap();
            }
            test.clock.advance(LEASE + LEASE);
            test.assert_promises().await;
            assert!(test.catalog.job(doomed.id).await.unwrap().is_none(), "step {n} {mode:?}");
            assert_eq!(package::totals(&test.app).await.unwrap().succeeded, 2, "step {n} {mode:?}");
            assert_eq!(files_of_packages(&test).len(), 3, "step {n} {mode:?}");
            test.assert_readable(&kept);
            if !met {
                assert!(n > 5, "a deletion makes more than {n} calls");
                break;
            }
        }
    }
}
