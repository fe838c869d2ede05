//! Each call to storage and catalog that a run of retention makes is failed in turn, in every way.

use jiff::SignedDuration;
use respaldo_core::model::{Database, Job};
use respaldo_core::retention;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;

use super::{all_but_one_to_remove, apply, good, ids};

/// An installation with two backups to remove.
struct Before {
    test: TestApp,
    database: Database,
    made: Vec<Job>,
}

/// Fails the `n`th call; answers whether there was one.
async fn fails_at(before: &Before, n: usize, mode: FaultMode) -> bool {
    let Before { test, database, made } = before;
    let test = test.copy();
    test.faults.fail_at(n, mode);
    let first = retention::apply(&test.app, database.id, None).await;
    let met = test.faults.calls() >= n;
    let step = test.faults.log().get(n - 1).cloned();
    test.faults.reset();
    let case = format!("step {n} {step:?} {mode:?}: {first:?}");
    test.assert_readable(&test.job(made[2].id).await);
    // The next run, and the tick, take up what the first could not do.
    let second = apply(&test, database).await;
    assert_eq!(second.left, 0, "{case}");
    test.clock.advance(SignedDuration::from_mins(5));
    test.assert_promises().await;
    assert_eq!(ids(&good(&test, database).await), ids(&made[2..]), "{case}");
    assert_eq!(test.jobs().await.len(), 1, "{case}");
    met
}

async fn at_every_step(mode: FaultMode) {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 3).await;
    let before = Before { test, database, made };
    let mut n = 1;
    while fails_at(&before, n, mode).await {
        n += 1;
    }
    assert!(n > 20, "a run makes more than {n} calls");
}

#[tokio::test]
async fn a_passing_fault_at_any_step_is_made_up_for_by_the_next_run() {
    at_every_step(FaultMode::temporary()).await;
}

#[tokio::test]
async fn a_lasting_fault_at_any_step_is_made_up_for_by_the_next_run() {
    at_every_step(FaultMode::permanent()).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_step_is_made_up_for_by_the_next_run() {
    at_every_step(FaultMode::after_effect()).await;
}

#[tokio::test]
async fn a_crash_after_any_step_is_made_up_for_by_the_next_run() {
    at_every_step(FaultMode::CrashAfter).await;
}
