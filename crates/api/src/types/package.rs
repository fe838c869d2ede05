//! Packages in answers.

use jiff::Timestamp;
use respaldo_core::model::{EngineKind, Job, LeftOut, Member, PackageFormat, PackageKind, Status};
use respaldo_core::package::Plan;
use respaldo_core::{App, Result};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ErrorView, ProgressView, seconds_between};

/// A package: one archive of the latest good backups of several databases.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Package")]
pub struct PackageView {
    /// Its id, also its job's.
    pub id: String,
    /// The archive's file name, once packing has begun.
    pub name: Option<String>,
    /// `scheduled` or `manual`.
    #[schema(value_type = String)]
    pub kind: PackageKind,
    /// In a backup's words.
    #[schema(value_type = String)]
    pub status: Status,
    /// `zip` or `tar.gz`.
    #[schema(value_type = String)]
    pub format: PackageFormat,
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
    /// Length of the archive.
    pub size_bytes: Option<u64>,
    /// MD5 of the archive.
    pub md5: Option<String>,
    /// SHA-256 of the archive.
    pub sha256: Option<String>,
    /// Where the archive is (its first volume).
    pub location: Option<String>,
    /// Why it ended badly, or its last attempt did.
    pub error: Option<ErrorView>,
    /// The backups in it, or those that are being packed.
    pub members: Vec<MemberView>,
    /// The databases that it does without.
    pub left_out: Vec<LeftOutView>,
    /// How far it is.
    pub progress: ProgressView,
}

/// One backup in a package, as it is stored.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "PackageMember")]
pub struct MemberView {
    /// The database's number.
    pub database_id: i64,
    /// Its entry in `config.yaml`.
    pub config_id: Option<String>,
    /// What it is called here.
    pub database: String,
    /// The kind of database.
    #[schema(value_type = String)]
    pub engine: EngineKind,
    /// The backup.
    pub backup_id: String,
    /// When that was asked for, or due.
    #[schema(value_type = String, format = DateTime)]
    pub backup_created_at: Timestamp,
    /// Its name in the package.
    pub file: String,
    /// Its length.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// A database that a package does without.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "PackageLeftOut")]
pub struct LeftOutView {
    /// The database's number.
    pub database_id: i64,
    /// What it is called here.
    pub database: String,
    /// Why.
    pub reason: String,
}

/// What a package would hold if it were made now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "PackagePlan")]
pub struct PackagePlanView {
    /// `zip` or `tar.gz`.
    #[schema(value_type = String)]
    pub format: PackageFormat,
    /// Whether every database has a good backup.
    pub complete: bool,
    /// The stored bytes of the members together.
    pub size_bytes: u64,
    /// The backups that it would hold.
    pub members: Vec<MemberView>,
    /// The databases that have no good backup.
    pub left_out: Vec<LeftOutView>,
}

impl PackageView {
    /// A package job's package as it is answered; `NotFound` for a job that makes none.
    pub fn of(app: &App, job: &Job) -> Result<Self> {
        let package = job.package()?;
        let artifact = package.artifact.as_ref();
        let first = artifact.and_then(|artifact| artifact.volumes.first());
        Ok(Self {
            id: job.id.to_string(),
            name: package.name.clone(),
            kind: package.kind,
            status: job.status,
            format: package.format,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            duration_seconds: seconds_between(job.started_at, job.finished_at),
            size_bytes: artifact.map(|artifact| artifact.size_bytes),
            md5: artifact.map(|artifact| artifact.md5.clone()),
            sha256: artifact.map(|artifact| artifact.sha256.clone()),
            location: first.map(|volume| app.storage.location_of(&volume.key)),
            error: job.error.as_ref().map(ErrorView::from),
            members: package.members.iter().map(MemberView::from).collect(),
            left_out: package.left_out.iter().map(LeftOutView::from).collect(),
            progress: job.progress.into(),
        })
    }
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        Self {
            database_id: member.database_id.0,
            config_id: member.config_id.clone(),
            database: member.database.clone(),
            engine: member.engine,
            backup_id: member.backup_id.to_string(),
            backup_created_at: member.backup_created_at,
            file: member.file.clone(),
            size_bytes: member.size_bytes,
            sha256: member.sha256.clone(),
        }
    }
}

impl From<&LeftOut> for LeftOutView {
    fn from(left: &LeftOut) -> Self {
        Self { database_id: left.database_id.0, database: left.database.clone(), reason: left.reason.clone() }
    }
}

impl PackagePlanView {
    /// A plan as it is answered.
    pub fn of(format: PackageFormat, plan: &Plan) -> Self {
        Self {
            format,
            complete: plan.missing.is_empty(),
            size_bytes: plan.size_bytes(),
            members: plan.chosen.iter().map(|chosen| MemberView::from(&chosen.member)).collect(),
            left_out: plan.missing.iter().map(LeftOutView::from).collect(),
        }
    }
}
