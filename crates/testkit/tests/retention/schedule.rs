//! The schedule of its own.

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::retention::{self, Cron};
use respaldo_core::schedule::Schedule;
use respaldo_core::{App, Limits};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{Call, FaultMode, FaultPlan};

use super::{all_but_one_to_remove, good, hourly, ids};

pub(crate) fn every_hour() -> Cron {
    Cron::new(Schedule::parse("15 * * * *", None).unwrap())
}

/// Another process with a schedule in a memory of its own.
fn another_server(test: &TestApp) -> (App, FaultPlan) {
    let (app, plan) = test.another_process();
    let limits = Limits { retention: Some(every_hour()), ..(*app.limits).clone() };
    (App { limits: Arc::new(limits), ..app }, plan)
}

/// How often a server has made a plan.
fn plans(plan: &FaultPlan) -> usize {
    plan.log().iter().filter(|(call, name)| *call == Call::Catalog && name == "databases").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_slot_runs_once_however_many_servers_tick_and_missed_ones_are_made_up_for_by_one() {
    let test = TestApp::new();
    hourly(&test).await;
    let servers = [another_server(&test), another_server(&test), another_server(&test)];
    for hours in [0, 1, 30, 1] {
        test.clock.advance(SignedDuration::from_hours(hours));
        for (_, plan) in &servers {
            plan.reset();
        }
        for _ in 0..3 {
            let ticks = servers.iter().map(|(app, _)| {
                let app = app.clone();
                tokio::spawn(async move { retention::tick(&app).await })
            });
            for tick in ticks.collect::<Vec<_>>() {
                tick.await.unwrap().unwrap();
            }
        }
        // One server reads the databases: one page, and the empty one after it.
        let read: usize = servers.iter().map(|(_, plan)| plans(plan)).sum();
        assert_eq!(read, 2, "after {hours} hours");
    }
}

#[tokio::test]
async fn without_a_schedule_nothing_runs() {
    let test = TestApp::new();
    let (database, made) = all_but_one_to_remove(&test, 2).await;
    test.faults.reset();
    assert_eq!(retention::tick(&test.app).await.unwrap().retired, 0);
    assert_eq!(test.faults.calls(), 0);
    assert_eq!(ids(&good(&test, &database).await), ids(&made));
}

#[tokio::test]
async fn a_run_that_dies_in_the_middle_is_made_up_for_by_the_next_slot() {
    let before = TestApp::new();
    let (database, made) = all_but_one_to_remove(&before, 3).await;
    for n in 1.. {
        let test = before.copy();
        let (server, plan) = another_server(&test);
        plan.fail_at(n, FaultMode::CrashAfter);
        let died = retention::tick(&server).await;
        let met = plan.calls() > n;
        test.clock.advance(SignedDuration::from_hours(1));
        let (server, _) = another_server(&test);
        let next = retention::tick(&server).await.unwrap();
        test.clock.advance(SignedDuration::from_mins(5));
        test.assert_promises().await;
        assert_eq!(ids(&good(&test, &database).await), ids(&made[2..]), "step {n}: {died:?}, {next:?}");
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}
