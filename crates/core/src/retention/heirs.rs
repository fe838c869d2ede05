//! What makes removing safe when others remove at the same time.
//!
//! Retention reads which backup is the newest good one, and then marks an older one as `deleting`. In
//! between somebody may delete that newest one by hand, and then the older one is the newest. The catalog
//! has no write over two records, so the two meet in one: **whoever deletes a good backup rewrites, before
//! anything of it is touched, the records of those that inherit its place.** A removal that was decided
//! before is then refused, because its record has another revision than the one it read.
//!
//! A verdict that takes its `ok` from a backup does the same with the verified one that is then the newest.
//!
//! So a removal by retention is either refused, or it came before the deletion by hand had been answered:
//! then it is as if retention had run first.

use crate::app::App;
use crate::jobs::MOST_CONFLICTS;
use crate::model::{DatabaseId, Job, Outline, Status, VerificationStatus};
use crate::ports::{Cursor, JobFilter};
use crate::{Error, ErrorKind, Result};

const PAGE: usize = 100;

/// Rewrites the records of the backups that take this one's place as the newest good or the newest
/// verified one, now that it is marked as `deleting`.
pub(crate) async fn protect(app: &App, removed: &Job) -> Result<()> {
    if removed.backup()?.artifact.is_none() {
        return Ok(());
    }
    for _ in 0..MOST_CONFLICTS {
        if rewrite_all(app, &heirs(app, removed).await?).await? {
            return Ok(());
        }
    }
    let database = removed.owner()?.id;
    Err(Error::conflict("delete a backup", format!("backups of database {database} change too often"))
        .with_retryable(true))
}

/// The same when a verdict takes its `ok` from a backup that stays: the newest verified one of those before
/// it inherits its place. To be called when the verdict is written, and before the test restore has ended.
pub(crate) async fn protect_verified(app: &App, dethroned: &Job) -> Result<()> {
    let place = (dethroned.created_at, dethroned.id);
    for _ in 0..MOST_CONFLICTS {
        let mut heirs = newest(app, dethroned.owner()?.id, Outline::is_verified).await?;
        heirs.retain(|heir| (heir.created_at, heir.id) < place);
        if rewrite_all(app, &heirs).await? {
            return Ok(());
        }
    }
    let database = dethroned.owner()?.id;
    Err(Error::conflict("record a verdict", format!("backups of database {database} change too often"))
        .with_retryable(true))
}

/// False when one of them has changed since it was read: then it may be no heir any more.
async fn rewrite_all(app: &App, heirs: &[Job]) -> Result<bool> {
    for heir in heirs {
        match app.catalog.update_job(heir).await {
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => return Ok(false),
            written => drop(written?),
        }
    }
    Ok(true)
}

/// The backups that are now the newest good one and, where it was verified, the newest verified one, as far
/// as they are older than the removed one: where a newer one stays, nothing is inherited.
async fn heirs(app: &App, removed: &Job) -> Result<Vec<Job>> {
    let Some(lost) = Outline::of(removed) else { return Ok(Vec::new()) };
    let mut heirs = newest(app, removed.owner()?.id, Outline::is_good).await?;
    if lost.verdict == Some(VerificationStatus::Ok) {
        heirs.extend(newest(app, removed.owner()?.id, Outline::is_verified).await?);
    }
    heirs.retain(|heir| (heir.created_at, heir.id) < lost.place());
    heirs.sort_by_key(|heir| heir.id);
    heirs.dedup_by_key(|heir| heir.id);
    Ok(heirs)
}

/// The newest such backup; where its time has not come, the newest besides whose time has.
pub(crate) async fn newest(app: &App, database: DatabaseId, such: fn(&Outline) -> bool) -> Result<Vec<Job>> {
    let now = app.now();
    let filter = JobFilter {
        database_id: Some(database),
        status: Some(Status::Succeeded),
        backups_only: true,
        ..JobFilter::default()
    };
    let (mut found, mut after, mut page_size) = (Vec::<Job>::new(), None, 1);
    loop {
        let page = app.catalog.jobs(&filter, after, page_size).await?;
        let Some(last) = page.last() else { return Ok(found) };
        // Nearly always the first is the one.
        (after, page_size) = (Some(Cursor::after(last)), PAGE);
        for job in page.into_iter().filter(|job| Outline::of(job).is_some_and(|outline| such(&outline))) {
            let come = job.created_at <= now;
            if come || found.is_empty() {
                found.push(job);
            }
            if come {
                return Ok(found);
            }
        }
    }
}
