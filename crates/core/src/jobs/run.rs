//! Taking a job: a place among `max_parallel_jobs`, then its lease.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::hand_over::{self, Begins};
use super::keeper::{Hears, Keeper, flush};
use super::place::Place;
use super::worker::Worker;
use super::{aftermath, update};
use crate::app::App;
use crate::engine::{JobLog, Meter};
use crate::model::{Job, JobId, Runner, WorkKind};
use crate::{ErrorKind, Result, backup, package, restore, verify};

/// How a run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It succeeded, failed for good, or was cancelled: its record says which.
    Ended,
    /// It waits in the queue for another try.
    Queued,
    /// It waits for a host without a deadline, which has been told.
    HandedOver,
    /// Nothing was done: another worker has it, or it needs nothing.
    NotOurs,
    /// All places are taken; it waits in the queue.
    NoPlace,
}

/// Works on a job of whatever kind. Every failure that belongs to the job is written into its record;
/// `Err` is only what could not be written there.
pub async fn run(app: &App, id: JobId, worker: &Worker) -> Result<Ran> {
    match app.catalog.job(id).await?.map(|job| job.work.kind()) {
        None => Ok(Ran::NotOurs),
        Some(WorkKind::Dump) => Box::pin(backup::run(app, id, worker)).await,
        Some(WorkKind::Restore) => Box::pin(restore::run(app, id, worker)).await,
        Some(WorkKind::Package) => Box::pin(package::run(app, id, worker)).await,
        Some(WorkKind::Verify) => Box::pin(verify::run(app, id, worker)).await,
    }
}

/// A job under our lease, in a place.
#[derive(Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) app: &'a App,
    pub(crate) worker: &'a Worker,
    pub(crate) place: &'a Place,
    pub(crate) id: JobId,
    pub(crate) fence: u64,
    /// What the job's database says becomes of it when this host's time is up.
    pub(crate) runner: Runner,
}

/// Takes a place and the lease of a job of this kind, and does its work.
pub(crate) async fn take<'a>(
    app: &'a App,
    id: JobId,
    kind: WorkKind,
    worker: &'a Worker,
    work: impl for<'b> FnOnce(Held<'b>, Job) -> BoxFuture<'b, Result<Ran>> + Send,
) -> Result<Ran> {
    let job = app.catalog.job(id).await?;
    let job = job.filter(|job| job.work.kind() == kind && job.may_be_leased(app.now()));
    let Some(job) = job.filter(|_| !worker.is_stopping()) else { return Ok(Ran::NotOurs) };
    let runner = match hand_over::begin(app, &job, worker).await? {
        Begins::Here(runner) => runner,
        Begins::Not(ran) => return Ok(ran),
    };
    let Some(place) = Place::take(app, id).await? else { return Ok(Ran::NoPlace) };
    let ran = in_place(&Post { app, worker, place: &place, runner }, id, work).await;
    let released = place.release(app).await;
    let ran = ran?;
    released?;
    Ok(ran)
}

/// Who works, and in which place.
pub(crate) struct Post<'a> {
    pub(crate) app: &'a App,
    pub(crate) worker: &'a Worker,
    pub(crate) place: &'a Place,
    pub(crate) runner: Runner,
}

/// Takes the lease of a job and does its work in a place that somebody holds.
pub(crate) async fn in_place<'a>(
    post: &Post<'a>,
    id: JobId,
    work: impl for<'b> FnOnce(Held<'b>, Job) -> BoxFuture<'b, Result<Ran>> + Send,
) -> Result<Ran> {
    let Post { app, worker, place, runner } = *post;
    let (now, lease) = (app.now(), app.limits.lease);
    let mut fence = 0;
    let leased = update(app, id, |job| {
        fence = job.lease(&worker.owner, now, lease)?;
        Ok(())
    });
    let job = match leased.await {
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => return Ok(Ran::NotOurs),
        leased => leased?,
    };
    let _told = worker.tell_leased(id);
    work(Held { app, worker, place, id, fence, runner }, job).await
}

impl<'a> Held<'a> {
    /// Where another job may be worked on meanwhile.
    pub(crate) fn post(&self) -> Post<'a> {
        Post { app: self.app, worker: self.worker, place: self.place, runner: self.runner }
    }

    /// Keeps the job ours while it is worked on.
    pub(crate) fn keeper(&self, meter: &Arc<Meter>, log: &JobLog) -> Keeper<'a> {
        Keeper {
            app: self.app,
            id: self.id,
            fence: self.fence,
            place: self.place,
            worker: self.worker,
            meter: Arc::clone(meter),
            log: log.clone(),
            runner: self.runner,
            hears: Hears::Everybody,
        }
    }

    /// Writes a transition of the job, under the fence.
    pub(crate) async fn change(
        &self,
        mut change: impl FnMut(&mut Job, u64, Timestamp) -> Result<()> + Send,
    ) -> Result<Job> {
        let now = self.app.now();
        update(self.app, self.id, |job| change(job, self.fence, now)).await
    }

    /// Writes the log's lines before the record tells the end, so that whoever sees the end finds them. What
    /// cannot be written now is written behind it.
    pub(crate) async fn tell_first(&self, log: &JobLog) {
        let _again_at_the_end = flush(self.app, self.id, log).await;
    }

    /// Whether the job is to be handed over because of this host's deadline.
    pub(crate) fn is_out_of_time(&self) -> bool {
        self.worker.is_time_up() && self.runner != Runner::Lambda
    }

    /// Hands the job to a host without a deadline, after `also` has been written down.
    pub(crate) async fn hand_over(&self, log: &JobLog, mut also: impl FnMut(&mut Job) + Send) -> Result<Ran> {
        log.info("the time of this host is up; the job is handed to a host without a deadline");
        let handed_over = self.change(|job, fence, now| {
            job.hand_over(fence, now)?;
            also(job);
            Ok(())
        });
        hand_over::hand_on(self.app, &handed_over.await?, log).await
    }

    /// Writes a transition that ends our work, and sees to what follows from it.
    pub(crate) async fn end(
        &self,
        change: impl FnMut(&mut Job, u64, Timestamp) -> Result<()> + Send,
    ) -> Result<Ran> {
        let job = self.change(change).await?;
        if !job.status.is_terminal() {
            return Ok(Ran::Queued);
        }
        // What fails here is left to a tick.
        let _next_tick = aftermath::see_to(self.app, &job).await;
        Ok(Ran::Ended)
    }
}
