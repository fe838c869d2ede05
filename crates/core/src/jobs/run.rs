//! Taking a job: a place among `max_parallel_jobs`, then its lease.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::keeper::Keeper;
use super::place::Place;
use super::worker::Worker;
use super::{aftermath, update};
use crate::app::App;
use crate::engine::{JobLog, Meter};
use crate::model::{Job, JobId, WorkKind};
use crate::{ErrorKind, Result, backup, package, restore, verify};

/// How a run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It succeeded, failed for good, or was cancelled: its record says which.
    Ended,
    /// It waits in the queue for another try.
    Queued,
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
    if job.is_none() || worker.is_stopping() {
        return Ok(Ran::NotOurs);
    }
    let Some(place) = Place::take(app, id).await? else { return Ok(Ran::NoPlace) };
    let ran = in_place(app, id, worker, &place, work).await;
    let released = place.release(app).await;
    let ran = ran?;
    released?;
    Ok(ran)
}

/// Takes the lease of a job and does its work in a place that somebody holds.
pub(crate) async fn in_place<'a>(
    app: &'a App,
    id: JobId,
    worker: &'a Worker,
    place: &'a Place,
    work: impl for<'b> FnOnce(Held<'b>, Job) -> BoxFuture<'b, Result<Ran>> + Send,
) -> Result<Ran> {
    let (now, lease) = (app.now(), app.limits.lease);
    let mut fence = 0;
    let leased = update(app, id, |job| {
        fence = job.lease(&worker.owner, now, lease)?;
        Ok(())
    });
    match leased.await {
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => Ok(Ran::NotOurs),
        leased => work(Held { app, worker, place, id, fence }, leased?).await,
    }
}

impl<'a> Held<'a> {
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
            deaf: false,
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
