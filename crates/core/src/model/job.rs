//! A job: one unit of work with a lease, attempts, progress and a log.
//!
//! ```text
//!            lease                 succeed
//!  queued ──────────▶ running ───────────────▶ succeeded ──▶ deleting ──▶ (gone)
//!    ▲  │                │ │                       ▲            ▲
//!    │  │ cancel         │ │ fail, for good        │ adopt      │
//!    │  ▼                │ ▼                       │            │
//!    │ cancelled ◀───────┤ failed ─────────────────┼────────────┘
//!    │                   │                         │
//!    └───── retry ───────┴── lease expired: leased again, its attempt adopted or repeated
//! ```
//!
//! Every transition is a pure method here, and one conditional write in the catalog. A lease is held
//! by a *fence*, a number that grows with each lease: whoever holds an old one is told
//! [`ErrorKind::Fenced`] and must stop. Clocks decide only whether a holder is still alive; the fence
//! decides whose result counts.

mod attempts;
mod work;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use attempts::Attempts;

use super::backup::{Artifact, Backup};
use super::id::{DatabaseId, DatabaseUid, JobId};
use super::package::Package;
use super::package_manifest::PackageManifest;
use super::work::Work;
use crate::fingerprint::Fingerprint;
use crate::{Error, ErrorKind, Result};

/// How long a queued job waits before its doorbell is rung again.
const RING_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// How long an ended job waits before a tick does what its end asks for.
const TELL_AGAIN_AFTER: SignedDuration = SignedDuration::from_secs(30);
/// The first retry waits this long; each further one twice as long.
const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// No retry waits longer than this.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(15);

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting for a worker.
    Queued,
    /// A worker holds its lease.
    Running,
    /// Done, and proven.
    Succeeded,
    /// Given up; `error` says why.
    Failed,
    /// Stopped because somebody asked.
    Cancelled,
    /// Never run; `error` says why (a slot that was missed, or met its predecessor).
    Skipped,
    /// Being removed.
    Deleting,
}

impl Status {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Deleting => "deleting",
        }
    }

    /// Whether nothing more will happen to the job by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped)
    }
}

/// The right to work on a job until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it, for people to read.
    pub owner: String,
    /// The number that must be shown at every further write.
    pub fence: u64,
    /// When the holder counts as dead unless it renews.
    pub expires_at: Timestamp,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Bytes read from the source.
    pub raw_bytes: u64,
    /// Bytes given to storage.
    pub stored_bytes: u64,
}

/// The database that a job works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its number.
    pub id: DatabaseId,
    /// Its name in storage.
    pub uid: DatabaseUid,
}

/// One unit of work. For a dump, this record is the backup's too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Counts the record's changes; the catalog refuses a write that was read at another revision.
    #[serde(default)]
    pub revision: u64,
    /// The database it works on; none of a job that works on several, as a package does.
    #[serde(default)]
    pub database: Option<Owner>,
    /// Where it stands.
    pub status: Status,
    /// What it does.
    pub work: Work,
    /// When it was asked for, or its due time.
    pub created_at: Timestamp,
    /// When its last attempt began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
    /// Its attempts.
    pub attempts: Attempts,
    /// The lease under which it runs.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// The highest fence given out.
    #[serde(default)]
    pub fence: u64,
    /// Somebody asked for it to stop.
    #[serde(default)]
    pub cancel_requested: bool,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
    /// Why its last attempt ended badly.
    #[serde(default)]
    pub error: Option<Error>,
    /// It has ended, and what follows from that (counting it, telling it) is not done yet.
    #[serde(default)]
    pub untold: bool,
    /// It goes on, or begins, only on a host that gives it all the time it takes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long: bool,
}

impl Job {
    /// A job on one database that waits for a worker.
    pub fn new(
        id: JobId,
        (database_id, uid): (DatabaseId, DatabaseUid),
        work: Work,
        now: Timestamp,
        most_attempts: u32,
    ) -> Self {
        Self::queued(id, Some(Owner { id: database_id, uid }), work, now, most_attempts)
    }

    /// A package job that waits for a worker.
    pub fn packaging(id: JobId, package: Package, now: Timestamp, most_attempts: u32) -> Self {
        Self::queued(id, None, Work::Package(Box::new(package)), now, most_attempts)
    }

    fn queued(id: JobId, database: Option<Owner>, work: Work, now: Timestamp, most_attempts: u32) -> Self {
        Self {
            id,
            revision: 0,
            database,
            status: Status::Queued,
            work,
            created_at: now,
            started_at: None,
            finished_at: None,
            attempts: Attempts::new(most_attempts),
            lease: None,
            fence: 0,
            cancel_requested: false,
            progress: Progress::default(),
            error: None,
            untold: false,
            long: false,
        }
    }

    /// A dump job that waits for a worker.
    pub fn dump(
        id: JobId,
        database: (DatabaseId, DatabaseUid),
        backup: Backup,
        now: Timestamp,
        most_attempts: u32,
    ) -> Self {
        Self::new(id, database, Work::Dump(Box::new(backup)), now, most_attempts)
    }

    /// When a tick should look at this job: a queued one whose doorbell may have been lost, a lease
    /// that may have expired, a deletion to finish, litter to sweep. None: it needs nothing.
    pub fn attention_at(&self) -> Option<Timestamp> {
        let at = match self.status {
            Status::Queued => Some(self.attempts.not_before.unwrap_or(self.created_at + RING_AGAIN_AFTER)),
            Status::Running => Some(self.lease.as_ref().map_or(self.created_at, |lease| lease.expires_at)),
            Status::Deleting => Some(self.created_at),
            _ => {
                let litter = !self.attempts.litter.is_empty();
                let sweep = litter.then(|| self.attempts.look_again_at.unwrap_or(self.created_at));
                sweep.into_iter().chain(self.tell_at()).chain(self.lock_at()).min()
            }
        };
        at.map(|at| self.attempts.not_before.map_or(at, |not_before| at.max(not_before)))
    }

    /// When a tick should see to what follows from its end, unless that is done: not at once, because
    /// whoever ended it is just doing it.
    pub fn tell_at(&self) -> Option<Timestamp> {
        let ended = self.finished_at.filter(|_| self.untold && self.status.is_terminal());
        ended.map(|at| at.checked_add(TELL_AGAIN_AFTER).unwrap_or(at))
    }

    /// When a tick should lock what it has stored, unless that is done.
    pub fn lock_at(&self) -> Option<Timestamp> {
        self.lock().filter(|_| self.status == Status::Succeeded)?.try_at
    }

    /// Records that all who must know of its end have been told.
    pub fn told(&mut self) {
        self.untold = false;
    }

    /// Puts off the removal of an ended job, or of what it left, which has just failed: so that those whose
    /// turn comes later have theirs. Telling its end is never put off.
    pub fn put_off(&mut self, until: Timestamp) {
        let ended = self.status.is_terminal() || self.status == Status::Deleting;
        if ended && !self.untold {
            self.attempts.not_before = Some(until);
        }
    }

    /// How long its last attempt took, in milliseconds, once it has ended; 0 when the clock was set back
    /// meanwhile.
    pub fn duration_ms(&self) -> Option<u64> {
        let elapsed = self.finished_at?.duration_since(self.started_at?);
        Some(u64::try_from(elapsed.as_millis()).unwrap_or(0))
    }

    /// Whether its holder counts as dead.
    pub fn lease_expired(&self, now: Timestamp) -> bool {
        self.status == Status::Running && self.lease.as_ref().is_none_or(|lease| lease.expires_at <= now)
    }

    /// Whether a worker may take it now.
    pub fn may_be_leased(&self, now: Timestamp) -> bool {
        match self.status {
            Status::Queued => self.attempts.not_before.is_none_or(|at| at <= now),
            Status::Running => self.lease_expired(now),
            _ => false,
        }
    }

    /// Takes the lease and begins the next attempt; answers the fence.
    pub fn lease(&mut self, owner: &str, now: Timestamp, ttl: SignedDuration) -> Result<u64> {
        if !self.may_be_leased(now) {
            return Err(Error::conflict(
                "lease a job",
                format!("job {} is {}", self.id, self.status.as_str()),
            ));
        }
        if self.status == Status::Running {
            // Its worker died without a word.
            self.attempts.failures += 1;
        }
        self.fence += 1;
        self.attempts.current += 1;
        self.attempts.not_before = None;
        if matches!(self.work, Work::Dump(_) | Work::Package(_)) {
            self.attempts.litter.insert(self.attempts.current);
        }
        self.lease = Some(Lease { owner: owner.to_owned(), fence: self.fence, expires_at: now + ttl });
        self.status = Status::Running;
        self.started_at = Some(now);
        self.progress = Progress::default();
        Ok(self.fence)
    }

    /// Refuses whoever does not hold the current lease.
    pub fn check_fence(&self, fence: u64) -> Result<()> {
        let held = self.lease.as_ref().is_some_and(|lease| lease.fence == fence);
        if self.status == Status::Running && held {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Fenced,
            "hold a job",
            format!("job {} is {} and no longer ours", self.id, self.status.as_str()),
        ))
    }

    /// Renews the lease and records progress.
    pub fn heartbeat(
        &mut self,
        fence: u64,
        now: Timestamp,
        ttl: SignedDuration,
        progress: Progress,
    ) -> Result<()> {
        self.check_fence(fence)?;
        self.progress = progress;
        if let Some(lease) = &mut self.lease {
            lease.expires_at = now + ttl;
        }
        Ok(())
    }

    /// Commits an attempt's artifact: the attempt of the lease's holder, or an earlier one whose
    /// manifest was found complete.
    pub fn succeed(
        &mut self,
        fence: u64,
        artifact: Artifact,
        fingerprint: Option<Fingerprint>,
        now: Timestamp,
    ) -> Result<()> {
        self.check_fence(fence)?;
        self.backup()?;
        self.attempts.litter.remove(&artifact.attempt);
        self.progress = Progress { raw_bytes: artifact.raw_bytes, stored_bytes: artifact.size_bytes };
        let backup = self.backup_mut()?;
        backup.artifact = Some(artifact);
        backup.fingerprint = fingerprint;
        self.error = None;
        self.end(Status::Succeeded, now);
        Ok(())
    }

    /// Commits an attempt's archive, as [`Job::succeed`] does an artifact.
    pub fn packaged(&mut self, fence: u64, manifest: PackageManifest, now: Timestamp) -> Result<()> {
        self.check_fence(fence)?;
        let package = self.package_mut()?;
        package.members = manifest.members;
        package.left_out = manifest.left_out;
        let artifact = package.artifact.insert(manifest.artifact);
        let (attempt, raw_bytes, stored_bytes) = (artifact.attempt, artifact.raw_bytes, artifact.size_bytes);
        self.attempts.litter.remove(&attempt);
        self.progress = Progress { raw_bytes, stored_bytes };
        self.error = None;
        self.end(Status::Succeeded, now);
        Ok(())
    }

    /// Records that work other than a dump was done.
    pub fn done(&mut self, fence: u64, now: Timestamp) -> Result<()> {
        self.check_fence(fence)?;
        self.error = None;
        self.end(Status::Succeeded, now);
        Ok(())
    }

    /// Records a failure: back to the queue when trying again can help, else failed for good.
    pub fn fail(&mut self, fence: u64, error: Error, now: Timestamp) -> Result<()> {
        self.check_fence(fence)?;
        self.attempts.failures += 1;
        let again = error.is_retryable() && !self.is_exhausted() && !self.cancel_requested;
        self.error = Some(error);
        if again {
            let doublings = self.attempts.failures.saturating_sub(1).min(16);
            let wait = FIRST_BACKOFF.checked_mul(1 << doublings).unwrap_or(LONGEST_BACKOFF);
            self.attempts.not_before = Some(now + wait.min(LONGEST_BACKOFF));
            self.lease = None;
            self.status = Status::Queued;
        } else {
            self.end(Status::Failed, now);
        }
        Ok(())
    }

    /// Records that the holder stopped because it was asked to.
    pub fn cancelled(&mut self, fence: u64, now: Timestamp) -> Result<()> {
        self.check_fence(fence)?;
        self.error = Some(Error::new(ErrorKind::Cancelled, self.work.as_str(), "cancelled on request"));
        self.end(Status::Cancelled, now);
        Ok(())
    }

    /// Asks for it to stop: at once while it waits, by its holder while it runs.
    pub fn cancel(&mut self, now: Timestamp) -> Result<()> {
        match self.status {
            Status::Queued => {
                self.error =
                    Some(Error::new(ErrorKind::Cancelled, self.work.as_str(), "cancelled before it started"));
                self.end(Status::Cancelled, now);
                Ok(())
            }
            Status::Running => {
                self.cancel_requested = true;
                Ok(())
            }
            _ => Err(Error::conflict(
                "cancel a job",
                format!("job {} is already {}", self.id, self.status.as_str()),
            )),
        }
    }

    /// Gives the lease back without having failed: the job waits in the queue for another worker.
    pub fn put_back(&mut self, fence: u64, not_before: Timestamp) -> Result<()> {
        self.check_fence(fence)?;
        self.attempts.not_before = Some(not_before);
        self.lease = None;
        self.status = Status::Queued;
        Ok(())
    }

    /// Gives the lease back, without having failed, to a worker on a host that has no deadline.
    pub fn hand_over(&mut self, fence: u64, now: Timestamp) -> Result<()> {
        self.put_back(fence, now)?;
        self.long = true;
        Ok(())
    }

    /// Leaves a job that nobody works on to a host that has no deadline. Whoever worked on it before, and died
    /// without a word, has failed.
    pub fn leave_to_long_runner(&mut self, now: Timestamp) -> Result<()> {
        if !self.may_be_leased(now) {
            let message = format!("job {} is {}", self.id, self.status.as_str());
            return Err(Error::conflict("hand a job over", message));
        }
        if self.status == Status::Running {
            self.attempts.failures += 1;
            self.attempts.not_before = Some(now);
            self.lease = None;
            self.status = Status::Queued;
        }
        self.long = true;
        Ok(())
    }

    /// Turns a job that was never stored into the record of a slot that gave no backup.
    pub fn skip(&mut self, reason: &str, now: Timestamp) {
        let what = if self.package().is_ok() { "package" } else { "backup" };
        self.error = Some(Error::conflict(format!("start a scheduled {what}"), reason));
        self.end(Status::Skipped, now);
    }

    /// Marks it for removal. A job that may still be worked on is refused, and so is one whose end has not
    /// been told yet.
    pub fn delete(&mut self) -> Result<()> {
        if self.untold {
            let message = format!("backup {} has just ended", self.id);
            return Err(Error::conflict("delete a backup", message).with_retryable(true));
        }
        if self.status.is_terminal() || self.status == Status::Deleting {
            self.status = Status::Deleting;
            return Ok(());
        }
        Err(Error::conflict("delete a backup", format!("backup {} is {}", self.id, self.status.as_str()))
            .with_mend("cancel it first"))
    }

    fn end(&mut self, status: Status, now: Timestamp) {
        self.status = status;
        self.lease = None;
        self.attempts.not_before = None;
        self.finished_at = Some(now);
        self.untold = true;
    }
}
