//! Locking good backups in a store that has such locks, and not touching what is locked.
//!
//! A backup that is to be locked says so in the write that makes it good ([`Lock::try_at`]). Whoever ended it
//! locks its objects at once; what fails is told, and a tick tries again. Until then the backup is as good as
//! any, and its record does not show a lock.

use jiff::Timestamp;

use crate::app::App;
use crate::jobs;
use crate::keys;
use crate::model::{BackupKind, Job, Lock, LockMode, Status};
use crate::ports::Event;
use crate::{Error, ErrorKind, Result};

/// The lock that a backup is to have which ends now: a safety backup has a rule of its own.
pub(super) fn wanted(app: &App, job: &Job, finished_at: Timestamp) -> Option<Lock> {
    let kind = job.backup().ok()?.kind;
    app.limits.object_lock.filter(|_| kind != BackupKind::Safety).map(|lock| lock.of(finished_at))
}

/// Locks the objects of a good backup, unless that is done. A refusal is told, and a tick tries again.
pub(crate) async fn see_to(app: &App, job: &Job) -> Result<()> {
    let Some(lock) = job.lock().filter(|_| job.lock_at().is_some()) else { return Ok(()) };
    let outcome = if lock.until > app.now() { lock_all(app, job, lock).await } else { Ok(()) };
    let now = app.now();
    let written = jobs::update(app, job.id, |job| {
        if let Some(lock) = &mut job.backup_mut()?.lock {
            match outcome {
                Ok(()) => lock.holds(),
                Err(_) => lock.refused(now),
            }
        }
        Ok(())
    });
    match written.await {
        // Deleted in the meantime.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        written => drop(written?),
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(e) => {
            let refused = e.within(&format!("backup {} is not locked", job.id));
            app.events.publish(Event::StorageRefused(refused)).await
        }
    }
}

async fn lock_all(app: &App, job: &Job, lock: Lock) -> Result<()> {
    let locks = app.storage.locks()?;
    for key in objects(job)? {
        locks.lock(&key, lock.mode, lock.until).await?;
    }
    Ok(())
}

/// The keys of a backup's objects, its manifest last.
fn objects(job: &Job) -> Result<Vec<String>> {
    let Some(artifact) = job.artifact() else { return Ok(Vec::new()) };
    let mut objects: Vec<String> = artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
    objects.push(keys::manifest(job.owner()?.uid, job.id, artifact.attempt));
    Ok(objects)
}

/// Whether a job's objects may have versions and locks, whatever its record knows of them.
pub(crate) fn is_possible(app: &App, job: &Job) -> bool {
    app.limits.object_lock.is_some() || job.lock().is_some()
}

/// Until when its store lets nobody remove it: what its record says, else what the store does. A lock that only
/// the store knew of (somebody lengthened it, or the catalog was rebuilt) is written into the record.
pub(crate) async fn held_until(app: &App, job: &Job) -> Result<Option<Timestamp>> {
    let now = app.now();
    if let Some(until) = job.lock().and_then(|lock| lock.held_until()).filter(|until| *until > now) {
        return Ok(Some(until));
    }
    if !is_possible(app, job) || job.artifact().is_none() {
        return Ok(None);
    }
    let Some((mode, until)) = longest(app, job).await?.filter(|(_, until)| *until > now) else {
        return Ok(None);
    };
    jobs::update(app, job.id, |job| {
        if job.status == Status::Succeeded {
            job.backup_mut()?.lock = Some(Lock { mode, until, try_at: None });
        }
        Ok(())
    })
    .await?;
    Ok(Some(until))
}

async fn longest(app: &App, job: &Job) -> Result<Option<(LockMode, Timestamp)>> {
    let locks = app.storage.locks()?;
    let mut longest: Option<(LockMode, Timestamp)> = None;
    for key in objects(job)? {
        let found = locks.locked(&key).await?;
        longest = longest.into_iter().chain(found).max_by_key(|(_, until)| *until);
    }
    Ok(longest)
}

/// Refuses to remove a backup that its store keeps.
///
/// # Errors
/// `Conflict`, with the date.
pub(crate) async fn refuse_locked(app: &App, job: &Job, operation: &str) -> Result<()> {
    match held_until(app, job).await? {
        None => Ok(()),
        Some(until) => Err(locked(job, until, operation)),
    }
}

/// The same by its record alone.
pub(super) fn refuse_known(job: &Job, now: Timestamp, operation: &str) -> Result<()> {
    match job.lock().and_then(|lock| lock.held_until()).filter(|until| *until > now) {
        None => Ok(()),
        Some(until) => Err(locked(job, until, operation)),
    }
}

fn locked(job: &Job, until: Timestamp, operation: &str) -> Error {
    Error::conflict(operation, format!("backup {} is locked until {until}", job.id))
        .with_mend("its store keeps it until then, whoever asks; delete it afterwards")
}
