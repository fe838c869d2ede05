//! Workers that are stopped in the middle of a backup and wake up when others have gone on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::app::App;
use respaldo_core::backup;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Job, JobId, Status};
use respaldo_core::tick::tick;
use respaldo_core::{Result, jobs};
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::FaultPlan;
use tokio::task::JoinHandle;

/// Longer than anything that was swept is kept under suspicion.
const LONG: SignedDuration = SignedDuration::from_hours(3);

/// A worker in a process of its own.
struct Process {
    app: App,
    plan: FaultPlan,
    run: Option<JoinHandle<Result<Ran>>>,
}

impl Process {
    fn of(test: &TestApp) -> Self {
        let (app, plan) = test.another_process();
        Self { app, plan, run: None }
    }

    /// Works on a job until it ends or, at the `n`th call, the process is stopped.
    async fn run_until_frozen_at(&mut self, id: JobId, n: usize) {
        self.thaw().await;
        self.plan.reset();
        self.plan.freeze_at(n);
        let app = self.app.clone();
        let run = tokio::spawn(async move { backup::run(&app, id, &Worker::new("process")).await });
        while self.plan.frozen() == 0 && !run.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.run = Some(run);
    }

    /// The process goes on, to the end of what it was doing.
    async fn thaw(&mut self) {
        self.plan.thaw();
        if let Some(run) = self.run.take() {
            // What could not be recorded was told to nobody; the promises are judged by what is there.
            let _outcome = tokio::time::timeout(Duration::from_mins(1), run).await.expect("the run ends");
        }
    }
}

async fn one_job(test: &TestApp) -> Job {
    let database = test.register_sample().await;
    backup::request(&test.app, database.id, None).await.unwrap()
}

/// Ends every job that has not ended, and lets every suspicion pass.
async fn settle(test: &TestApp) {
    for job in test.jobs().await {
        if matches!(job.status, Status::Queued | Status::Running) {
            test.run_to_end(job.id).await;
        }
    }
    test.clock.advance(LONG);
    tick(&test.app).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_wakes_after_its_job_was_done_by_another_leaves_nothing() {
    let mut steps = 0;
    loop {
        let test = TestApp::new();
        let job = one_job(&test).await;
        let mut sleeper = Process::of(&test);
        sleeper.run_until_frozen_at(job.id, steps + 1).await;
        if sleeper.plan.frozen() == 0 {
            break;
        }
        test.clock.advance(LEASE + LEASE);
        let ended = test.run_to_end(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "step {steps}: {:?}", ended.error);
        sleeper.thaw().await;
        settle(&test).await;
        assert_eq!(test.job(job.id).await.status, Status::Succeeded, "step {steps}");
        test.assert_promises().await;
        steps += 1;
    }
    assert!(steps > 20, "a backup makes more than {steps} calls");
}

#[tokio::test]
async fn a_worker_that_wakes_while_another_is_stopped_anywhere_harms_nothing() {
    // The first is stopped before it writes its manifest, the second at each step in turn; then the
    // first goes on, a third takes over, and at last the second wakes.
    let manifest = {
        let test = TestApp::new();
        let job = one_job(&test).await;
        test.faults.reset();
        test.run(job.id).await.unwrap();
        1 + test.faults.log().iter().position(|(_, path)| path.contains("/manifest.json.")).unwrap()
    };
    for step in 1..=30 {
        let test = TestApp::new();
        let job = one_job(&test).await;
        let (mut first, mut second) = (Process::of(&test), Process::of(&test));
        first.run_until_frozen_at(job.id, manifest).await;
        test.clock.advance(LEASE + LEASE);
        second.run_until_frozen_at(job.id, step).await;
        first.thaw().await;
        test.clock.advance(LEASE + LEASE);
        test.run_to_end(job.id).await;
        second.thaw().await;
        settle(&test).await;
        assert_eq!(test.job(job.id).await.status, Status::Succeeded, "step {step}");
        test.assert_promises().await;
    }
}

#[tokio::test]
async fn a_worker_that_wakes_after_its_backup_was_deleted_leaves_nothing() {
    for step in (1..60).step_by(3) {
        let test = TestApp::new();
        let job = one_job(&test).await;
        let mut sleeper = Process::of(&test);
        sleeper.run_until_frozen_at(job.id, step).await;
        test.clock.advance(LEASE + LEASE);
        test.run_to_end(job.id).await;
        backup::delete(&test.app, job.id).await.unwrap();
        sleeper.thaw().await;
        settle(&test).await;
        test.assert_promises().await;
        assert!(test.jobs().await.is_empty(), "step {step}");
    }
}

mod interleavings {
    use proptest::prelude::*;
    use respaldo_testkit::faults::FaultMode;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Request,
        /// Process, job, and the call at which it is stopped.
        Freeze(usize, usize, usize),
        Thaw(usize),
        /// Job, and the call after which its process is killed.
        Crash(usize, usize),
        Run(usize),
        Wait(i64),
        Tick,
        Cancel(usize),
        Delete(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Request),
            4 => (0..2_usize, 0..3_usize, 1..70_usize).prop_map(|(p, job, n)| Step::Freeze(p, job, n)),
            3 => (0..2_usize).prop_map(Step::Thaw),
            2 => (0..3_usize, 0..70_usize).prop_map(|(job, n)| Step::Crash(job, n)),
            2 => (0..3_usize).prop_map(Step::Run),
            4 => prop_oneof![Just(1), Just(40), Just(700), Just(4_000)].prop_map(Step::Wait),
            2 => Just(Step::Tick),
            1 => (0..3_usize).prop_map(Step::Cancel),
            1 => (0..3_usize).prop_map(Step::Delete),
        ]
    }

    async fn perform(test: &TestApp, processes: &mut [Process], made: &mut Vec<JobId>, step: &Step) {
        let database = test.catalog.databases(None, 1).await.unwrap().remove(0).id;
        let id = |made: &[JobId], index: usize| made[index % made.len()];
        match *step {
            Step::Request => made.push(backup::request(&test.app, database, None).await.unwrap().id),
            Step::Freeze(process, job, n) => {
                processes[process].run_until_frozen_at(id(made, job), n).await;
            }
            Step::Thaw(process) => processes[process].thaw().await,
            Step::Crash(job, n) => {
                let mut dying = Process::of(test);
                dying.plan.fail_at(n, FaultMode::CrashAfter);
                // It ends with whatever its last call said.
                let _died = backup::run(&dying.app, id(made, job), &Worker::new("dying")).await;
                dying.thaw().await;
            }
            Step::Run(job) => {
                test.run(id(made, job)).await.unwrap();
            }
            Step::Wait(seconds) => test.clock.advance(SignedDuration::from_secs(seconds)),
            Step::Tick => {
                tick(&test.app).await.unwrap();
            }
            // Refused for a job that has ended, is gone, or still runs.
            Step::Cancel(job) => drop(jobs::cancel(&test.app, id(made, job)).await),
            Step::Delete(job) => drop(backup::delete(&test.app, id(made, job)).await),
        }
    }

    async fn play(steps: &[Step]) {
        let test = TestApp::new();
        let mut made = vec![one_job(&test).await.id];
        let mut processes = [Process::of(&test), Process::of(&test)];
        for step in steps {
            perform(&test, &mut processes, &mut made, step).await;
            for job in test.jobs().await {
                if job.status == Status::Succeeded {
                    test.assert_readable(&job);
                }
            }
        }
        for process in &mut processes {
            process.thaw().await;
        }
        settle(&test).await;
        test.assert_promises().await;
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

        #[test]
        fn no_interleaving_of_workers_crashes_and_people_breaks_a_promise(
            steps in prop::collection::vec(step(), 1..14),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(play(&steps));
        }
    }
}
