//! Deadlines, and what must hold after each.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use respaldo_core::jobs::{self, Ran, Worker};
use respaldo_core::model::{Job, JobId, Status};
use respaldo_core::ports::Doorbell;
use respaldo_core::{Error, ErrorKind, Result};
use respaldo_testkit::app::TestApp;
use tokio::time::Instant;

/// A second, for tests: they must not take thirty times as long.
pub(crate) const SECOND: Duration = Duration::from_millis(20);
/// What is kept for ending cleanly, in such seconds.
pub(crate) const MARGIN: u32 = 30;

/// A worker whose host ends it after so many of the tests' seconds.
pub(crate) fn ends_in(seconds: u32) -> Worker {
    Worker::new("hasty").with_margin(Instant::now() + SECOND * seconds, SECOND * MARGIN)
}

/// A worker that has time to work for a moment, and more than enough to end cleanly.
pub(crate) fn soon() -> Worker {
    let margin = Duration::from_secs(10);
    let works = margin / 3 + Duration::from_millis(200);
    Worker::new("hasty").with_margin(Instant::now() + margin + works, margin)
}

/// What a worker makes of a job.
pub(crate) async fn run(test: &TestApp, id: JobId, worker: &Worker) -> Ran {
    Box::pin(jobs::run(&test.app, id, worker)).await.expect("the outcome is recorded")
}

/// That a job was handed over: it waits for a host without a deadline, belongs to nobody, and has not failed.
pub(crate) fn assert_handed_over(job: &Job) {
    assert_eq!(job.status, Status::Queued, "{:?}", job.error);
    assert!(job.needs_long_runner() && job.lease.is_none(), "{job:#?}");
    assert_eq!(job.attempts.failures, 0, "{:?}", job.error);
}

/// The lines of a job's log.
pub(crate) async fn log_of(test: &TestApp, id: JobId) -> String {
    let lines = test.catalog.log(id, 0, 1_000).await.unwrap();
    lines.into_iter().map(|entry| entry.line + "\n").collect()
}

/// A doorbell that tells for which jobs it was rung, and who should have heard it.
#[derive(Debug, Default)]
pub(crate) struct Rings {
    pub(crate) rung: Mutex<Vec<(JobId, bool)>>,
    pub(crate) broken: bool,
}

impl Rings {
    /// Each ring: the job, and whether it was for a host without a deadline.
    pub(crate) fn all(&self) -> Vec<(JobId, bool)> {
        self.rung.lock().unwrap().clone()
    }
}

#[async_trait]
impl Doorbell for Rings {
    async fn ring(&self, job: &Job) -> Result<()> {
        if self.broken {
            let error = Error::new(ErrorKind::Unavailable, "ring a queue", "the queue does not answer");
            return Err(error.with_mend("look at the queue"));
        }
        self.rung.lock().unwrap().push((job.id, job.needs_long_runner()));
        Ok(())
    }
}

/// An installation whose doorbell is listened to.
pub(crate) fn listened_to(mut test: TestApp) -> (TestApp, Arc<Rings>) {
    let rings = Arc::new(Rings::default());
    test.app.doorbell = Arc::clone(&rings) as _;
    (test, rings)
}
