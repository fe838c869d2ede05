//! A job in outline: what deciding about its removal needs, and nothing heavier.

use jiff::Timestamp;
use serde::Deserialize;

use super::backup::{BackupKind, VerificationStatus};
use super::id::JobId;
use super::job::{Job, Status};
use super::lock::Lock;
use super::package::PackageKind;

/// The few fields of a dump job that retention judges by. It is read from a job's record without its
/// artifact, its fingerprint and its attempts, so that ten thousand of them are read at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Record")]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any may go with any")]
pub struct Outline {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub status: Status,
    /// How its backup came to be.
    pub kind: BackupKind,
    /// When it was asked for, or its due time: what its manifest says, and what its age counts from.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// It has ended, and what follows from that is not done yet.
    pub untold: bool,
    /// The artifact's file name.
    pub name: Option<String>,
    /// Whether its record names an artifact.
    pub stored: bool,
    /// The verdict of its last test restore.
    pub verdict: Option<VerificationStatus>,
    /// A safety backup whose restore nobody has confirmed yet.
    pub pinned: bool,
    /// Its store lets nobody remove it before this instant.
    pub locked_until: Option<Timestamp>,
    /// Whether a restore that has not ended names it. The record itself does not tell: whoever knows sets it.
    pub needed: bool,
}

impl Outline {
    /// The outline of a dump job; none of another.
    pub fn of(job: &Job) -> Option<Self> {
        let backup = job.backup().ok()?;
        Some(Self {
            id: job.id,
            status: job.status,
            kind: backup.kind,
            created_at: job.created_at,
            finished_at: job.finished_at,
            untold: job.untold,
            name: backup.name.clone(),
            stored: backup.artifact.is_some(),
            verdict: backup.verification.as_ref().map(|verification| verification.status),
            pinned: backup.pinned,
            locked_until: backup.lock.and_then(|lock| lock.held_until()),
            needed: false,
        })
    }

    /// The outline of a package job, which is judged as a backup is; none of another.
    pub fn of_package(job: &Job) -> Option<Self> {
        let package = job.package().ok()?;
        Some(Self {
            id: job.id,
            status: job.status,
            kind: match package.kind {
                PackageKind::Scheduled => BackupKind::Scheduled,
                PackageKind::Manual => BackupKind::Manual,
            },
            created_at: job.created_at,
            finished_at: job.finished_at,
            untold: job.untold,
            name: package.name.clone(),
            stored: package.artifact.is_some(),
            verdict: None,
            pinned: false,
            locked_until: None,
            needed: false,
        })
    }

    /// Whether it is a good backup: it succeeded, its artifact is there, and it was made of the database. A file
    /// that somebody uploaded does not stand for the database, however new it is.
    pub fn is_good(&self) -> bool {
        self.status == Status::Succeeded && self.stored && self.kind != BackupKind::Uploaded
    }

    /// Whether it is a good backup whose restored copy was found equal.
    pub fn is_verified(&self) -> bool {
        self.is_good() && self.verdict == Some(VerificationStatus::Ok)
    }

    /// Whether it is the record of a run that ended without making a backup.
    pub fn is_record(&self) -> bool {
        matches!(self.status, Status::Failed | Status::Cancelled | Status::Skipped)
    }

    /// Its place in lists: newest is greatest.
    pub fn place(&self) -> (Timestamp, JobId) {
        (self.created_at, self.id)
    }
}

/// A job's record as far as it is read here; every other field is passed over.
#[derive(Deserialize)]
struct Record {
    id: JobId,
    status: Status,
    work: RecordedWork,
    created_at: Timestamp,
    #[serde(default)]
    finished_at: Option<Timestamp>,
    #[serde(default)]
    untold: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordedWork {
    Dump(RecordedBackup),
}

#[derive(Deserialize)]
struct RecordedBackup {
    kind: BackupKind,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    artifact: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    verification: Option<RecordedVerdict>,
    #[serde(default)]
    pinned: bool,
    #[serde(default)]
    lock: Option<Lock>,
}

#[derive(Deserialize)]
struct RecordedVerdict {
    status: VerificationStatus,
}

impl From<Record> for Outline {
    fn from(record: Record) -> Self {
        let RecordedWork::Dump(backup) = record.work;
        Self {
            id: record.id,
            status: record.status,
            kind: backup.kind,
            created_at: record.created_at,
            finished_at: record.finished_at,
            untold: record.untold,
            name: backup.name,
            stored: backup.artifact.is_some(),
            verdict: backup.verification.map(|verification| verification.status),
            pinned: backup.pinned,
            locked_until: backup.lock.and_then(|lock| lock.held_until()),
            needed: false,
        }
    }
}
