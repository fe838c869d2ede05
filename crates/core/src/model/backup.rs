//! A backup: the catalog's record of an artifact and how it came to be.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::database::{DumpFormat, EngineKind};
use super::lock::Lock;
use crate::fingerprint::Fingerprint;
use crate::seal::Compression;

/// How a backup came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// A slot of its database's schedule was due.
    Scheduled,
    /// Somebody asked for it.
    Manual,
    /// Taken before a restore.
    Safety,
    /// A user's own file, adopted.
    Uploaded,
}

impl BackupKind {
    /// Whether it is dumped for its own sake: not for a restore, and not from a user's file.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Scheduled | Self::Manual)
    }

    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Safety => "safety",
            Self::Uploaded => "uploaded",
        }
    }
}

/// What a dump saw of its source while others wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// All of it as of one point in time.
    Snapshot,
    /// Each collection (or table) for itself, and what is written to it meanwhile in part.
    PerCollection,
}

impl Consistency {
    /// The name in records and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::PerCollection => "per_collection",
        }
    }
}

/// One object of an artifact. Volumes in order, end to end, are the artifact's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The object's key in storage.
    pub key: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
}

/// The stored bytes of one backup, as its manifest describes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The attempt that wrote it.
    pub attempt: u32,
    /// Its objects, in order.
    pub volumes: Vec<Volume>,
    /// Length of the stored bytes.
    pub size_bytes: u64,
    /// Length of the dump before compression and encryption.
    pub raw_bytes: u64,
    /// MD5 of the stored bytes, in hex.
    pub md5: String,
    /// SHA-256 of the stored bytes, in hex.
    pub sha256: String,
}

/// The verdict of the last test restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationStatus {
    /// The restored copy has the dump's fingerprint.
    Ok,
    /// It has another, or did not restore.
    Failed,
    /// It could not be tried; the reason says why.
    NotVerified,
}

impl VerificationStatus {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NotVerified => "not_verified",
        }
    }
}

/// The last test restore of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The verdict.
    pub status: VerificationStatus,
    /// Why it is not `ok`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Tables that differ, one line each.
    #[serde(default)]
    pub differences: Vec<String>,
    /// How long restoring took, in milliseconds: the measured recovery time.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    /// When.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// A file that was sent to storage to become a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incoming {
    /// Its length in bytes.
    pub size_bytes: u64,
    /// What the store told it by when it was completed: its entity tag.
    #[serde(default)]
    pub etag: Option<String>,
    /// What its sender calls it. It is shown, and decides nothing.
    #[serde(default)]
    pub filename: Option<String>,
}

/// What a dump job makes. The policy is copied from the database when the job is created, so that a
/// later change cannot alter what a running job promised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// How it came to be.
    pub kind: BackupKind,
    /// The due time, for a scheduled one.
    #[serde(default)]
    pub slot: Option<Timestamp>,
    /// `config_id` of its database.
    #[serde(default)]
    pub config_id: Option<String>,
    /// The database's name on its server (for SQLite the file's stem).
    pub database_name: String,
    /// The kind of its database.
    pub engine: EngineKind,
    /// The shape of the dump.
    #[serde(default)]
    pub format: DumpFormat,
    /// How it is compressed.
    pub compression: Compression,
    /// The recipients it is encrypted to.
    #[serde(default)]
    pub encryption: Vec<String>,
    /// The artifact's file name, unique in the catalog; given when the job first starts.
    #[serde(default)]
    pub name: Option<String>,
    /// The artifact, once the backup has succeeded.
    #[serde(default)]
    pub artifact: Option<Artifact>,
    /// What the dump saw of its source while others wrote, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// What the dump held, where it may stand in clear (not encrypted).
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// The last test restore.
    #[serde(default)]
    pub verification: Option<Verification>,
    /// Its lock in storage, where it is to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// The file in storage that it is made of, and that goes when the job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incoming: Option<Incoming>,
    /// A safety backup whose restore nobody has confirmed yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
}
