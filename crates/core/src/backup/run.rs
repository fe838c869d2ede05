//! Running a dump job: lease, place, attempt, commit.
//!
//! Promise 1 lives here. The order is: every byte confirmed → manifest → catalog. A worker that dies
//! before the manifest leaves litter, which the next lease or the sweep removes; one that dies after
//! it leaves a finished attempt, which the next lease adopts. A failure before the manifest is cleaned
//! up by the attempt itself; one at or after it first goes into the catalog, under the fence, and only
//! then may anything be removed, because until then somebody else may be adopting it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::SignedDuration;

use super::adopt::{self, Finished};
use super::attempt::{Attempt, Dumped, Supply};
use super::engine_of;
use super::lock;
use super::naming;
use super::staging::Staging;
use super::sweep;
use super::tombstone;
use crate::app::App;
use crate::databases;
use crate::engine::{JobLog, Meter, ResolvedLogin, Source};
use crate::jobs::keeper::{Stop, flush};
use crate::jobs::{self, Held, Post, Ran, Worker, aftermath};
use crate::model::{BackupKind, Job, JobId, Status, WorkKind};
use crate::storage::Upload;
use crate::upload::incoming::Sent;
use crate::{Error, ErrorKind, Result};

/// How soon a backup that gave way to a restore looks again whether that has ended.
const GIVES_WAY_FOR: SignedDuration = SignedDuration::from_secs(5);

/// Works on a dump job: takes its lease, dumps, proves, commits. Every failure that belongs to the job is
/// written into its record; `Err` is only what could not be written there.
pub async fn run(app: &App, id: JobId, worker: &Worker) -> Result<Ran> {
    let Some(job) = app.catalog.job(id).await?.filter(|job| job.may_be_leased(app.now())) else {
        return Ok(Ran::NotOurs);
    };
    if tombstone::lay_to_rest(app, &job).await? || waits_for_a_restore(app, &job).await? {
        return Ok(Ran::NotOurs);
    }
    jobs::take(app, id, WorkKind::Dump, worker, |held, job| Box::pin(work(held, job))).await
}

/// Whether it has to stay in the queue because its database is being restored: a restore in place leaves half of a
/// database to be dumped meanwhile. It may have been asked for after the backup. Ticks ring again.
async fn waits_for_a_restore(app: &App, job: &Job) -> Result<bool> {
    if !job.backup()?.kind.is_ordinary() {
        return Ok(false);
    }
    Ok(jobs::active_restore(app, job.owner()?.id).await?.is_some())
}

/// The same in a place that is held already: a safety backup uses its restore's.
pub(crate) async fn run_in_place(post: &Post<'_>, id: JobId) -> Result<Ran> {
    jobs::in_place(post, id, |held, job| Box::pin(work(held, job))).await
}

async fn work(held: Held<'_>, job: Job) -> Result<Ran> {
    let ran = Running::of(held).work(&job).await;
    unless_taken(held.app, &job, ran).await
}

/// Works on the first and only attempt of a job that is ours already, with bytes that come from elsewhere.
pub(crate) async fn take_in(held: Held<'_>, job: Job, supply: Box<dyn Supply>, log: JobLog) -> Result<Ran> {
    let ran = Running::of(held).take_in(&job, supply, log).await;
    unless_taken(held.app, &job, ran).await
}

async fn unless_taken(app: &App, job: &Job, ran: Result<Ran>) -> Result<Ran> {
    match ran {
        // Somebody else has the job, or it was deleted.
        Err(e) if matches!(e.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => {
            sweep::disown(app, job, job.attempts.current).await?;
            Ok(Ran::NotOurs)
        }
        ran => ran,
    }
}

/// A job under our lease.
struct Running<'a> {
    held: Held<'a>,
    app: &'a App,
}

impl<'a> Running<'a> {
    fn of(held: Held<'a>) -> Self {
        Self { held, app: held.app }
    }

    async fn work(&self, job: &Job) -> Result<Ran> {
        if job.cancel_requested {
            return self.end(Job::cancelled).await;
        }
        match waits_for_a_restore(self.app, job).await {
            // Taken at the same time: each looks for the other once it has begun, and this one gives way.
            Ok(true) => return self.end(|job, fence, now| job.put_back(fence, now + GIVES_WAY_FOR)).await,
            Ok(false) => {}
            Err(e) => return self.failed(e.within("look for a restore")).await,
        }
        match adopt::adopt_or_clean(self.app, job, self.held.fence).await {
            Ok(Some(finished)) => return self.commit(finished).await,
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
            Err(e) => return self.failed(e.within("look at earlier attempts")).await,
        }
        if job.backup()?.kind == BackupKind::Uploaded && job.backup()?.incoming.is_none() {
            // Its bytes are gone with whoever received them.
            return self.failed(broken_off()).await;
        }
        if job.is_exhausted() {
            let message = format!("its worker died in each of {} attempts", job.attempts.failures);
            let error = Error::new(ErrorKind::Internal, "dump", message)
                .with_mend("see the host's log: was it out of memory, or killed?");
            return self.failed(error).await;
        }
        let prepared = match job.backup()?.incoming {
            Some(_) => self.prepare_sent(job).await,
            None => self.prepare(job).await,
        };
        match prepared {
            Ok(prepared) => self.attempt(prepared).await,
            Err(e) if e.kind() == ErrorKind::Fenced => Err(e),
            // Nothing has been written yet, so nothing of this attempt has to be removed.
            Err(e) => self.failed_clean(job.attempts.current, e).await,
        }
    }

    async fn take_in(&self, job: &Job, supply: Box<dyn Supply>, log: JobLog) -> Result<Ran> {
        let started = job.started_at.unwrap_or(job.created_at);
        match naming::named(self.app, job.clone(), self.held.fence, started).await {
            Ok((job, name)) => self.attempt(Prepared { job, name, supply, log, _staging: None }).await,
            Err(e) if e.kind() == ErrorKind::Fenced => Err(e),
            Err(e) => self.failed_clean(job.attempts.current, e).await,
        }
    }

    /// Of a file that lies in storage.
    async fn prepare_sent(&self, job: &Job) -> Result<Prepared> {
        let app = self.app;
        let log = JobLog::new(&app.clock, job.attempts.current, ResolvedLogin::default().redactor());
        let started = job.started_at.unwrap_or(job.created_at);
        let (job, name) = naming::named(app, job.clone(), self.held.fence, started).await?;
        let sent = Sent::of(app, &job, log.clone()).ok_or_else(broken_off)?;
        Ok(Prepared { job, name, supply: Box::new(sent), log, _staging: None })
    }

    async fn prepare(&self, job: &Job) -> Result<Prepared> {
        let app = self.app;
        let database = databases::get(app, job.owner()?.id).await?;
        let login = databases::login(app, &database).await?;
        let log = JobLog::new(&app.clock, job.attempts.current, login.redactor());
        let started = job.started_at.unwrap_or(job.created_at);
        let (job, name) = naming::named(app, job.clone(), self.held.fence, started).await?;
        let staging = Staging::make(app, job.id, job.attempts.current)?;
        let mut settings = database.settings;
        settings.format = job.backup()?.format;
        let source = Source {
            settings,
            login,
            toolbox: Arc::clone(&app.toolbox),
            staging: staging.path().to_owned(),
            sqlite_roots: app.limits.sqlite_roots.clone(),
            log: log.clone(),
        };
        let supply = Box::new(Dumped { engine: engine_of(job.backup()?)?, source });
        Ok(Prepared { job, name, supply, log, _staging: Some(staging) })
    }

    async fn attempt(&self, prepared: Prepared) -> Result<Ran> {
        let Prepared { job, name, mut supply, log, _staging } = prepared;
        log.info(format!(
            "attempt {} of {} by {}",
            job.attempts.current,
            self.held.id,
            self.held.worker.owner()
        ));
        let meter = Arc::new(Meter::default());
        let attempt = Attempt {
            app: self.app,
            job: &job,
            name: &name,
            meter: Arc::clone(&meter),
            published: AtomicBool::new(false),
        };
        let keeper = self.held.keeper(&meter, &log);
        let mut upload = attempt.upload()?;
        let outcome = tokio::select! {
            done = attempt.run(supply.as_mut(), &mut upload) => done.map_err(Stop::Failed),
            stop = keeper.keep() => Err(stop),
        };
        let ran = match outcome {
            Ok(manifest) => {
                log.info(format!("{} bytes stored, manifest written", manifest.artifact.size_bytes));
                self.held.tell_first(&log).await;
                let fingerprint = adopt::in_clear(manifest.content);
                let (artifact, consistency) = (manifest.artifact, manifest.consistency);
                self.commit(Finished { artifact, fingerprint, consistency }).await
            }
            Err(stop) => {
                let published = attempt.published.load(Ordering::SeqCst);
                let clean = !published && self.clean_up(&job, &mut upload, &log).await;
                self.stopped(&job, stop, clean, &log).await
            }
        };
        match flush(self.app, self.held.id, &log).await {
            // The record is gone, and its log with it.
            Err(e) if e.kind() == ErrorKind::NotFound => ran,
            flushed => ran.and_then(|ran| flushed.map(|()| ran)),
        }
    }

    /// Removes what an attempt without a manifest put into storage; false when the sweep must look
    /// again.
    async fn clean_up(&self, job: &Job, upload: &mut Upload, log: &JobLog) -> bool {
        let removing = async {
            let aborted = upload.abort().await;
            let removed = sweep::remove_attempt(self.app, job, job.attempts.current).await;
            aborted.and_then(|settled| removed.map(|()| settled))
        };
        match self.held.worker.in_time(removing).await {
            Some(Ok(settled)) => return settled,
            Some(Err(e)) => log.warn(format!("what was stored could not be removed yet: {e}")),
            None => log.warn("what was stored could not be removed in time"),
        }
        false
    }

    async fn stopped(&self, job: &Job, stop: Stop, clean: bool, log: &JobLog) -> Result<Ran> {
        let attempt = job.attempts.current;
        match stop {
            Stop::Failed(e) => {
                let e = of_a_sender(job, e);
                log.error(e.to_string());
                self.held.tell_first(log).await;
                if clean { self.failed_clean(attempt, e).await } else { self.failed(e).await }
            }
            Stop::Cancelled => {
                log.info("cancelled on request");
                self.held.tell_first(log).await;
                self.end(|job, fence, now| {
                    job.cancelled(fence, now)?;
                    if clean {
                        job.swept(attempt);
                    }
                    Ok(())
                })
                .await
            }
            Stop::ShuttingDown => {
                log.info("the host is shutting down; the job goes back to the queue");
                self.end(|job, fence, now| {
                    job.put_back(fence, now)?;
                    if clean {
                        job.swept(attempt);
                    }
                    Ok(())
                })
                .await
            }
            Stop::OutOfTime => {
                self.held
                    .hand_over(log, |job| {
                        if clean {
                            job.swept(attempt);
                        }
                    })
                    .await
            }
            // Somebody else has the job; the record is theirs.
            Stop::Lost(e) => Err(Error::new(ErrorKind::Fenced, "dump", e.to_string())),
        }
    }

    async fn failed(&self, error: Error) -> Result<Ran> {
        self.end(|job, fence, now| job.fail(fence, error.clone(), now)).await
    }

    async fn failed_clean(&self, attempt: u32, error: Error) -> Result<Ran> {
        self.end(|job, fence, now| {
            job.fail(fence, error.clone(), now)?;
            job.swept(attempt);
            Ok(())
        })
        .await
    }

    async fn commit(&self, finished: Finished) -> Result<Ran> {
        let Finished { artifact, fingerprint, consistency } = finished;
        let attempt = artifact.attempt;
        let succeed = |job: &mut Job, fence, now| {
            job.succeed(fence, artifact.clone(), fingerprint.clone(), now)?;
            let lock = lock::wanted(self.app, job, now);
            let backup = job.backup_mut()?;
            (backup.consistency, backup.lock) = (consistency, lock);
            Ok(())
        };
        let committed = self.end(succeed).await;
        if committed.is_ok() {
            return committed;
        }
        // The write may have arrived although its answer did not.
        match self.app.catalog.job(self.held.id).await? {
            Some(job) if is_committed(&job, attempt) => Ok(Ran::Ended),
            _ => committed,
        }
    }

    /// Writes a transition that ends our work, sweeps what may be swept, and tells it.
    async fn end(
        &self,
        mut change: impl FnMut(&mut Job, u64, jiff::Timestamp) -> Result<()> + Send,
    ) -> Result<Ran> {
        let now = self.app.now();
        let job = jobs::update(self.app, self.held.id, |job| change(job, self.held.fence, now)).await?;
        if !job.status.is_terminal() {
            return Ok(Ran::Queued);
        }
        // What could not be removed keeps the job in the attention index; a tick tries again.
        let _next_tick = sweep::sweep(self.app, &job).await;
        // Neither is lost what follows from its end.
        let _next_tick = aftermath::see_to(self.app, &job).await;
        Ok(Ran::Ended)
    }
}

struct Prepared {
    job: Job,
    name: String,
    supply: Box<dyn Supply>,
    log: JobLog,
    _staging: Option<Staging>,
}

/// Where silence is a sender's, neither locks nor queries are to be looked for.
fn of_a_sender(job: &Job, error: Error) -> Error {
    let uploaded =
        job.backup().is_ok_and(|backup| backup.kind == BackupKind::Uploaded && backup.incoming.is_none());
    if uploaded && error.kind() == ErrorKind::Timeout && error.operation() == "dump" {
        return error.with_mend("send the file again, over a connection that does not stand still");
    }
    error
}

/// The end of an upload whose receiver died.
fn broken_off() -> Error {
    Error::new(ErrorKind::Incomplete, "receive an upload", "the upload broke off: its receiver died")
        .with_mend("send the file again")
}

fn is_committed(job: &Job, attempt: u32) -> bool {
    let artifact = job.backup().ok().and_then(|backup| backup.artifact.as_ref());
    job.status == Status::Succeeded && artifact.is_some_and(|artifact| artifact.attempt == attempt)
}
