//! Running a verify job.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{borrowed, test, verdict};
use crate::app::App;
use crate::backup::staging::Staging;
use crate::engine::{JobLog, Meter};
use crate::jobs::keeper::{Stop, flush};
use crate::jobs::{self, Held, Ran, Worker};
use crate::model::{Job, JobId, Verification, WorkKind};
use crate::ports::SecretString;
use crate::redact::Redactor;
use crate::{Error, ErrorKind, Result};

/// Works on a verify job. Every failure that belongs to the job is written into its record; `Err` is only
/// what could not be written there.
pub async fn run(app: &App, id: JobId, worker: &Worker) -> Result<Ran> {
    jobs::take(app, id, WorkKind::Verify, worker, |held, job| Box::pin(work(held, job))).await
}

async fn work(held: Held<'_>, job: Job) -> Result<Ran> {
    match attempt(held, &job).await {
        // Somebody else has the job, or its record is gone.
        Err(e) if matches!(e.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => Ok(Ran::NotOurs),
        ran => ran,
    }
}

async fn attempt(held: Held<'_>, job: &Job) -> Result<Ran> {
    if job.cancel_requested {
        return held.end(Job::cancelled).await;
    }
    if job.is_exhausted() {
        let message = format!("its worker died in each of {} attempts", job.attempts.failures);
        let error = Error::new(ErrorKind::Internal, "verify", message)
            .with_mend("see the host's log: was it out of memory, or killed?");
        return held.end(|job, fence, now| job.fail(fence, error.clone(), now)).await;
    }
    let testing = match Testing::prepare(held, job) {
        Ok(testing) => testing,
        Err(e) => return held.end(|job, fence, now| job.fail(fence, e.clone(), now)).await,
    };
    let log = testing.log.clone();
    log.info(format!("attempt {} of {} by {}", job.attempts.current, job.id, held.worker.owner()));
    let ran = testing.run().await;
    match flush(held.app, held.id, &log).await {
        Err(e) if e.kind() == ErrorKind::NotFound => ran,
        flushed => ran.and_then(|ran| flushed.map(|()| ran)),
    }
}

/// One attempt at a test restore.
pub(super) struct Testing<'a> {
    pub(super) held: Held<'a>,
    pub(super) job: Job,
    pub(super) log: JobLog,
    pub(super) meter: Arc<Meter>,
    /// What the scratch server asks for.
    pub(super) password: SecretString,
    /// Whether databases of this attempt may lie on a server that outlives it.
    pub(super) borrows: AtomicBool,
    staging: Staging,
}

impl<'a> Testing<'a> {
    fn prepare(held: Held<'a>, job: &Job) -> Result<Self> {
        let app = held.app;
        let mut random = [0; 24];
        app.ids.random(&mut random);
        let password = hex::encode(random);
        let redactor = Redactor::new([password.as_str()]);
        let log = JobLog::new(&app.clock, job.attempts.current, redactor);
        let staging = Staging::make(app, job.id, job.attempts.current)?;
        let password = SecretString::from(password);
        Ok(Self {
            held,
            job: job.clone(),
            log,
            meter: Arc::default(),
            password,
            borrows: AtomicBool::new(false),
            staging,
        })
    }

    pub(super) fn app(&self) -> &'a App {
        self.held.app
    }

    /// The attempt's own folder.
    pub(super) fn folder(&self) -> &Path {
        self.staging.path()
    }

    async fn run(self) -> Result<Ran> {
        let keeper = self.held.keeper(&self.meter, &self.log);
        let outcome = tokio::select! {
            done = Box::pin(test::test(&self)) => done.map_err(stop),
            stopped = keeper.keep() => Err(stopped),
        };
        if self.borrows.load(Ordering::Relaxed) {
            self.give_back(outcome.is_ok()).await;
        }
        match outcome {
            Ok(verdict) => self.ended(&verdict).await,
            Err(stop) => self.stopped(stop).await,
        }
    }

    /// What cannot be dropped now stays on the job's list, and a tick or the next attempt drops it. So does what
    /// was broken off: the server may only be about to do what it was asked for last.
    async fn give_back(&self, settled: bool) {
        // The lease is not renewed meanwhile.
        let longest = Duration::try_from(self.app().limits.lease).unwrap_or_default() / 2;
        let dropped = tokio::time::timeout(longest, borrowed::give_back(self)).await;
        let dropped = dropped.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "drop the scratch database", "the server does not answer"))
        });
        let done = match dropped {
            Ok(()) if settled => {
                let attempt = self.job.attempts.current;
                let swept = self.held.change(|job, fence, _| {
                    job.check_fence(fence)?;
                    job.swept(attempt);
                    Ok(())
                });
                swept.await.map(drop)
            }
            dropped => dropped,
        };
        if let Err(e) = done {
            self.log.warn(format!("the scratch database stays until it can be dropped: {e}"));
        }
    }

    async fn ended(&self, found: &Verification) -> Result<Ran> {
        verdict::tell(&self.log, found);
        let backup = self.job.test_restore()?.backup;
        match verdict::record(self.app(), backup, found).await {
            Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
            Err(e) => return self.stopped(Stop::Failed(e)).await,
            Ok(()) => {}
        }
        self.held.tell_first(&self.log).await;
        self.held
            .end(|job, fence, now| {
                job.test_restore_mut()?.verdict = Some(found.clone());
                job.done(fence, now)
            })
            .await
    }

    async fn stopped(&self, stop: Stop) -> Result<Ran> {
        match stop {
            Stop::Failed(e) => {
                self.log.error(e.to_string());
                self.held.tell_first(&self.log).await;
                self.held.end(|job, fence, now| job.fail(fence, e.clone(), now)).await
            }
            Stop::Cancelled => {
                self.log.info("cancelled on request");
                self.held.tell_first(&self.log).await;
                self.held.end(Job::cancelled).await
            }
            Stop::ShuttingDown => {
                self.log.info("the host is shutting down; the job goes back to the queue");
                self.held.end(Job::put_back).await
            }
            Stop::OutOfTime => self.held.hand_over(&self.log, |_| {}).await,
            // Somebody else has the job; the record is theirs.
            Stop::Lost(e) => Err(Error::new(ErrorKind::Fenced, "verify", e.to_string())),
        }
    }
}

/// Whether an error is the test's, or says that the job is not ours any more.
fn stop(error: Error) -> Stop {
    match error.kind() {
        ErrorKind::Fenced => Stop::Lost(error),
        _ => Stop::Failed(error),
    }
}
