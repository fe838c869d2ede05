//! The worker: answers the doorbell with as many runs at once as there may be jobs.

use std::sync::Arc;
use std::time::Duration;

use respaldo_api::function::JobFn;
use respaldo_core::App;
use respaldo_core::backup::{Ran, Worker};
use respaldo_core::model::JobId;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long running jobs have to stop cleanly and go back to the queue.
const LONGEST_STOP: Duration = Duration::from_secs(10);

/// Works until told to stop; then stops its jobs, which go back to the queue.
pub(crate) async fn run(
    app: App,
    job: JobFn,
    worker: Arc<Worker>,
    mut rings: Receiver<JobId>,
    mut stop: watch::Receiver<bool>,
) {
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
                Some((place, id)) => { runs.spawn(run_one(app.clone(), job, Arc::clone(&worker), id, place)); }
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

async fn run_one(app: App, job: JobFn, worker: Arc<Worker>, id: JobId, _place: OwnedSemaphorePermit) {
    match job(&app, id, &worker).await {
        Ok(Ran::NoPlace) => tracing::debug!(job = %id, "all places are taken; it waits in the queue"),
        Ok(ran) => tracing::debug!(job = %id, ?ran, "ran"),
        Err(error) => tracing::error!(job = %id, %error, "a job's run could not be recorded"),
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a job's run panicked; its lease expires and it runs again");
    }
}
