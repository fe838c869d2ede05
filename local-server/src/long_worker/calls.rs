//! What calls the worker: its queue, the doorbell of its own process, and what it finds in the catalog.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::SignedDuration;
use respaldo_core::model::{Job, JobId, Status};
use respaldo_core::{App, Result};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::{Letter, Queue};

/// How often the catalog is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Queued jobs attend to a tick a minute after they were made; this looks as far ahead.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_secs(61);
/// How many records are looked at.
const MOST: usize = 1_000;
/// After an error of the queue, so long is waited; after each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A reason to look at a job.
#[derive(Debug)]
pub(super) enum Call {
    /// Somebody in this process rang, or it waits in the catalog.
    Job(JobId),
    /// The queue gave something out.
    Letter(Letter),
}

type Received = Result<Option<Letter>>;

/// All that calls.
pub(super) struct Calls {
    app: App,
    queue: Option<Arc<dyn Queue>>,
    rings: Receiver<JobId>,
    look: Interval,
    found: VecDeque<JobId>,
    /// The queue's next answer. It outlives the wait for it: what it brings is hidden from others.
    receiving: Option<BoxFuture<'static, Received>>,
    failures: u32,
}

impl Calls {
    pub(super) fn new(app: App, queue: Option<Arc<dyn Queue>>, rings: Receiver<JobId>) -> Self {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { app, queue, rings, look, found: VecDeque::new(), receiving: None, failures: 0 }
    }

    /// The next one. When its future is dropped, no letter is lost, and the catalog is looked at again later.
    pub(super) async fn next(&mut self) -> Call {
        loop {
            if let Some(id) = self.found.pop_front() {
                return Call::Job(id);
            }
            self.poll();
            tokio::select! {
                Some(id) = self.rings.recv() => return Call::Job(id),
                received = answer(&mut self.receiving) => {
                    self.receiving = None;
                    if let Some(letter) = self.judge(received) {
                        return Call::Letter(letter);
                    }
                }
                _ = self.look.tick() => self.look_again().await,
            }
        }
    }

    /// Asks the queue, unless it is being asked.
    fn poll(&mut self) {
        if let (Some(queue), None) = (&self.queue, &self.receiving) {
            let (queue, wait) = (Arc::clone(queue), wait_after(self.failures));
            self.receiving = Some(Box::pin(async move {
                sleep(wait).await;
                queue.receive().await
            }));
        }
    }

    fn judge(&mut self, received: Received) -> Option<Letter> {
        match received {
            Ok(letter) => {
                self.failures = 0;
                letter
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let wait_s = wait_after(self.failures).as_secs();
                tracing::warn!(%error, wait_s, "the queue gives out no messages; the catalog is still looked at");
                None
            }
        }
    }

    async fn look_again(&mut self) {
        let now = self.app.now();
        let until = now.checked_add(LOOK_AHEAD).unwrap_or(now);
        match self.app.catalog.due_jobs(until, MOST).await {
            Ok(jobs) => {
                // Whoever hears a queue shares the catalog with functions that do the rest.
                let all = self.queue.is_none();
                let ours = |job: &&Job| waits(job, now) && (all || job.needs_long_runner());
                self.found = jobs.iter().filter(ours).map(|job| job.id).collect();
            }
            Err(error) => tracing::warn!(%error, "the catalog could not be looked at; it is tried again"),
        }
    }
}

fn waits(job: &Job, now: jiff::Timestamp) -> bool {
    matches!(job.status, Status::Queued | Status::Running) && job.may_be_leased(now)
}

async fn answer(receiving: &mut Option<BoxFuture<'static, Received>>) -> Received {
    match receiving {
        Some(receiving) => receiving.await,
        None => std::future::pending().await,
    }
}

fn wait_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT),
    }
}
