//! Running a package job: lease, place, attempt, commit, in the order of a backup's (`backup/run.rs`): every
//! byte confirmed → manifest → catalog.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;

use super::attempt::{Attempt, Trouble};
use super::manifest;
use crate::app::App;
use crate::backup::{naming, sweep, tombstone};
use crate::engine::{JobLog, Meter};
use crate::jobs::keeper::{Stop, flush};
use crate::jobs::{self, Held, Ran, Worker, aftermath};
use crate::model::{Job, JobId, LeftOut, PackageManifest, Status, WorkKind};
use crate::redact::Redactor;
use crate::storage::Upload;
use crate::{Error, ErrorKind, Result};

/// Works on a package job. Every failure that belongs to the job is written into its record; `Err` is only
/// what could not be written there.
pub async fn run(app: &App, id: JobId, worker: &Worker) -> Result<Ran> {
    let Some(job) = app.catalog.job(id).await?.filter(|job| job.may_be_leased(app.now())) else {
        return Ok(Ran::NotOurs);
    };
    if tombstone::lay_to_rest(app, &job).await? {
        return Ok(Ran::NotOurs);
    }
    jobs::take(app, id, WorkKind::Package, worker, |held, job| Box::pin(work(held, job))).await
}

async fn work(held: Held<'_>, job: Job) -> Result<Ran> {
    let mut running = Running { held, job };
    match Box::pin(running.work()).await {
        // Somebody else has the job, or it was deleted.
        Err(e) if matches!(e.kind(), ErrorKind::Fenced | ErrorKind::NotFound) => {
            sweep::disown(held.app, &running.job, running.job.attempts.current).await?;
            Ok(Ran::NotOurs)
        }
        ran => ran,
    }
}

/// A package job under our lease.
struct Running<'a> {
    held: Held<'a>,
    job: Job,
}

impl Running<'_> {
    async fn work(&mut self) -> Result<Ran> {
        if self.job.cancel_requested {
            return self.end(Job::cancelled).await;
        }
        match self.adopt_or_clean().await {
            Ok(Some(finished)) => return self.commit(finished).await,
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
            Err(e) => return self.failed(e.within("look at earlier attempts"), false).await,
        }
        if self.job.is_exhausted() {
            let message = format!("its worker died in each of {} attempts", self.job.attempts.failures);
            let error = Error::new(ErrorKind::Internal, "make a package", message)
                .with_mend("see the host's log: was it out of memory, or killed?");
            return self.failed(error, false).await;
        }
        let started = self.job.started_at.unwrap_or(self.job.created_at);
        let name = match naming::named(self.held.app, self.job.clone(), self.held.fence, started).await {
            Ok((job, name)) => {
                self.job = job;
                name
            }
            Err(e) if e.kind() == ErrorKind::Fenced => return Err(e),
            // Nothing has been written yet, so nothing of this attempt has to be removed.
            Err(e) => return self.failed(e, true).await,
        };
        let log = JobLog::new(&self.held.app.clock, self.job.attempts.current, Redactor::new([""; 0]));
        let ran = Box::pin(self.attempts(&name, &log)).await;
        match flush(self.held.app, self.held.id, &log).await {
            // The record is gone, and its log with it.
            Err(e) if e.kind() == ErrorKind::NotFound => ran,
            flushed => ran.and_then(|ran| flushed.map(|()| ran)),
        }
    }

    /// A finished attempt before the current one; if there is none, what those attempts left is removed. See
    /// `backup/adopt.rs` for why they are condemned first.
    async fn adopt_or_clean(&self) -> Result<Option<PackageManifest>> {
        let (app, job) = (self.held.app, &self.job);
        for attempt in job.adoptable() {
            if let Some(manifest) = manifest::find_complete(app, job, attempt).await? {
                let volumes = manifest.artifact.volumes.iter();
                let keys: Vec<String> = volumes.map(|volume| volume.key.clone()).collect();
                app.storage.show(&keys).await?;
                sweep::complain(app).await?;
                return Ok(Some(manifest));
            }
        }
        let earlier: Vec<u32> = job.attempts.litter.range(..job.attempts.current).copied().collect();
        if !earlier.is_empty() {
            self.held.change(|job, fence, _| job.condemn_earlier(fence)).await?;
        }
        for attempt in earlier {
            sweep::remove_attempt(app, job, attempt).await?;
        }
        Ok(None)
    }

    /// Attempts until one ends otherwise than by a broken member that the package may do without.
    async fn attempts(&mut self, name: &str, log: &JobLog) -> Result<Ran> {
        let mut broken: Vec<LeftOut> = Vec::new();
        loop {
            let (number, by) = (self.job.attempts.current, self.held.worker.owner());
            log.info(format!("attempt {number} of {} by {by}", self.held.id));
            let attempt = Attempt {
                held: self.held,
                job: &self.job,
                name,
                meter: Arc::new(Meter::default()),
                published: AtomicBool::new(false),
            };
            let mut upload = attempt.upload();
            let keeper = self.held.keeper(&attempt.meter, log);
            let outcome = tokio::select! {
                done = attempt.run(&mut upload, &broken) => done,
                stop = keeper.keep() => Err(Trouble::Stopped(stop)),
            };
            let published = attempt.published.load(Ordering::SeqCst);
            let trouble = match outcome {
                Ok(manifest) => {
                    log.info(format!("{} bytes stored, manifest written", manifest.artifact.size_bytes));
                    self.held.tell_first(log).await;
                    return self.commit(manifest).await;
                }
                Err(trouble) => trouble,
            };
            let clean = !published && self.clean_up(&mut upload, log).await;
            match trouble {
                Trouble::Member(found) if self.job.package()?.allow_incomplete => {
                    log.warn(format!("left out: {}", found.error));
                    broken.push(found.left_out);
                    self.begin_anew(clean).await?;
                }
                Trouble::Member(found) => return self.stopped(Stop::Failed(found.error), clean, log).await,
                Trouble::Stopped(stop) => return self.stopped(stop, clean, log).await,
            }
        }
    }

    async fn begin_anew(&mut self, clean: bool) -> Result<()> {
        let before = self.job.attempts.current;
        self.job = self
            .held
            .change(|job, fence, _| {
                job.begin_anew(fence)?;
                if clean {
                    job.swept(before);
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// Removes what an attempt without a manifest put into storage; false when the sweep must try again.
    async fn clean_up(&self, upload: &mut Upload, log: &JobLog) -> bool {
        let removing = async {
            let aborted = upload.abort().await;
            let removed = sweep::remove_attempt(self.held.app, &self.job, self.job.attempts.current).await;
            aborted.and_then(|settled| removed.map(|()| settled))
        };
        match self.held.worker.in_time(removing).await {
            Some(Ok(settled)) => return settled,
            Some(Err(e)) => log.warn(format!("what was stored could not be removed yet: {e}")),
            None => log.warn("what was stored could not be removed in time"),
        }
        false
    }

    async fn stopped(&self, stop: Stop, clean: bool, log: &JobLog) -> Result<Ran> {
        match stop {
            Stop::Failed(e) => {
                log.error(e.to_string());
                self.held.tell_first(log).await;
                self.failed(e, clean).await
            }
            Stop::Cancelled => {
                log.info("cancelled on request");
                self.held.tell_first(log).await;
                self.end_swept(Job::cancelled, clean).await
            }
            Stop::ShuttingDown => {
                log.info("the host is shutting down; the job goes back to the queue");
                self.end_swept(Job::put_back, clean).await
            }
            Stop::OutOfTime => {
                let attempt = self.job.attempts.current;
                self.held
                    .hand_over(log, |job| {
                        if clean {
                            job.swept(attempt);
                        }
                    })
                    .await
            }
            // Somebody else has the job; the record is theirs.
            Stop::Lost(e) => Err(Error::new(ErrorKind::Fenced, "make a package", e.to_string())),
        }
    }

    async fn failed(&self, error: Error, clean: bool) -> Result<Ran> {
        self.end_swept(|job, fence, now| job.fail(fence, error.clone(), now), clean).await
    }

    async fn end_swept(
        &self,
        mut change: impl FnMut(&mut Job, u64, Timestamp) -> Result<()> + Send,
        clean: bool,
    ) -> Result<Ran> {
        let attempt = self.job.attempts.current;
        self.end(|job, fence, now| {
            change(job, fence, now)?;
            if clean {
                job.swept(attempt);
            }
            Ok(())
        })
        .await
    }

    async fn commit(&self, manifest: PackageManifest) -> Result<Ran> {
        let attempt = manifest.artifact.attempt;
        let committed = self.end(|job, fence, now| job.packaged(fence, manifest.clone(), now)).await;
        if committed.is_ok() {
            return committed;
        }
        // The write may have arrived although its answer did not.
        let is_committed = |job: &Job| {
            job.status == Status::Succeeded && job.artifact().is_some_and(|stored| stored.attempt == attempt)
        };
        match self.held.app.catalog.job(self.held.id).await? {
            Some(job) if is_committed(&job) => Ok(Ran::Ended),
            _ => committed,
        }
    }

    /// Writes a transition that ends our work, sweeps what may be swept, and tells it.
    async fn end(&self, change: impl FnMut(&mut Job, u64, Timestamp) -> Result<()> + Send) -> Result<Ran> {
        let job = self.held.change(change).await?;
        if !job.status.is_terminal() {
            return Ok(Ran::Queued);
        }
        // What could not be removed keeps the job in the attention index; a tick tries again.
        let _next_tick = sweep::sweep(self.held.app, &job).await;
        // Neither is lost what follows from its end.
        let _next_tick = aftermath::see_to(self.held.app, &job).await;
        Ok(Ran::Ended)
    }
}
