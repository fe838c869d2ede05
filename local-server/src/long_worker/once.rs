//! One job, and no other: what a task is started for.

use std::pin::{Pin, pin};
use std::time::Duration;

use respaldo_core::jobs::Ran;
use respaldo_core::model::{JobId, Status};
use respaldo_core::{Error, Result};
use tokio::time::{sleep, timeout};

use super::{Desk, LONGEST_STOP};
use crate::worker::work_on;

/// While all places are taken, one is asked for this often.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Whoever waits longer for the job's next try, or for a place, ends: by then another task is started for it, and
/// two must not wait for the same.
const LONGEST_WAIT: Duration = Duration::from_mins(4);

/// Works on a job until it has ended, somebody else works on it, or its next try is far off.
pub(super) async fn work(desk: &Desk, id: JobId, stop: impl Future<Output = ()>) -> Result<()> {
    let mut stop = pin!(stop);
    if desk.app.catalog.job(id).await?.is_none() {
        return Err(Error::not_found("job", id));
    }
    let mut waited = Duration::ZERO;
    while let Some(ran) = run(desk, id, stop.as_mut()).await? {
        waited = if ran == Ran::NoPlace { waited + ASK_AGAIN } else { Duration::ZERO };
        let Some(wait) = next_try(desk, id, ran).await?.filter(|wait| waited + *wait <= LONGEST_WAIT) else {
            break;
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = &mut stop => break,
        }
    }
    Ok(())
}

/// One run; none when this process has to stop.
async fn run(desk: &Desk, id: JobId, stop: Pin<&mut impl Future<Output = ()>>) -> Result<Option<Ran>> {
    let mut run = pin!(work_on(&desk.app, &desk.works, id, &desk.worker));
    tokio::select! {
        ran = &mut run => return ran.map(Some),
        () = stop => {}
    }
    desk.worker.stop();
    if let Ok(ran) = timeout(LONGEST_STOP, run).await {
        return ran.map(|_| None);
    }
    tracing::warn!(job = %id, "the job did not stop in time; its lease expires and it runs again");
    Ok(None)
}

/// How long to wait for the job's next try; none when nothing is left to do for us.
async fn next_try(desk: &Desk, id: JobId, ran: Ran) -> Result<Option<Duration>> {
    let Some(job) = desk.app.catalog.job(id).await? else { return Ok(None) };
    tracing::info!(job = %id, ?ran, status = job.status.as_str(), "ran");
    if job.status != Status::Queued {
        return Ok(None);
    }
    let now = desk.app.now();
    let until = job.attempts.not_before.map(|at| at.duration_since(now));
    let wait = until.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or_default();
    Ok(Some(if ran == Ran::NoPlace { wait.max(ASK_AGAIN) } else { wait }))
}
