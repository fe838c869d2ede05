//! Backups: request, list, download, delete, and the dump job itself.
//!
//! The path of a backup through this module:
//! [`request`] queues a job → [`run`] takes its lease and a place → `attempt` dumps, seals and stores →
//! the manifest is written → the catalog says `succeeded`. What went wrong on the way is removed by
//! the attempt itself, or, after a crash, by the sweep or the next attempt.

mod adopt;
pub(crate) mod attempt;
pub(crate) mod download;
pub(crate) mod lock;
mod manifest;
pub(crate) mod naming;
pub mod open;
mod run;
pub(crate) mod staging;
pub(crate) mod sweep;
pub(crate) mod tombstone;

pub(crate) use self::adopt::in_clear;
pub use self::download::{Download, HANDED_OUT, HandedOut, Piece};
pub(crate) use self::naming::claim_key;
pub use self::run::run;
pub(crate) use self::run::{run_in_place, take_in};
use crate::app::App;
use crate::databases;
use crate::engine;
use crate::jobs::{self, aftermath};
use crate::model::{Backup, BackupKind, Database, DatabaseId, Job, JobId, Runner, Status};
use crate::ports::{Cursor, Event, JobFilter, Totals};
use crate::retention::heirs;
use crate::{Error, Result};

/// Asks for a manual backup of a database. `id` is the job's, when the caller has already chosen it;
/// asked twice with the same id, it is one backup.
pub async fn request(app: &App, database: DatabaseId, id: Option<JobId>) -> Result<Job> {
    let database = databases::get(app, database).await?;
    if let Some(reason) = databases::held_back(app, &database).await? {
        return Err(Error::invalid(
            "database_id",
            format!("database {} is held back: {reason}", database.id),
        ));
    }
    let now = app.now();
    if let Some(id) = id {
        tombstone::refuse_used(app, id, "back up a database").await?;
    }
    let id = id.unwrap_or_else(|| JobId(app.ids.ulid(now)));
    if let Some(restore) = jobs::active_restore(app, database.id).await? {
        let message = format!("restore {restore} is at work on database {}", database.id);
        return Err(Error::conflict("back up a database", message).with_mend("ask again when it has ended"));
    }
    let job = queued(app, &database, BackupKind::Manual, id, now);
    if !app.catalog.create_job(&job).await? {
        return jobs::get(app, id).await;
    }
    // The backup is queued, whoever hears of it; a tick rings again.
    if let Err(e) = app.doorbell.ring(&job).await {
        app.events.publish(Event::TickFailed(e.within("wake a worker"))).await?;
    }
    Ok(job)
}

/// A queued dump job with the policy that its database has now.
pub(crate) fn queued(
    app: &App,
    database: &Database,
    kind: BackupKind,
    id: JobId,
    created_at: jiff::Timestamp,
) -> Job {
    let settings = &database.settings;
    let backup = Backup {
        kind,
        slot: (kind == BackupKind::Scheduled).then_some(created_at),
        config_id: database.config_id.clone(),
        database_name: naming::shown_name(settings),
        engine: settings.engine,
        format: settings.format,
        compression: settings.compression,
        encryption: settings.encryption.clone(),
        name: None,
        artifact: None,
        consistency: None,
        fingerprint: None,
        verification: None,
        lock: None,
        incoming: None,
        pinned: kind == BackupKind::Safety,
    };
    let mut job = Job::dump(id, (database.id, database.uid), backup, created_at, app.limits.attempts);
    // What is uploaded is worked on by whoever receives it.
    job.long = settings.runner == Runner::Fargate && kind != BackupKind::Uploaded;
    job
}

/// One backup, or `NotFound`.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    let job = app.catalog.job(id).await?.filter(|job| job.backup().is_ok());
    job.ok_or_else(|| Error::not_found("backup", id))
}

/// Backups, newest first.
pub async fn list(app: &App, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
    let filter = JobFilter { backups_only: true, ..filter.clone() };
    app.catalog.jobs(&filter, after, limit).await
}

/// Sums over all backups, or one database's.
pub async fn stats(app: &App, database: Option<DatabaseId>) -> Result<Totals> {
    app.catalog.totals(database).await
}

/// Deletes a backup: manifest, artifact, record. True when it is gone; false when a reader holds it,
/// and a later tick will finish.
///
/// # Errors
/// `Conflict` for one that has not ended, for the safety backup of a restore that nobody has confirmed, for
/// one that a package is being made of, and for one that is locked in storage.
pub async fn delete(app: &App, id: JobId) -> Result<bool> {
    let found = get(app, id).await?;
    // Without its database no restore can be confirmed any more, nor undone.
    let undoable = found.backup()?.pinned && app.catalog.database(found.owner()?.id).await?.is_some();
    if let Some(need) = jobs::needed(app, |backup| backup == id, |_| true).await? {
        return Err(need.refusal("delete a backup"));
    }
    aftermath::see_to(app, &found).await?;
    lock::refuse_locked(app, &found, "delete a backup").await?;
    let delete = |job: &mut Job| {
        if undoable && job.backup()?.pinned && job.status == Status::Succeeded {
            return Err(needed(job.id));
        }
        lock::refuse_known(job, app.now(), "delete a backup")?;
        job.delete()
    };
    let job = jobs::update(app, id, delete).await?;
    heirs::protect(app, &job).await?;
    sweep::finish_deletion(app, &job).await
}

fn needed(id: JobId) -> Error {
    let message = format!("backup {id} undoes a restore that nobody has confirmed yet");
    let mend =
        "confirm that restore first: POST /jobs/{id}/confirm, with the id of its job; GET /jobs lists it";
    Error::conflict("delete a backup", message).with_mend(mend)
}

/// The engine that makes a backup, or why there is none.
fn engine_of(backup: &Backup) -> Result<&'static dyn engine::Engine> {
    engine::engine(backup.engine).ok_or_else(|| databases::not_built(backup.engine))
}
