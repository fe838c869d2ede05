//! Tombstones: the id of a backup, or of a package, that was deleted stays used.
//!
//! Whoever asks twice is given the same id, and a conditional create gives it one job: the slot of a schedule, a
//! request with an `Idempotency-Key`, the address that a file is sent to. That holds while the record is there. Who asks
//! again when it has been made *and deleted* would make a second one in the first one's place, where deletions of the
//! first may still be under way: a tick that was stopped for long, a client that sends its request again, a file that
//! is sent again. The tombstone tells them not to.

use jiff::SignedDuration;

use crate::app::App;
use crate::model::{Job, JobId, Status};
use crate::{Error, ErrorKind, Result};

/// How long an id is known to have been used. No host stops a tick for longer and lets it go on; requests are
/// remembered for a day.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

fn key(id: JobId) -> String {
    format!("gone/{id}")
}

/// Marks the id of a backup or a package as used, before its record goes.
pub(crate) async fn bury(app: &App, job: &Job) -> Result<()> {
    let now = app.now();
    app.catalog.claim(&key(job.id), "deleted", now, Some(now + KEPT)).await.map(drop)
}

/// Whether a job had this id that was deleted.
pub(crate) async fn is_used(app: &App, id: JobId) -> Result<bool> {
    Ok(app.catalog.claimed(&key(id), app.now()).await?.is_some())
}

/// Refuses to make again what the same request has made before.
///
/// # Errors
/// `Conflict`.
pub(crate) async fn refuse_used(app: &App, id: JobId, operation: &str) -> Result<()> {
    if !is_used(app, id).await? {
        return Ok(());
    }
    let why = format!("the same request has made {id} before, and that was deleted");
    Err(Error::conflict(operation, why).with_mend("send it with another Idempotency-Key, or with none"))
}

/// Removes the job again, if it was made in place of one that was deleted before and nobody has begun to work on
/// it. True when it is gone. Asked *after* its creation: that was possible either because there never was such a
/// job, or because its record had gone, and its tombstone came before that.
pub(crate) async fn lay_to_rest(app: &App, job: &Job) -> Result<bool> {
    if job.attempts.current > 0 || !is_used(app, job.id).await? {
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
