//! Asking for a test restore.

use jiff::SignedDuration;

use crate::app::App;
use crate::backup;
use crate::jobs;
use crate::model::{Job, JobId, Status, TestRestore, Work};
use crate::ports::Event;
use crate::{Error, Result};

/// A claim outlives every job that it stands for.
const CLAIM_LASTS: SignedDuration = SignedDuration::from_hours(24 * 60);
/// How often the claim of a job that has ended is replaced before others are believed to be faster.
const MOST_TRIES: usize = 10;

/// Queues a test restore of a backup. A backup has one that has not ended at most: asked again, that one is
/// answered. Asked twice with the same id, it is one test restore.
///
/// # Errors
/// `NotFound`, and `Conflict` for a backup that has no artifact.
pub async fn request(app: &App, backup: JobId, scheduled: bool, id: JobId) -> Result<Job> {
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job);
    }
    let backup = backup::get(app, backup).await?;
    if backup.status != Status::Succeeded || backup.backup()?.artifact.is_none() {
        let message =
            format!("backup {} is {}: it has no artifact to test", backup.id, backup.status.as_str());
        return Err(Error::conflict("verify a backup", message));
    }
    let key = format!("verify/{}", backup.id);
    for _ in 0..MOST_TRIES {
        let now = app.now();
        let until = now.checked_add(CLAIM_LASTS).ok();
        let holder = app.catalog.claim(&key, &id.to_string(), now, until).await?;
        let holder = holder.map_or(Ok(id), |text| text.parse::<JobId>())?;
        match app.catalog.job(holder).await? {
            // Ours now; or of somebody who died, or is just about to make the same.
            None => return queue(app, holder, &backup, scheduled).await,
            Some(job) if holder == id || !job.status.is_terminal() => return Ok(job),
            Some(_) => app.catalog.release_claim(&key, &holder.to_string()).await?,
        }
    }
    Err(Error::conflict("verify a backup", "others ask for the same all the time").with_retryable(true))
}

async fn queue(app: &App, id: JobId, backup: &Job, scheduled: bool) -> Result<Job> {
    let test = TestRestore { backup: backup.id, scheduled, verdict: None };
    let database = backup.owner()?;
    let job = Job::new(
        id,
        (database.id, database.uid),
        Work::Verify(Box::new(test)),
        app.now(),
        app.limits.attempts,
    );
    if !app.catalog.create_job(&job).await? {
        return jobs::get(app, id).await;
    }
    // It is queued, whoever hears of it; a tick rings again.
    if let Err(e) = app.doorbell.ring(&job).await {
        app.events.publish(Event::TickFailed(e.within("wake a worker"))).await?;
    }
    Ok(job)
}
