//! Running a restore job.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::target::Spot;
use super::{load, turn, undo};
use crate::app::App;
use crate::backup::staging::Staging;
use crate::databases;
use crate::engine::{DumpFacts, JobLog, Meter, Target};
use crate::jobs::keeper::{Hears, Keeper, Stop, flush};
use crate::jobs::{self, Held, Ran, Worker};
use crate::model::{Database, Job, JobId, Restoration, RestoreAction, RestoreMode, RestoreStep, WorkKind};
use crate::{Error, ErrorKind, Result};

/// Works on a restore job. Every failure that belongs to the job is written into its record; `Err` is only
/// what could not be written there.
pub async fn run(app: &App, id: JobId, worker: &Worker) -> Result<Ran> {
    jobs::take(app, id, WorkKind::Restore, worker, |held, job| Box::pin(work(held, job))).await
}

async fn work(held: Held<'_>, job: Job) -> Result<Ran> {
    match attempt(held, &job).await {
        Err(e) if matches!(e.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => Ok(Ran::NotOurs),
        ran => ran,
    }
}

async fn attempt(held: Held<'_>, job: &Job) -> Result<Ran> {
    if job.is_exhausted() {
        let message = format!("its worker died in each of {} attempts", job.attempts.failures);
        let error = Error::new(ErrorKind::Internal, "restore", message)
            .with_mend("see the host's log: was it out of memory, or killed?");
        return held.end(|job, fence, now| job.fail(fence, what_undoes(job, error.clone()), now)).await;
    }
    let restoring = match Restoring::prepare(held, job).await {
        Ok(restoring) => restoring,
        Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
        Err(e) => return held.end(|job, fence, now| job.fail(fence, e.clone(), now)).await,
    };
    let log = restoring.log.clone();
    log.info(format!("attempt {} of {} by {}", job.attempts.current, job.id, held.worker.owner()));
    let ran = restoring.run().await;
    match flush(held.app, held.id, &log).await {
        Err(e) if e.kind() == ErrorKind::NotFound => ran,
        flushed => ran.and_then(|ran| flushed.map(|()| ran)),
    }
}

/// One attempt at a restore.
pub(super) struct Restoring<'a> {
    pub(super) held: Held<'a>,
    pub(super) job: Job,
    pub(super) database: Database,
    pub(super) log: JobLog,
    pub(super) meter: Arc<Meter>,
    staging: Staging,
}

impl<'a> Restoring<'a> {
    async fn prepare(held: Held<'a>, job: &Job) -> Result<Self> {
        let app = held.app;
        let database = databases::get(app, job.owner()?.id).await?;
        let login = databases::login(app, &database).await?;
        let log = JobLog::new(&app.clock, job.attempts.current, login.redactor());
        let staging = Staging::make(app, job.id, job.attempts.current)?;
        Ok(Self { held, job: job.clone(), database, log, meter: Arc::default(), staging })
    }

    pub(super) fn app(&self) -> &'a App {
        self.held.app
    }

    /// What is asked for, and how far it had come when this attempt began.
    pub(super) fn restoration(&self) -> Result<&Restoration> {
        self.job.restoration()
    }

    /// What the engine is given.
    pub(super) async fn target(&self, id: JobId, dump: DumpFacts) -> Result<Target> {
        let restoration = self.restoration()?;
        let spot = Spot {
            database: &self.database,
            login: databases::login(self.app(), &self.database).await?,
            name: &restoration.target,
            replaces: restoration.replaces,
            job: id,
            options: restoration.options.clone(),
            staging: self.staging.path(),
            log: self.log.clone(),
            meter: Arc::clone(&self.meter),
        };
        Ok(spot.target(self.app(), dump))
    }

    /// Writes down the next step before it is taken.
    pub(super) async fn step(&self, step: RestoreStep) -> Result<()> {
        self.held
            .change(|job, fence, _| {
                job.check_fence(fence)?;
                job.restoration_mut()?.enter(step);
                Ok(())
            })
            .await
            .map(drop)
    }

    /// Keeps the job ours while this is done, and breaks it off when it has to stop.
    pub(super) async fn keep<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T, Stop> {
        self.keep_hearing(Hears::Everybody, work).await
    }

    /// The same for a step that must not be broken off: only the loss of the job ends it.
    pub(super) async fn keep_deaf<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T, Stop> {
        self.keep_hearing(Hears::Nobody, work).await
    }

    /// The same around another job, which ends by itself when the worker has to stop.
    pub(super) async fn keep_around<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T, Stop> {
        self.keep_hearing(Hears::AllButTheWorker, work).await
    }

    async fn keep_hearing<T>(&self, hears: Hears, work: impl Future<Output = Result<T>>) -> Result<T, Stop> {
        let keeper = Keeper { hears, ..self.held.keeper(&self.meter, &self.log) };
        tokio::select! {
            done = work => done.map_err(stop),
            stopped = keeper.keep() => Err(stopped),
        }
    }

    /// Does the work once no other restore of the same target is at it.
    async fn in_turn(&self) -> Result<Done, Stop> {
        let restoration = self.restoration().map_err(Stop::Failed)?;
        let turn = turn::take(self.app(), &self.database.settings, &restoration.target, self.job.id);
        if !self.keep(turn).await? {
            self.log.info("another restore of the same target is at work; waiting for its end");
            return Ok(Done::Waiting(self.app().now() + load::LOOK_AGAIN));
        }
        if let Some(dump) = self.keep(self.running_dump(restoration)).await? {
            self.log.info(format!(
                "backup {dump} is being made of the database; waiting for its end (POST /jobs/{dump}/cancel ends it)"
            ));
            return Ok(Done::Waiting(self.app().now() + load::LOOK_AGAIN));
        }
        let work: BoxFuture<'_, Result<Done, Stop>> = match restoration.action {
            RestoreAction::Load { backup } => Box::pin(load::load(self, backup)),
            RestoreAction::Undo { of } => Box::pin(undo::undo(self, of)),
            RestoreAction::Confirm { of } => Box::pin(undo::confirm(self, of)),
        };
        work.await
    }

    /// A dump of what is to be replaced: it would hold half of the one content and half of the other.
    async fn running_dump(&self, restoration: &Restoration) -> Result<Option<JobId>> {
        if !restoration.same_database {
            return Ok(None);
        }
        jobs::running_dump(self.app(), self.database.id).await
    }

    async fn run(self) -> Result<Ran> {
        match self.in_turn().await {
            Ok(Done::Ended { kept, warnings }) => {
                undo::tell_undone(&self).await?;
                self.log.info("done");
                self.held.tell_first(&self.log).await;
                let end = |job: &mut Job, fence, now| {
                    let restoration = job.restoration_mut()?;
                    restoration.kept.clone_from(&kept);
                    restoration.warnings.extend(warnings.iter().cloned());
                    job.done(fence, now)
                };
                self.held.end(end).await
            }
            // Nothing waits here any more.
            Ok(Done::Waiting(_)) if self.held.is_out_of_time() => self.stopped(Stop::OutOfTime).await,
            Ok(Done::Waiting(until)) => self.held.end(|job, fence, _| job.put_back(fence, until)).await,
            Err(stop) => self.stopped(stop).await,
        }
    }

    async fn stopped(&self, stop: Stop) -> Result<Ran> {
        match stop {
            Stop::Failed(e) => {
                self.log.error(e.to_string());
                self.held.tell_first(&self.log).await;
                self.held.end(|job, fence, now| job.fail(fence, what_undoes(job, e.clone()), now)).await
            }
            Stop::Cancelled => {
                self.log.info("cancelled on request");
                self.held.tell_first(&self.log).await;
                self.held
                    .end(|job, fence, now| {
                        job.cancelled(fence, now)?;
                        job.error = job.error.take().map(|e| what_undoes(job, e));
                        Ok(())
                    })
                    .await
            }
            Stop::ShuttingDown => {
                self.log.info("the host is shutting down; the job goes back to the queue");
                self.held.end(Job::put_back).await
            }
            Stop::OutOfTime => self.held.hand_over(&self.log, |_| {}).await,
            // Somebody else has the job; the record is theirs.
            Stop::Lost(e) => Err(Error::new(ErrorKind::Fenced, "restore", e.to_string())),
        }
    }
}

/// How a restore's work ended well.
pub(super) enum Done {
    /// It is done.
    Ended {
        /// The name under which the swap kept what was the target.
        kept: Option<String>,
        /// What the engine had to say.
        warnings: Vec<String>,
    },
    /// Somebody else makes the safety backup, restores the same target or dumps it; look again then.
    Waiting(Timestamp),
}

/// Whether an error is the restore's, or says that the job is not ours any more.
fn stop(error: Error) -> Stop {
    match error.kind() {
        ErrorKind::Fenced => Stop::Lost(error),
        _ => Stop::Failed(error),
    }
}

/// A load in place that broke off may have left half of the dump in the target: then the error says what
/// undoes it.
fn what_undoes(job: &Job, error: Error) -> Error {
    let Ok(restoration) = job.restoration() else { return error };
    let touched =
        restoration.options.mode == RestoreMode::InPlace && restoration.step >= RestoreStep::Loading;
    match restoration.safety_backup.filter(|_| touched) {
        Some(safety) => {
            let first = error.mend().map(|mend| format!("{mend}; ")).unwrap_or_default();
            error.with_mend(format!(
                "{first}if the target is half restored, restore again, or undo: POST /jobs/{}/undo restores safety backup {safety}",
                job.id
            ))
        }
        None => error,
    }
}
