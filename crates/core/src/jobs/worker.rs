//! Who works on jobs.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::model::JobId;

/// So long before its host's deadline an attempt is stopped, so that it ends cleanly.
pub const MARGIN: Duration = Duration::from_secs(30);
/// Of the margin, this part is kept for writing down how an attempt ended.
const LAST_WORDS: u32 = 3;

/// Who works, until when, and whether it should stop.
#[derive(Debug)]
pub struct Worker {
    pub(crate) owner: String,
    stop: watch::Sender<bool>,
    deadline: Option<Deadline>,
    leased: watch::Sender<HashSet<JobId>>,
}

/// When the host ends the process, or freezes it, whatever it is doing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    margin: Duration,
}

impl Deadline {
    /// When attempts are stopped.
    fn stops_at(self) -> Instant {
        self.at.checked_sub(self.margin).unwrap_or_else(Instant::now)
    }

    /// How long an attempt that begins now may work.
    pub(crate) fn working_time(self) -> Duration {
        self.stops_at().saturating_duration_since(Instant::now())
    }

    pub(crate) fn margin(self) -> Duration {
        self.margin
    }
}

impl Worker {
    /// A worker by a name that people can place: host and process.
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            stop: watch::Sender::new(false),
            deadline: None,
            leased: watch::Sender::default(),
        }
    }

    /// The same on a host that ends it at this instant: it takes no job that cannot end before, and
    /// [`MARGIN`] before it the attempts that still run are stopped cleanly and handed to a host without a
    /// deadline.
    #[must_use]
    pub fn with_deadline(self, at: Instant) -> Self {
        self.with_margin(at, MARGIN)
    }

    /// [`Worker::with_deadline`] with a margin of its own.
    #[must_use]
    pub fn with_margin(mut self, at: Instant, margin: Duration) -> Self {
        self.deadline = Some(Deadline { at, margin });
        self
    }

    /// Asks every run of this worker to stop cleanly; their jobs go back to the queue.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Ends while this worker holds the job's lease: from then on the catalog knows of whatever becomes of
    /// the job, and the message that asked for it is not needed any more. A run that has ended without one
    /// leaves this waiting for ever, so wait for both.
    pub async fn leased(&self, id: JobId) {
        let mut leased = self.leased.subscribe();
        // The sender lives as long as `self`, so this can only end by being told.
        let _told = leased.wait_for(|leased| leased.contains(&id)).await;
    }

    /// Tells those who wait for it that a lease is held, for as long as what is answered lives.
    pub(crate) fn tell_leased(&self, id: JobId) -> Leased<'_> {
        self.leased.send_modify(|leased| leased.extend([id]));
        Leased { worker: self, id }
    }

    /// The name.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`, so this can only end by being told.
        let _told = stop.wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Ends when attempts must be stopped because of the deadline; never without one.
    pub(crate) async fn time_is_up(&self) {
        match self.deadline {
            Some(deadline) => sleep_until(deadline.stops_at()).await,
            None => std::future::pending().await,
        }
    }

    /// Whether that time has come.
    pub(crate) fn is_time_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.stops_at() <= Instant::now())
    }

    /// Tidies up, but no longer than leaves time to write down how the attempt ended: what was not done by then
    /// is none, and the sweep's work.
    pub(crate) async fn in_time<T>(&self, tidying: impl Future<Output = T>) -> Option<T> {
        match self.deadline {
            Some(deadline) => {
                let until = deadline.at.checked_sub(deadline.margin / LAST_WORDS);
                timeout_at(until.unwrap_or_else(Instant::now), tidying).await.ok()
            }
            None => Some(tidying.await),
        }
    }
}

/// A lease that is held, for those who wait to hear of it.
pub(crate) struct Leased<'a> {
    worker: &'a Worker,
    id: JobId,
}

impl Drop for Leased<'_> {
    fn drop(&mut self) {
        self.worker.leased.send_modify(|leased| leased.retain(|held| *held != self.id));
    }
}
