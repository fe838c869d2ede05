//! Records of restores and test restores that nobody needs any more.

use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::plan::RECORD_DAYS;
use crate::app::App;
use crate::jobs;
use crate::model::{DatabaseId, Job, JobId, Work};
use crate::ports::{Cursor, JobFilter};
use crate::{ErrorKind, Result};

const PAGE: usize = 500;

/// Forgets the database's restores and test restores that ended more than [`RECORD_DAYS`] ago; answers how
/// many. The record of a restore whose old database is still kept stays: it says what undoes it.
pub(super) async fn forget_old(app: &App, id: DatabaseId) -> Result<usize> {
    let age = SignedDuration::from_hours(24 * i64::from(RECORD_DAYS));
    let Ok(before) = app.now().checked_sub(age) else { return Ok(0) };
    let filter = JobFilter { database_id: Some(id), ..JobFilter::default() };
    // Lists go from the newest to the oldest: this is the place from which on all are that old.
    let mut after = Some(Cursor { created_at: before, id: JobId(Ulid::nil()) });
    let mut forgotten = 0;
    loop {
        let page = app.catalog.jobs(&filter, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(forgotten) };
        after = Some(Cursor::after(last));
        for job in page.iter().filter(|job| is_forgettable(job, before)) {
            forgotten += usize::from(forget(app, job).await?);
        }
    }
}

fn is_forgettable(job: &Job, before: Timestamp) -> bool {
    let needed = match &job.work {
        Work::Dump(_) | Work::Package(_) => true,
        Work::Restore(restoration) => restoration.kept.is_some(),
        Work::Verify(_) => false,
    };
    let ended = job.status.is_terminal() && job.finished_at.is_some_and(|at| at < before);
    ended && !job.untold && !needed
}

async fn forget(app: &App, job: &Job) -> Result<bool> {
    if let Some(safety) = job.restoration().ok().and_then(|restoration| restoration.safety_backup) {
        // Without this record nobody could confirm the restore, and so let its safety backup go.
        unpin(app, safety).await?;
    }
    let marked = match jobs::update(app, job.id, Job::delete).await {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        marked => marked?,
    };
    crate::backup::sweep::finish_deletion(app, &marked).await
}

async fn unpin(app: &App, safety: JobId) -> Result<()> {
    let pinned = |job: &Job| job.backup().is_ok_and(|backup| backup.pinned);
    if !app.catalog.job(safety).await?.is_some_and(|job| pinned(&job)) {
        return Ok(());
    }
    let unpin = |job: &mut Job| {
        job.backup_mut()?.pinned = false;
        Ok(())
    };
    match jobs::update(app, safety, unpin).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        unpinned => unpinned.map(drop),
    }
}
