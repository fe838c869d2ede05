//! The fault layer counts every call and fails the one that is named.

#![expect(clippy::expect_used, reason = "these are tests, helpers included")]

use opendal::{ErrorKind, Operator, services};
use respaldo_testkit::faults::{Call, FaultMode, FaultPlan};

fn operator(plan: &FaultPlan) -> Operator {
    Operator::new(services::Memory::default()).expect("memory needs nothing").layer(plan.layer())
}

/// A job with one of each: write, close, read, list, delete.
async fn job(operator: &Operator) -> opendal::Result<()> {
    let mut writer = operator.writer("folder/object").await?;
    for piece in ["one", "two"] {
        if let Err(error) = writer.write(piece).await {
            writer.abort().await.ok();
            return Err(error);
        }
    }
    writer.close().await?;
    operator.stat("folder/object").await?;
    assert_eq!(operator.read("folder/object").await?.to_vec(), b"onetwo");
    assert_eq!(operator.list("folder/").await?.len(), 1);
    operator.delete("folder/object").await
}

#[tokio::test]
async fn every_call_is_counted_and_can_be_made_to_fail() {
    let plan = FaultPlan::default();
    let operator = operator(&plan);
    job(&operator).await.expect("nothing fails yet");
    let calls = plan.calls();
    for call in [Call::Write, Call::Close, Call::Stat, Call::Read, Call::List, Call::Delete] {
        assert!(plan.count(call) > 0, "{call:?} is missing in {:?}", plan.log());
    }
    for n in 1..=calls {
        for mode in [FaultMode::temporary(), FaultMode::permanent(), FaultMode::after_effect()] {
            plan.reset();
            plan.fail_at(n, mode);
            let error = job(&operator).await.expect_err("a call fails");
            assert_eq!(error.is_temporary(), mode != FaultMode::permanent(), "call {n}, {mode:?}");
            plan.reset();
            operator.delete("folder/object").await.expect("the storage is whole again");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect() {
    let plan = FaultPlan::default();
    let operator = operator(&plan);
    operator.write("a", "x").await.expect("it works");
    let close = plan.calls();
    plan.reset();
    plan.fail_at(close, FaultMode::AfterEffect(ErrorKind::Unexpected));
    assert!(operator.write("b", "x").await.is_err());
    assert!(operator.exists("b").await.expect("it works again"), "{:?}", plan.log());
    plan.reset();
    plan.fail_at(close, FaultMode::temporary());
    assert!(operator.write("c", "x").await.is_err());
    assert!(!operator.exists("c").await.expect("it works again"));
}

#[tokio::test]
async fn after_a_crash_nothing_works_until_the_reset() {
    let plan = FaultPlan::default();
    let operator = operator(&plan);
    plan.fail_at(1, FaultMode::CrashAfter);
    let mut writer = operator.writer("a").await.expect("opening is no call");
    writer.write("x").await.expect("the call before the crash is performed");
    assert!(writer.close().await.is_err());
    assert!(writer.abort().await.is_err());
    assert!(operator.stat("a").await.is_err());
    plan.reset();
    assert!(!operator.exists("a").await.expect("the storage is back"));
    plan.fail_at(0, FaultMode::CrashAfter);
    assert!(operator.exists("a").await.is_err(), "nothing works from the start");
}
