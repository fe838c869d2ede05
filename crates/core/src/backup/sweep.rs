//! Removing what attempts left behind and what was deleted.
//!
//! Only what belongs to a backup or a package of this catalog is ever removed, under an attempt that it did not
//! commit or after it was marked `deleting`: whatever else lies in storage is somebody else's.

use super::lock;
use super::naming::claim_key;
use super::tombstone;
use crate::app::App;
use crate::jobs;
use crate::keys;
use crate::model::{Job, Status, WorkKind};
use crate::ports::Event;
use crate::retention::heirs;
use crate::{ErrorKind, Result, package, verify};

/// Removes the leftovers of every attempt of an ended job that did not commit, when that is due.
/// Answers how many attempts.
pub(crate) async fn sweep(app: &App, job: &Job) -> Result<usize> {
    complain(app).await?;
    let now = app.now();
    if !job.sweep_is_due(now) {
        return Ok(0);
    }
    let litter = &job.attempts.litter;
    for attempt in litter {
        match job.work.kind() {
            // Boxed, because every sweep's own future would have to have room for it.
            WorkKind::Verify => Box::pin(verify::clear_away(app, job.id, *attempt)).await?,
            _ => remove_attempt(app, job, *attempt).await?,
        }
    }
    let swept = jobs::update(app, job.id, |job| {
        job.swept_after_end(litter, now);
        Ok(())
    });
    match swept.await {
        // Deleted in the meantime, with all that belonged to it.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(litter.len()),
        swept => swept.map(|_| litter.len()),
    }
}

/// Settles what an attempt may have written after its job was taken from it. Whoever has the job now
/// may be adopting the attempt, so it is removed only where that is ruled out, and else left on the
/// job's list.
pub(crate) async fn disown(app: &App, job: &Job, attempt: u32) -> Result<()> {
    let mut ours = true;
    let confessed = jobs::update(app, job.id, |job| {
        ours = job.confess(attempt);
        Ok(())
    });
    match confessed.await {
        Err(e) if e.kind() == ErrorKind::NotFound => remove_attempt(app, job, attempt).await,
        Ok(job) if ours => sweep(app, &job).await.map(drop),
        confessed => confessed.map(drop),
    }
}

/// Tells what storage refused and nothing stopped for.
pub(crate) async fn complain(app: &App) -> Result<()> {
    match app.storage.complaint() {
        Some(refusal) => app.events.publish(Event::StorageRefused(refusal)).await,
        None => Ok(()),
    }
}

/// Where a job's objects lie.
fn folder(job: &Job) -> Result<String> {
    match job.work.kind() {
        WorkKind::Package => Ok(keys::package_prefix(job.id)),
        _ => Ok(keys::backup_prefix(job.owner()?.uid, job.id)),
    }
}

/// Removes all that one attempt put into storage: the name that people see, then manifest, then
/// artifact.
pub(crate) async fn remove_attempt(app: &App, job: &Job, attempt: u32) -> Result<()> {
    let folder = keys::attempt_below(&folder(job)?, attempt);
    let keys = app.storage.list(&folder).await?;
    if let Some(name) = job.file_name() {
        // The volumes that are there, and the one that was on its way.
        for number in 1..=keys.len() + 1 {
            app.storage.abort_unfinished(&keys::volume_below(&folder, name, number)).await?;
        }
    }
    app.storage.hide(&keys).await?;
    empty(app, job, &folder).await?;
    complain(app).await
}

/// Removes everything below a job's folder: for good where the store keeps versions because of locks.
async fn empty(app: &App, job: &Job, folder: &str) -> Result<usize> {
    if lock::is_possible(app, job) {
        return app.storage.purge_below(folder).await;
    }
    app.storage.delete_below(folder).await
}

/// Removes what the record itself names: the record is the last to know it, and a store's list may be
/// behind.
async fn remove_committed(app: &App, job: &Job) -> Result<()> {
    let Some(artifact) = job.artifact() else { return Ok(()) };
    let volumes: Vec<String> = artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
    app.storage.hide(&volumes).await?;
    if lock::is_possible(app, job) {
        // A list of versions is never behind, and removing them one by one would only leave marks.
        return Ok(());
    }
    let attempt = keys::attempt_below(&folder(job)?, artifact.attempt);
    app.storage.delete(&keys::manifest_below(&attempt)).await?;
    for volume in &volumes {
        app.storage.delete(volume).await?;
    }
    Ok(())
}

/// Removes all that a job has in storage.
async fn remove_stored(app: &App, job: &Job) -> Result<()> {
    for attempt in &job.attempts.litter {
        remove_attempt(app, job, *attempt).await?;
    }
    remove_committed(app, job).await?;
    let folder = folder(job)?;
    let keys = app.storage.list(&folder).await?;
    app.storage.hide(&keys).await?;
    empty(app, job, &folder).await.map(drop)
}

/// Goes on with a deletion. True when it is gone; false while a reader holds it.
pub(crate) async fn finish_deletion(app: &App, job: &Job) -> Result<bool> {
    if job.status != Status::Deleting {
        return Ok(false);
    }
    // Before anything else: who died between the mark and this may have left it undone.
    match job.work.kind() {
        WorkKind::Dump => heirs::protect(app, job).await?,
        WorkKind::Package => package::hand_counts_on(app, job).await?,
        WorkKind::Restore | WorkKind::Verify => return forget(app, job).await,
    }
    let readers = app.catalog.live_leases(&super::download::lease_prefix(job.id), app.now()).await?;
    if !readers.is_empty() {
        return Ok(false);
    }
    // Before its first attempt nothing of it was in storage: a record of a skipped slot costs no request.
    if job.attempts.current > 0 || job.artifact().is_some() {
        remove_stored(app, job).await?;
    }
    if let Some(name) = job.file_name() {
        app.catalog.release_claim(&claim_key(name), &job.id.to_string()).await?;
    }
    tombstone::bury(app, job).await?;
    forget(app, job).await
}

/// Removes a record that stands for nothing any more.
async fn forget(app: &App, job: &Job) -> Result<bool> {
    match app.catalog.delete_job(job).await {
        // Somebody else has finished it.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
            Ok(app.catalog.job(job.id).await?.is_none())
        }
        done => done.map(|()| true),
    }
}
