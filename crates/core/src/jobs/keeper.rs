//! Beside every attempt runs its keeper: it renews the lease and the place, records progress and log,
//! and decides when the attempt must stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::hand_over::wall;
use super::place::Place;
use super::worker::Worker;
use crate::app::App;
use crate::engine::{JobLog, Meter};
use crate::jobs;
use crate::model::{JobId, Progress, Runner};
use crate::{Error, ErrorKind, Result};

const LONGEST_BEAT: Duration = Duration::from_secs(2);

/// Why an attempt was stopped from outside.
pub(crate) enum Stop {
    /// Somebody asked for the job to be cancelled.
    Cancelled,
    /// This host is shutting down; another worker goes on.
    ShuttingDown,
    /// This host's deadline is near; one without a deadline goes on.
    OutOfTime,
    /// The job is not ours any more.
    Lost(Error),
    /// It stalled or took too long.
    Failed(Error),
}

/// What a keeper keeps.
pub(crate) struct Keeper<'a> {
    pub(crate) app: &'a App,
    pub(crate) id: JobId,
    pub(crate) fence: u64,
    pub(crate) place: &'a Place,
    pub(crate) worker: &'a Worker,
    pub(crate) meter: Arc<Meter>,
    pub(crate) log: JobLog,
    /// What the job's database says becomes of it when the time is up.
    pub(crate) runner: Runner,
    /// Who is listened to.
    pub(crate) hears: Hears,
}

/// Who may ask an attempt to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// Everybody.
    Everybody,
    /// Everybody but the worker: within this attempt runs another job, whose own keeper hears the worker and
    /// must have its time to end it cleanly.
    AllButTheWorker,
    /// Nobody: the work is in a step that must not be broken off.
    Nobody,
}

impl Keeper<'_> {
    /// Runs until the attempt has to stop; while all is well it never ends.
    pub(crate) async fn keep(&self) -> Stop {
        let limits = &self.app.limits;
        let lease = duration(limits.lease);
        let mut beat = tokio::time::interval((lease / 4).clamp(Duration::from_millis(50), LONGEST_BEAT));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let begun = Instant::now();
        let (mut kept, mut moved, mut before) = (begun, begun, (Progress::default(), 0));
        loop {
            tokio::select! {
                _ = beat.tick() => {}
                stop = self.asked_to_stop(), if self.hears == Hears::Everybody => return stop,
            }
            let progress = self.meter.progress();
            let signs = (progress, self.meter.bytes_read_back());
            if signs != before || self.meter.is_held() {
                (before, moved) = (signs, Instant::now());
            }
            if let Some(error) = self.overdue(begun, moved).filter(|_| self.hears != Hears::Nobody) {
                return Stop::Failed(error);
            }
            // A catalog that does not answer must not keep us from stopping.
            let beaten = tokio::select! {
                beaten = tokio::time::timeout(lease / 2, self.heartbeat(progress)) => beaten,
                stop = self.asked_to_stop(), if self.hears == Hears::Everybody => return stop,
            };
            match beaten.unwrap_or_else(|_| Err(silent_catalog())) {
                Ok(true) if self.hears != Hears::Nobody => return Stop::Cancelled,
                Ok(_) => kept = Instant::now(),
                Err(e) if matches!(e.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => {
                    return Stop::Lost(e);
                }
                // The catalog may come back; until the lease has run out the job is still ours.
                Err(e) if kept.elapsed() >= lease => return Stop::Lost(e),
                Err(_) => {}
            }
        }
    }

    async fn asked_to_stop(&self) -> Stop {
        tokio::select! {
            () = self.worker.stopping() => Stop::ShuttingDown,
            () = self.worker.time_is_up() => match self.runner {
                Runner::Lambda => Stop::Failed(wall()),
                Runner::Auto | Runner::Fargate => Stop::OutOfTime,
            },
        }
    }

    fn overdue(&self, begun: Instant, moved: Instant) -> Option<Error> {
        let limits = &self.app.limits;
        let (stall, timeout) = (duration(limits.stall), duration(limits.job_timeout));
        if begun.elapsed() >= timeout {
            let message = format!("it took longer than {} s", timeout.as_secs());
            return Some(Error::new(ErrorKind::Timeout, "dump", message).with_retryable(false));
        }
        if moved.elapsed() >= stall {
            let seconds = stall.as_secs();
            if self.meter.is_storing() || self.meter.is_reading_back() {
                let verb = if self.meter.is_reading_back() { "gave back" } else { "took" };
                let message = format!("storage {verb} no byte for {seconds} s");
                let mend = "look at the store, and at the network between here and there";
                return Some(Error::new(ErrorKind::Timeout, "store", message).with_mend(mend));
            }
            let message = format!("no byte came for {seconds} s");
            let mend = "look for a lock, a slow query or a dead network between here and the server";
            return Some(Error::new(ErrorKind::Timeout, "dump", message).with_mend(mend));
        }
        None
    }

    /// Renews everything; true when the job shall be cancelled.
    async fn heartbeat(&self, progress: Progress) -> Result<bool> {
        let (now, lease) = (self.app.now(), self.app.limits.lease);
        let job =
            jobs::update(self.app, self.id, |job| job.heartbeat(self.fence, now, lease, progress)).await?;
        if !self.place.renew(self.app, now + lease).await? {
            return Err(Error::new(ErrorKind::Fenced, "hold a place", "another job has our place"));
        }
        flush(self.app, self.id, &self.log).await?;
        Ok(job.cancel_requested)
    }
}

fn silent_catalog() -> Error {
    Error::new(ErrorKind::Unavailable, "renew a lease", "the catalog does not answer")
}

/// Writes the log lines that wait.
pub(crate) async fn flush(app: &App, id: JobId, log: &JobLog) -> Result<()> {
    let lines = log.drain();
    if lines.is_empty() {
        return Ok(());
    }
    let written = app.catalog.append_log(id, &lines).await;
    if written.is_err() {
        log.put_back(lines);
    }
    written
}

fn duration(signed: jiff::SignedDuration) -> Duration {
    Duration::try_from(signed).unwrap_or(Duration::ZERO)
}
