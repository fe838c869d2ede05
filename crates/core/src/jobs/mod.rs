//! Jobs: look up, log, cancel, and the one way in which their records are changed.

pub(crate) mod aftermath;
mod hand_over;
pub(crate) mod keeper;
pub(crate) mod place;
mod placement;
mod run;
mod unended;
mod worker;

pub(crate) use self::place::live_places;
pub(crate) use self::run::{Held, Post, in_place, take};
pub use self::run::{Ran, run};
pub(crate) use self::unended::{active_restore, needed, restores_of, running_dump};
pub use self::worker::{MARGIN, Worker};
use crate::app::App;
use crate::model::{Job, JobId};
use crate::ports::LogEntry;
use crate::{Error, ErrorKind, Result};

/// How often a change is applied anew to a record that others keep changing.
pub(crate) const MOST_CONFLICTS: usize = 20;

/// One job, or `NotFound`.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    app.catalog.job(id).await?.ok_or_else(|| Error::not_found("job", id))
}

/// Lines of a job's log after `after`.
pub async fn log(app: &App, id: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
    get(app, id).await?;
    app.catalog.log(id, after, limit).await
}

/// Asks a job to stop: at once while it waits, within a few seconds while it runs.
pub async fn cancel(app: &App, id: JobId) -> Result<Job> {
    let now = app.now();
    let job = update(app, id, |job| job.cancel(now)).await?;
    if job.status.is_terminal() {
        // What fails here is left to a tick.
        let _next_tick = aftermath::see_to(app, &job).await;
    }
    Ok(job)
}

/// Applies a transition to the newest record, again if somebody else was faster.
pub(crate) async fn update(
    app: &App,
    id: JobId,
    mut change: impl FnMut(&mut Job) -> Result<()> + Send,
) -> Result<Job> {
    for _ in 0..MOST_CONFLICTS {
        let mut job = get(app, id).await?;
        change(&mut job)?;
        match app.catalog.update_job(&job).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            done => return done,
        }
    }
    Err(Error::conflict("change a job", format!("job {id} changes too often")).with_retryable(true))
}
