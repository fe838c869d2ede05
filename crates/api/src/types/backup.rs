//! Backups in answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use respaldo_core::model::{
    BackupKind, Consistency, EngineKind, Job, Status, Verification, VerificationStatus,
};
use respaldo_core::ports::Totals;
use respaldo_core::seal::Compression;
use respaldo_core::{App, Result};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ErrorView, seconds, seconds_between};

/// A backup: an artifact and how it came to be.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Backup", example = json!({
    "id": "01KAJ5Q4R8Z0V5T3WQ2N7M6XYB", "database_id": 1, "config_id": null,
    "name": "postgres_production_db_20260102_030405.sql.gz", "engine": "postgres", "kind": "manual",
    "status": "succeeded", "created_at": "2026-01-02T03:04:05Z", "started_at": "2026-01-02T03:04:05.120Z",
    "finished_at": "2026-01-02T03:04:07.620Z", "duration_seconds": 2.5, "size_bytes": 1_048_576,
    "raw_bytes": 4_194_304, "compression": "gzip", "encryption": [],
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "location": "file:///srv/backups/backups/…/postgres_production_db_20260102_030405.sql.gz",
    "consistency": "snapshot", "error": null, "verification": null
}))]
pub struct BackupView {
    /// Its id, also its dump job's.
    pub id: String,
    /// Its database's number.
    pub database_id: i64,
    /// Its database's entry in `config.yaml`.
    pub config_id: Option<String>,
    /// The artifact's file name, once the dump has begun.
    pub name: Option<String>,
    /// The kind of its database.
    #[schema(value_type = String)]
    pub engine: EngineKind,
    /// `scheduled`, `manual`, `safety` or `uploaded`.
    #[schema(value_type = String)]
    pub kind: BackupKind,
    /// `queued`, `running`, `succeeded`, `failed`, `cancelled`, `skipped` or `deleting`.
    #[schema(value_type = String)]
    pub status: Status,
    /// When it was asked for, or its due time.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long its last attempt took.
    pub duration_seconds: Option<f64>,
    /// Length of the stored bytes.
    pub size_bytes: Option<u64>,
    /// Length of the dump before compression and encryption.
    pub raw_bytes: Option<u64>,
    /// How it is compressed.
    #[schema(value_type = String)]
    pub compression: Compression,
    /// The `age` recipients it is encrypted to.
    pub encryption: Vec<String>,
    /// MD5 of the stored bytes.
    pub md5: Option<String>,
    /// SHA-256 of the stored bytes.
    pub sha256: Option<String>,
    /// Where the artifact is (its first volume).
    pub location: Option<String>,
    /// What the dump saw while others wrote: `snapshot` (all of it as of one time), `per_collection` (each
    /// collection or table for itself), or null where nobody knows.
    #[schema(value_type = Option<String>)]
    pub consistency: Option<Consistency>,
    /// Its store lets nobody remove it before then; null while it is not locked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub locked_until: Option<Timestamp>,
    /// Why it ended badly, or its last attempt did.
    pub error: Option<ErrorView>,
    /// The last test restore.
    pub verification: Option<VerificationView>,
}

/// A backup that was made of a file that somebody uploaded.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Upload")]
pub struct UploadView {
    /// The backup.
    #[serde(flatten)]
    pub backup: BackupView,
    /// What whoever sent the file should know.
    pub warnings: Vec<String>,
}

impl BackupView {
    /// A dump job's backup as it is answered; `NotFound` for a job that makes none.
    pub fn of(app: &App, job: &Job) -> Result<Self> {
        let backup = job.backup()?.clone();
        let artifact = backup.artifact;
        let first = artifact.as_ref().and_then(|artifact| artifact.volumes.first());
        Ok(Self {
            id: job.id.to_string(),
            database_id: job.owner()?.id.0,
            config_id: backup.config_id,
            name: backup.name,
            engine: backup.engine,
            kind: backup.kind,
            status: job.status,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            duration_seconds: seconds_between(job.started_at, job.finished_at),
            size_bytes: artifact.as_ref().map(|artifact| artifact.size_bytes),
            raw_bytes: artifact.as_ref().map(|artifact| artifact.raw_bytes),
            compression: backup.compression,
            encryption: backup.encryption,
            location: first.map(|volume| app.storage.location_of(&volume.key)),
            md5: artifact.as_ref().map(|artifact| artifact.md5.clone()),
            sha256: artifact.map(|artifact| artifact.sha256),
            consistency: backup.consistency,
            locked_until: backup.lock.and_then(|lock| lock.held_until()),
            error: job.error.as_ref().map(ErrorView::from),
            verification: backup.verification.map(VerificationView::from),
        })
    }
}

/// The last test restore of a backup.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Verification")]
pub struct VerificationView {
    /// `ok`, `failed` or `not_verified`.
    #[schema(value_type = String)]
    pub status: VerificationStatus,
    /// Why it is not `ok`.
    pub reason: Option<String>,
    /// Tables that differ, one line each.
    pub differences: Vec<String>,
    /// How long restoring took.
    pub duration_seconds: Option<f64>,
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
}

impl From<Verification> for VerificationView {
    fn from(verification: Verification) -> Self {
        Self {
            status: verification.status,
            reason: verification.reason,
            differences: verification.differences,
            duration_seconds: verification.duration_ms.map(seconds),
            at: verification.at,
        }
    }
}

/// Sums over backups.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Stats")]
pub struct StatsView {
    /// How many there are.
    pub total: u64,
    /// How many are in each status.
    pub by_status: BTreeMap<String, u64>,
    /// Stored bytes of all that succeeded.
    pub size_bytes: u64,
    /// When the newest that succeeded was asked for or due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub newest_success_at: Option<Timestamp>,
    /// When the oldest that succeeded was asked for or due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest_success_at: Option<Timestamp>,
}

impl From<Totals> for StatsView {
    fn from(totals: Totals) -> Self {
        Self {
            total: totals.by_status.values().sum(),
            by_status: totals.by_status,
            size_bytes: totals.size_bytes,
            newest_success_at: totals.newest_success_at,
            oldest_success_at: totals.oldest_success_at,
        }
    }
}
