//! A worker on its own, without API and scheduler: it takes jobs that need a host without a deadline, from a
//! queue and from the catalog. Where there is no queue, it takes every job.

mod calls;
mod once;
mod settled;
#[cfg(feature = "aws")]
mod sqs;

use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use respaldo_adapters::pushgateway::{self, Gateway};
use respaldo_adapters::time::SystemIds;
use respaldo_api::function::JobFn;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{JobId, WorkKind};
use respaldo_core::ports::Ids as _;
use respaldo_core::{App, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::calls::{Call, Calls};
use crate::worker::{report_panic, work_on};
use crate::{Installation, Settings, functions};

/// How long running jobs have to stop cleanly and go back to the queue.
const LONGEST_STOP: Duration = Duration::from_secs(20);

/// A queue that calls this worker.
pub(crate) trait Queue: Send + Sync {
    /// Waits for a letter, some seconds at most.
    fn receive(&self) -> BoxFuture<'_, Result<Option<Letter>>>;

    /// Takes a letter off the queue, where it comes again otherwise.
    fn delete<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<()>>;
}

/// What a queue gave out.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only SQS gives letters out"))]
pub(crate) struct Letter {
    /// What it asks for; none where it cannot be read.
    pub(crate) asks: Result<Asks>,
    /// By which the queue knows it.
    pub(crate) receipt: String,
}

/// What a letter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only SQS gives letters out"))]
pub(crate) enum Asks {
    /// To look whether this job may be worked on.
    Job(JobId),
    /// To look at what is due.
    Tick,
}

/// Works until `stop` ends, or with `once` until that job has ended; then stops its jobs, which go back to the
/// queue.
///
/// # Errors
/// When something that the settings name cannot be used, and with `once` when the job cannot be worked on; its own
/// failure stands in its record. Later failures belong to jobs.
pub async fn work(
    settings: &Settings,
    once: Option<JobId>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let mut installation = Installation::open(settings).await?;
    settled::settle(&mut installation.app, settings).await?;
    let Connected { installation, queue } = connect(installation).await?;
    let Installation { app, rings } = installation;
    let owner = format!("worker {} {}", process::id(), SystemIds.ulid(app.now()));
    let desk = Desk {
        works: functions().into_iter().filter_map(|function| function.job).collect(),
        worker: Arc::new(Worker::new(owner)),
        queue,
        gateway: settings.pushgateway.clone(),
        app,
    };
    if let Some(id) = once {
        return once::work(&desk, id, stop).await;
    }
    tracing::info!(queue = desk.queue.is_some(), "working");
    let calls = Calls::new(desk.app.clone(), desk.queue.clone(), rings);
    desk.answer(calls, stop).await;
    tracing::info!("stopped");
    Ok(())
}

struct Connected {
    installation: Installation,
    queue: Option<Arc<dyn Queue>>,
}

#[cfg(feature = "aws")]
async fn connect(installation: Installation) -> Result<Connected> {
    sqs::connect(installation).await
}

#[cfg(not(feature = "aws"))]
async fn connect(installation: Installation) -> Result<Connected> {
    // Asynchronous as its twin is, which asks Amazon's SDK for a configuration.
    std::future::ready(Ok(Connected { installation, queue: None })).await
}

/// What jobs are worked on with.
#[derive(Clone)]
struct Desk {
    app: App,
    works: Arc<[(WorkKind, JobFn)]>,
    worker: Arc<Worker>,
    queue: Option<Arc<dyn Queue>>,
    gateway: Option<Gateway>,
}

impl Desk {
    async fn answer(&self, mut calls: Calls, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.app.limits.max_parallel_jobs as usize));
        let mut runs = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            // A place first: what is taken from the queue is worked on at once.
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                Some((place, calls.next().await))
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = runs.join_next() => report_panic(ended),
                Some((place, call)) = next => { runs.spawn(self.clone().take(call, place)); }
            }
        }
        self.worker.stop();
        let all_ended = async {
            while let Some(ended) = runs.join_next().await {
                report_panic(ended);
            }
        };
        if timeout(LONGEST_STOP, all_ended).await.is_err() {
            tracing::warn!(
                jobs = runs.len(),
                "jobs did not stop in time; their leases expire and they run again"
            );
        }
    }

    async fn take(self, call: Call, _place: OwnedSemaphorePermit) {
        match call {
            Call::Job(id) => report(id, work_on(&self.app, &self.works, id, &self.worker).await),
            Call::Letter(letter) => match letter.asks {
                Ok(Asks::Job(id)) => self.take_letter(id, &letter).await,
                Ok(Asks::Tick) => self.tick(&letter).await,
                // Its queue gives it to the dead letters when it has come often enough.
                Err(ref error) => {
                    tracing::error!(%error, "a message cannot be read; it is left in its queue");
                }
            },
        }
    }

    /// From the lease on, whatever becomes of the job is the catalog's: its letter is not needed any more.
    async fn take_letter(&self, id: JobId, letter: &Letter) {
        let mut run = pin!(work_on(&self.app, &self.works, id, &self.worker));
        let leased = async {
            self.worker.leased(id).await;
            self.delete(letter).await;
        };
        let (ran, deleted) = tokio::select! {
            ran = &mut run => (ran, false),
            () = leased => (run.await, true),
        };
        if ran.is_ok() && !deleted {
            self.delete(letter).await;
        }
        report(id, ran);
    }

    async fn tick(&self, letter: &Letter) {
        for tick in functions().into_iter().filter_map(|function| function.tick) {
            if let Err(error) = tick(&self.app).await {
                // The letter comes again.
                tracing::error!(%error, "a tick failed");
                return;
            }
        }
        if let Some(gateway) = &self.gateway {
            // It tells of its own failures, and is none of the tick's.
            let _pushed = pushgateway::push(&self.app, gateway).await;
        }
        self.delete(letter).await;
    }

    async fn delete(&self, letter: &Letter) {
        let Some(queue) = &self.queue else { return };
        if let Err(error) = queue.delete(letter).await {
            // It comes again, finds nothing to do, and is deleted then.
            tracing::warn!(%error, "a message could not be deleted");
        }
    }
}

fn report(id: JobId, ran: Result<Ran>) {
    match ran {
        Ok(Ran::NoPlace) => tracing::debug!(job = %id, "all places are taken; it waits in the queue"),
        Ok(ran) => tracing::debug!(job = %id, ?ran, "ran"),
        Err(error) => tracing::error!(job = %id, %error, "a job's run could not be recorded"),
    }
}
