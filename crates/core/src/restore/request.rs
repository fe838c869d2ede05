//! Asking for a restore, for its undo, and for its end.

use super::plan::{Plan, Request, plan};
use super::target::restorer;
use crate::app::App;
use crate::databases;
use crate::jobs;
use crate::model::{Database, Job, JobId, Restoration, RestoreAction, RestoreStep, Runner, Status, Work};
use crate::ports::Event;
use crate::{Error, Result};

/// Queues a restore, if its plan holds. Asked twice with the same id, it is one restore.
///
/// # Errors
/// Those of [`plan`] and of [`Plan::check`].
pub async fn request(app: &App, request: &Request, id: JobId) -> Result<Job> {
    queue_load(app, request, id, None).await
}

async fn queue_load(app: &App, request: &Request, id: JobId, undoes: Option<JobId>) -> Result<Job> {
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job);
    }
    let plan = Box::pin(plan(app, request, id)).await?;
    plan.check()?;
    let now = app.now();
    let Plan { database, target, same_database, options, warnings, safety_backup, survey, .. } = plan;
    let safety_backup = safety_backup.then(|| JobId(app.ids.ulid(now)));
    let restoration = Restoration {
        action: RestoreAction::Load { backup: request.backup },
        target,
        same_database,
        replaces: survey.present.target,
        options,
        safety_backup,
        step: RestoreStep::Begun,
        kept: None,
        warnings,
        undoes,
        undone_by: None,
        confirmed_at: None,
    };
    queue(app, id, &database, restoration).await
}

/// Queues what undoes a restore: an exchange with the database that its swap kept, or a restore of its
/// safety backup.
///
/// # Errors
/// `Conflict` when nothing undoes it (any more), with the reason.
pub async fn undo(app: &App, of: JobId, force: bool, id: JobId) -> Result<Job> {
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job);
    }
    let job = jobs::get(app, of).await?;
    let restoration = ended(&job, "undo a restore")?;
    if let Some(undone_by) = restoration.undone_by {
        let message = format!("restore {of} was undone by {undone_by}");
        return Err(Error::conflict("undo a restore", message).with_mend("undo that one to have it back"));
    }
    if restoration.kept.is_some() && job.status == Status::Succeeded {
        let database = databases::get(app, job.owner()?.id).await?;
        let mut options = restoration.options.clone();
        options.force = force;
        let undo = Restoration {
            action: RestoreAction::Undo { of },
            options,
            step: RestoreStep::Begun,
            undoes: None,
            kept: None,
            warnings: Vec::new(),
            replaces: true,
            ..restoration.clone()
        };
        return queue(app, id, &database, undo).await;
    }
    let changed = job.status == Status::Succeeded || restoration.touched();
    let why = if changed { "nothing that would undo it was kept" } else { "it changed nothing" };
    let safety = restoration.undoing_backup().filter(|_| changed);
    let safety = safety.ok_or_else(|| {
        Error::conflict("undo a restore", format!("restore {of} is {}, and {why}", job.status.as_str()))
    })?;
    let wanted = Request {
        backup: safety,
        target: Some(super::Wanted::Database(job.owner()?.id)),
        mode: Some(restoration.options.mode),
        safety_backup: true,
        force,
        tables: Vec::new(),
        ownership: crate::model::Ownership::Keep,
    };
    queue_load(app, &wanted, id, Some(of)).await
}

/// What an ended job restored.
fn ended<'a>(job: &'a Job, operation: &str) -> Result<&'a Restoration> {
    let restoration = job.restoration().map_err(|e| {
        e.with_mend(format!("name the job of a restore; job {} is a {}", job.id, job.work.as_str()))
    })?;
    if job.status.is_terminal() {
        return Ok(restoration);
    }
    let message = format!("restore {} is {}", job.id, job.status.as_str());
    Err(Error::conflict(operation, message).with_mend("wait until it has ended, or cancel it"))
}

/// Queues the end of a restore: the database that its swap kept is dropped, and its safety backup is left to
/// retention.
///
/// # Errors
/// `Conflict` while the restore has not ended.
pub async fn confirm(app: &App, of: JobId, id: JobId) -> Result<Job> {
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job);
    }
    let job = jobs::get(app, of).await?;
    let restoration = ended(&job, "confirm a restore")?;
    let database = databases::get(app, job.owner()?.id).await?;
    restorer(database.settings.engine)?;
    let end = Restoration {
        action: RestoreAction::Confirm { of },
        step: RestoreStep::Begun,
        undoes: None,
        warnings: Vec::new(),
        ..restoration.clone()
    };
    queue(app, id, &database, end).await
}

async fn queue(app: &App, id: JobId, database: &Database, restoration: Restoration) -> Result<Job> {
    let loads = matches!(restoration.action, RestoreAction::Load { .. });
    let work = Work::Restore(Box::new(restoration));
    let mut job = Job::new(id, (database.id, database.uid), work, app.now(), app.limits.attempts);
    job.long = loads && database.settings.runner == Runner::Fargate;
    if !app.catalog.create_job(&job).await? {
        return jobs::get(app, id).await;
    }
    // The restore is queued, whoever hears of it; a tick rings again.
    if let Err(e) = app.doorbell.ring(&job).await {
        app.events.publish(Event::TickFailed(e.within("wake a worker"))).await?;
    }
    Ok(job)
}
