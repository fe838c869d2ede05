//! What became of a database's jobs, in numbers that only grow.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::JobId;
use super::job::{Job, Status};

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
    /// Those counted last whose own records may not say so yet. It is what makes counting exact:
    /// see `backup::aftermath`.
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

impl History {
    /// Counts a job that has ended. The caller sees to it that each is counted once.
    ///
    /// What ended after `now` did so by a clock that was ahead: it gives way to whatever is counted next, or
    /// an alert on the last success would be silent until that time comes.
    pub fn count(&mut self, job: &Job, now: Timestamp) {
        *self.ended.entry(job.status.as_str().to_owned()).or_default() += 1;
        self.counted.push(job.id);
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
        let Some(artifact) = job.backup().artifact.as_ref().filter(|_| job.status == Status::Succeeded)
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
