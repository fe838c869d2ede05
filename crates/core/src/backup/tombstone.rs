//! Tombstones: the slot of a backup, or of a package, that was deleted stays used.
//!
//! A slot's job has an id that follows from its slot, and a conditional create gives it one job. That
//! holds while the record is there. A tick that had read the database, was stopped for long, and goes on
//! when the backup has been made *and deleted* would make a second one; the tombstone tells it not to.

use jiff::SignedDuration;

use crate::app::App;
use crate::model::{Job, Status};
use crate::{ErrorKind, Result};

/// How long a slot is known to have been used. No host stops a tick for longer and lets it go on.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

fn key(job: &Job) -> String {
    format!("gone/{}", job.id)
}

/// Marks the slot of a scheduled backup as used, before its record goes.
pub(crate) async fn bury(app: &App, job: &Job) -> Result<()> {
    if job.slot().is_none() {
        return Ok(());
    }
    let now = app.now();
    app.catalog.claim(&key(job), "deleted", now, Some(now + KEPT)).await.map(drop)
}

/// Whether this scheduled job was made for a slot whose backup was deleted before. Asked *after* its
/// creation: that was possible either because the slot never had a job, or because the job's record had
/// gone, and its tombstone came before that.
async fn is_buried(app: &App, job: &Job) -> Result<bool> {
    if job.slot().is_none() {
        return Ok(false);
    }
    Ok(app.catalog.claimed(&key(job), app.now()).await?.is_some())
}

/// Removes the job again, if it was made for a slot whose backup was deleted before and nobody has begun
/// to work on it. True when it is gone.
pub(crate) async fn lay_to_rest(app: &App, job: &Job) -> Result<bool> {
    if job.attempts.current > 0 || !is_buried(app, job).await? {
        return Ok(false);
    }
    let Some(stored) = app.catalog.job(job.id).await? else { return Ok(true) };
    if stored.attempts.current > 0 || stored.status == Status::Deleting {
        return Ok(false);
    }
    match app.catalog.delete_job(&stored).await {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
            Ok(app.catalog.job(job.id).await?.is_none())
        }
        done => done.map(|()| true),
    }
}
