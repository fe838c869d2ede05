//! What became of a database's jobs, in numbers that only grow.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::{BackupKind, VerificationStatus};
use super::id::JobId;
use super::job::{Job, Status};
use super::verify::TestRestore;
use super::work::Work;

/// Upper bounds of the duration histogram's buckets, in seconds; beyond the last there is one more.
pub const DURATION_BOUNDS: [u32; 14] =
    [1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400];

/// What became of a database's backups: each is counted once, when it has ended, and stays counted when
/// its record is gone. Metrics are read from here, so a restart loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// How many ended in each terminal status, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ended: BTreeMap<String, u64>,
    /// How long those took that succeeded.
    #[serde(default, skip_serializing_if = "Durations::is_empty")]
    pub durations: Durations,
    /// The newest that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<LastSuccess>,
    /// The newest that ran: succeeded or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// How many restores ended in each terminal status, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub restores: BTreeMap<String, u64>,
    /// How many test restores ended with each verdict, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<String, u64>,
    /// The newest test restore whose verdict was `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<LastVerdict>,
    /// The newest test restore whose verdict was `ok` or `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verdict: Option<LastVerdict>,
    /// Those counted last whose own records may not say so yet. It is what makes counting exact:
    /// see `jobs::aftermath`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<JobId>,
}

/// A histogram of durations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// How many fell into each bucket of [`DURATION_BOUNDS`], and beyond; empty: none yet.
    pub counts: Vec<u64>,
    /// Their sum, in milliseconds.
    pub sum_ms: u64,
}

/// The newest backup that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSuccess {
    /// The backup.
    pub id: JobId,
    /// When it was asked for, or due.
    pub created_at: Timestamp,
    /// When it was proven.
    pub finished_at: Timestamp,
    /// How long its last attempt took, in milliseconds.
    pub duration_ms: u64,
    /// Stored bytes.
    pub size_bytes: u64,
    /// Bytes of the dump.
    pub raw_bytes: u64,
}

/// The newest backup that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The backup.
    pub id: JobId,
    /// `Succeeded` or `Failed`.
    pub status: Status,
    /// When it was asked for, or due.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// The newest test restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastVerdict {
    /// The backup.
    pub backup: JobId,
    /// The verdict.
    pub status: VerificationStatus,
    /// When.
    pub at: Timestamp,
    /// How long restoring took, in milliseconds.
    pub duration_ms: Option<u64>,
}

impl History {
    /// Counts a job that has ended. The caller sees to it that each is counted once.
    ///
    /// What ended after `now` did so by a clock that was ahead: it gives way to whatever is counted next, or
    /// an alert on the last success would be silent until that time comes.
    pub fn count(&mut self, job: &Job, now: Timestamp) {
        self.counted.push(job.id);
        match &job.work {
            // What somebody uploads says nothing about how the database is backed up.
            Work::Dump(backup) if backup.kind == BackupKind::Uploaded => {}
            Work::Dump(_) => self.count_backup(job, now),
            Work::Restore(_) => *self.restores.entry(job.status.as_str().to_owned()).or_default() += 1,
            Work::Verify(test) => self.count_verdict(test, now),
            // It is of no single database, and counted elsewhere.
            Work::Package(_) => {}
        }
    }

    fn count_verdict(&mut self, test: &TestRestore, now: Timestamp) {
        let Some((verdict, at)) = test.verdict.as_ref().and_then(|verdict| Some((verdict, verdict.at?)))
        else {
            return;
        };
        *self.verdicts.entry(verdict.status.as_str().to_owned()).or_default() += 1;
        let last =
            LastVerdict { backup: test.backup, status: verdict.status, at, duration_ms: verdict.duration_ms };
        let newer =
            |known: &Option<LastVerdict>| known.as_ref().is_none_or(|known| known.at <= at || known.at > now);
        if verdict.status == VerificationStatus::Ok && newer(&self.last_verified) {
            self.last_verified = Some(last.clone());
        }
        // What could not be tried tells nothing of the backups: an alert on a failed one goes on.
        if verdict.status != VerificationStatus::NotVerified && newer(&self.last_verdict) {
            self.last_verdict = Some(last);
        }
    }

    fn count_backup(&mut self, job: &Job, now: Timestamp) {
        *self.ended.entry(job.status.as_str().to_owned()).or_default() += 1;
        let finished_at = job.finished_at.unwrap_or(job.created_at);
        if !matches!(job.status, Status::Succeeded | Status::Failed) {
            return;
        }
        // Jobs may be counted out of order, after a crash.
        let gives_way = |earlier: Timestamp| earlier <= finished_at || earlier > now;
        if self.last_run.as_ref().is_none_or(|run| gives_way(run.finished_at)) {
            self.last_run =
                Some(LastRun { id: job.id, status: job.status, created_at: job.created_at, finished_at });
        }
        let Some(artifact) = job
            .backup()
            .ok()
            .and_then(|backup| backup.artifact.as_ref())
            .filter(|_| job.status == Status::Succeeded)
        else {
            return;
        };
        let duration_ms = job.duration_ms().unwrap_or_default();
        self.durations.add(duration_ms);
        if self.last_success.as_ref().is_none_or(|last| gives_way(last.finished_at)) {
            self.last_success = Some(LastSuccess {
                id: job.id,
                created_at: job.created_at,
                finished_at,
                duration_ms,
                size_bytes: artifact.size_bytes,
                raw_bytes: artifact.raw_bytes,
            });
        }
    }
}

impl Durations {
    fn add(&mut self, duration_ms: u64) {
        self.counts.resize(DURATION_BOUNDS.len() + 1, 0);
        let fits = |bound: &u32| duration_ms <= u64::from(*bound) * 1_000;
        let bucket = DURATION_BOUNDS.iter().position(fits).unwrap_or(DURATION_BOUNDS.len());
        self.counts[bucket] += 1;
        self.sum_ms = self.sum_ms.saturating_add(duration_ms);
    }

    /// Whether nothing has been counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}
