//! Promise 4, at every step: each call to storage and catalog that a restore makes is failed in turn, in
//! every way. The target always holds either what it held or what was restored, and what a crash left is finished
//! by the next worker.

use respaldo_core::model::Status;
use respaldo_core::restore;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultMode;

use crate::support::{Damaged, request_of};

/// Fails the `n`th call of a restore; answers whether there was one.
async fn fails_at(template: &Damaged, n: usize, mode: FaultMode) -> bool {
    let damaged = template.again();
    let test = &damaged.test;
    let job = damaged.request(&request_of(damaged.backup.id)).await;
    test.faults.reset();
    test.faults.fail_at(n, mode);
    let ran = test.run(job.id).await;
    let met = test.faults.calls() >= n;
    let step = test.faults.log().get(n.saturating_sub(1)).cloned();
    test.faults.reset();
    let what = format!("step {n} {step:?} {mode:?}: {ran:?}");
    assert_either(&damaged, &what);

    // The fault has passed, and whoever held the lease counts as dead.
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    let ended = test.run_to_end(job.id).await;
    let told = ended.error.as_ref().map(ToString::to_string);
    assert_either(&damaged, &what);
    match ended.status {
        Status::Succeeded => assert_eq!(damaged.content(), damaged.healthy, "{what}"),
        Status::Failed => {
            assert!(matches!(mode, FaultMode::Permanent(_)) || told.is_some(), "{what}");
            assert_eq!(damaged.content(), damaged.before, "{what}: {told:?}");
        }
        other => panic!("{what}, then {other:?}: {told:?}"),
    }
    if mode == FaultMode::CrashAfter {
        assert_eq!(ended.status, Status::Succeeded, "{what}: {told:?}");
    }
    let safety = ended.restoration().unwrap().safety_backup.unwrap();
    if let Some(safety) = test.catalog.job(safety).await.unwrap() {
        test.run_to_end(safety.id).await;
    }
    test.clock.advance(LEASE + LEASE);
    tick(&test.app).await.unwrap();
    test.assert_promises().await;
    met
}

/// Never half of the one and half of the other.
fn assert_either(damaged: &Damaged, what: &str) {
    let content = damaged.content();
    assert!(content == damaged.healthy || content == damaged.before, "{what}: {content}");
}

async fn at_every_step(mode: FaultMode) {
    let template = Damaged::new().await;
    let mut n = 1;
    while Box::pin(fails_at(&template, n, mode)).await {
        n += 1;
    }
    assert!(n > 40, "a restore makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_harms_nothing() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_harms_nothing() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_harms_nothing() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_is_finished_by_the_next_worker() {
    at_every_step(FaultMode::CrashAfter).await;
}

/// The same for the undo of a restore.
#[tokio::test]
async fn an_undo_that_crashes_after_any_step_is_finished_by_the_next_worker() {
    let template = Damaged::new().await;
    template.restore(&request_of(template.backup.id)).await;
    let of = template.test.jobs().await.into_iter().find(|job| job.restoration().is_ok()).unwrap().id;
    for n in 1.. {
        let damaged = template.again();
        let test = &damaged.test;
        let undo = restore::undo(&test.app, of, false, damaged.id()).await.unwrap();
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let _died = test.run(undo.id).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        assert_either(&damaged, &format!("step {n}"));
        test.clock.advance(LEASE + LEASE);
        tick(&test.app).await.unwrap();
        let ended = test.run_to_end(undo.id).await;
        assert_eq!(ended.status, Status::Succeeded, "step {n}: {:?}", ended.error);
        assert_eq!(damaged.content(), damaged.before, "step {n}");
        if !met {
            assert!(n > 40, "an undo makes more than {n} calls");
            return;
        }
    }
}

/// What was written to the target between the swap and the crash is not overwritten by the next worker.
#[tokio::test]
async fn a_worker_that_finds_the_target_changed_since_the_swap_leaves_it_alone() {
    let template = Damaged::new().await;
    let mut hit = 0;
    for n in 1.. {
        let damaged = template.again();
        let test: &TestApp = &damaged.test;
        let job = damaged.request(&request_of(damaged.backup.id)).await;
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::CrashAfter);
        let _died = test.run(job.id).await;
        let met = test.faults.calls() >= n;
        test.faults.reset();
        let ended = test.job(job.id).await.status.is_terminal();
        if damaged.content() == damaged.healthy && !ended {
            hit += 1;
            respaldo_testkit::sqlite::open(&damaged.path())
                .execute_batch("CREATE TABLE written_after (a)")
                .unwrap();
            let written = damaged.content();
            test.clock.advance(LEASE + LEASE);
            let ended = test.run_to_end(job.id).await;
            assert_eq!(damaged.content(), written, "step {n}");
            assert_eq!(ended.status, Status::Failed, "step {n}");
            assert!(ended.error.unwrap().to_string().contains("neither"), "step {n}");
        }
        if !met {
            break;
        }
    }
    assert!(hit > 0, "no crash lay between the swap and the record of the end");
}
