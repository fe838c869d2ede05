//! The worker: answers the doorbell with as many runs at once as there may be jobs.

use std::sync::Arc;
use std::time::Duration;

use respaldo_api::function::JobFn;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{JobId, WorkKind};
use respaldo_core::{App, Error, Result};
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long running jobs have to stop cleanly and go back to the queue.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// Works until told to stop; then stops its jobs, which go back to the queue.
pub(crate) async fn run(
    app: App,
    works: Vec<(WorkKind, JobFn)>,
    worker: Arc<Worker>,
    mut rings: Receiver<JobId>,
    mut stop: watch::Receiver<bool>,
) {
    let works: Arc<[(WorkKind, JobFn)]> = works.into();
    let places = Arc::new(Semaphore::new(app.limits.max_parallel_jobs as usize));
    let mut runs = JoinSet::new();
    loop {
        // A place first: rings wait in the doorbell, not in tasks.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, rings.recv().await?))
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            Some(ended) = runs.join_next() => report_panic(ended),
            next = next => match next {
                Some((place, id)) => { runs.spawn(run_one(app.clone(), Arc::clone(&works), Arc::clone(&worker), id, place)); }
                None => break,
            },
        }
    }
    worker.stop();
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

async fn run_one(
    app: App,
    works: Arc<[(WorkKind, JobFn)]>,
    worker: Arc<Worker>,
    id: JobId,
    _place: OwnedSemaphorePermit,
) {
    match work_on(&app, &works, id, &worker).await {
        Ok(Ran::NoPlace) => tracing::debug!(job = %id, "all places are taken; it waits in the queue"),
        Ok(ran) => tracing::debug!(job = %id, ?ran, "ran"),
        Err(error) => tracing::error!(job = %id, %error, "a job's run could not be recorded"),
    }
}

/// Has the function do the job whose kind it is.
pub(crate) async fn work_on(
    app: &App,
    works: &[(WorkKind, JobFn)],
    id: JobId,
    worker: &Worker,
) -> Result<Ran> {
    let Some(job) = app.catalog.job(id).await? else { return Ok(Ran::NotOurs) };
    let work = works.iter().find(|(kind, _)| *kind == job.work.kind());
    let (_, work) = work.ok_or_else(|| {
        Error::internal("work on a job", format!("no function here works on {}", job.work.as_str()))
    })?;
    work(app, id, worker).await
}

pub(crate) fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a job's run panicked; its lease expires and it runs again");
    }
}
