//! Handing jobs to a host without a deadline, and waking whoever may take one.

use std::time::Duration;

use super::placement::{self, Placement, Question, Reason};
use super::run::Ran;
use super::update;
use super::worker::{Deadline, Worker};
use crate::app::App;
use crate::engine::JobLog;
use crate::jobs::keeper::flush;
use crate::model::{BackupKind, Database, Job, RestoreAction, Runner, Status, Work};
use crate::package;
use crate::ports::Event;
use crate::redact::Redactor;
use crate::{Error, ErrorKind, Result};

/// Where an attempt may be made.
pub(super) enum Begins {
    /// Here; and what its database says becomes of it if it does not end in time.
    Here(Runner),
    /// Not here: it has been handed over, or is not ours to hand over any more.
    Not(Ran),
}

/// Decides whether a worker may begin with a job, and hands it over where it may not.
pub(super) async fn begin(app: &App, job: &Job, worker: &Worker) -> Result<Begins> {
    let Some(deadline) = worker.deadline() else { return Ok(Begins::Here(Runner::default())) };
    let database = match job.database_id() {
        Some(id) => app.catalog.database(id).await?,
        None => None,
    };
    let runner = database.as_ref().map(|database| database.settings.runner).unwrap_or_default();
    // What only has to be ended takes no time.
    if job.cancel_requested || job.is_exhausted() {
        return Ok(Begins::Here(runner));
    }
    let needs_long_runner = job.needs_long_runner();
    let predicted = if needs_long_runner { None } else { predict(app, job, database.as_ref()).await? };
    let question = question(deadline, needs_long_runner, predicted, runner);
    match placement::place(&question) {
        Placement::Here => Ok(Begins::Here(runner)),
        Placement::Elsewhere(reason) => Ok(Begins::Not(leave(app, job, reason).await?)),
    }
}

fn question(
    deadline: Deadline,
    needs_long_runner: bool,
    predicted: Option<Duration>,
    runner: Runner,
) -> Question {
    let (working_time, margin) = (deadline.working_time(), deadline.margin());
    Question { working_time, margin, needs_long_runner, predicted, runner }
}

async fn predict(app: &App, job: &Job, database: Option<&Database>) -> Result<Option<Duration>> {
    let backup = database.and_then(|database| placement::of_a_backup(&database.history));
    Ok(match &job.work {
        // Nobody receives its bytes any more: what is left is to take over what was finished, or to end it.
        Work::Dump(upload) if upload.kind == BackupKind::Uploaded => None,
        Work::Dump(_) => backup,
        Work::Restore(restoration) => match restoration.action {
            RestoreAction::Load { backup: loaded } => {
                let loaded = app.catalog.job(loaded).await?;
                let made_in = loaded.as_ref().and_then(duration);
                let safety = backup.filter(|_| restoration.safety_backup.is_some());
                placement::of_a_restore(made_in, safety)
            }
            RestoreAction::Undo { .. } | RestoreAction::Confirm { .. } => None,
        },
        Work::Package(_) => {
            let last = package::list(app, Some(Status::Succeeded), None, None, 1).await?;
            last.first().and_then(duration).map(placement::of_a_package)
        }
        Work::Verify(_) => None,
    })
}

fn duration(job: &Job) -> Option<Duration> {
    job.duration_ms().map(Duration::from_millis)
}

/// Leaves a job that was not begun to a host without a deadline.
async fn leave(app: &App, job: &Job, reason: Reason) -> Result<Ran> {
    if job.needs_long_runner() && job.status == Status::Queued {
        wake(app, job).await?;
        return Ok(Ran::HandedOver);
    }
    let now = app.now();
    let left = match update(app, job.id, |job| job.leave_to_long_runner(now)).await {
        Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => return Ok(Ran::NotOurs),
        left => left?,
    };
    let log = JobLog::new(&app.clock, left.attempts.current, Redactor::new([""; 0]));
    log.info(format!("not begun here but handed to a host without a deadline: {reason}"));
    hand_on(app, &left, &log).await
}

/// Wakes a host without a deadline for a job that was handed over.
pub(super) async fn hand_on(app: &App, job: &Job, log: &JobLog) -> Result<Ran> {
    // The restore that it belongs to is handed over too, and makes it there.
    let is_safety = job.backup().is_ok_and(|backup| backup.kind == BackupKind::Safety);
    if !is_safety && let Err(e) = app.doorbell.ring(job).await {
        let mend = e.mend().map(|mend| format!(" ({mend})")).unwrap_or_default();
        log.warn(format!("nobody could be woken for it, so it waits: {e}{mend}"));
        tell(app, e).await?;
    }
    match flush(app, job.id, log).await {
        // The record is gone, and its log with it.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Ran::HandedOver),
        flushed => flushed.map(|()| Ran::HandedOver),
    }
}

/// Wakes a worker for a job that waits. It waits whoever hears of it, and a tick rings again: what fails is told
/// as an event.
pub(super) async fn wake(app: &App, job: &Job) -> Result<()> {
    match app.doorbell.ring(job).await {
        Err(e) => tell(app, e).await,
        Ok(()) => Ok(()),
    }
}

async fn tell(app: &App, error: Error) -> Result<()> {
    app.events.publish(Event::TickFailed(error.within("wake a worker"))).await
}

/// The end of a job that its database keeps from being handed over.
pub(super) fn wall() -> Error {
    let message = "it did not end before the deadline of this host, and its database has runner: lambda";
    Error::new(ErrorKind::Timeout, "work on a job", message).with_retryable(false).with_mend(
        "set runner: auto or runner: fargate on the database, so that a host without a deadline goes on; or \
         give the function more time",
    )
}
