//! The words of the product, as types: database, job, backup, artifact, manifest.
//!
//! Everything here is plain data with the rules that hold it together. Nothing reads a clock, a
//! catalog or a store; a [`Job`]'s transitions are pure functions that the catalog then writes with
//! one conditional update.

mod backup;
mod database;
mod history;
mod id;
mod job;
mod lock;
mod manifest;
mod name;
mod outline;
mod package;
mod package_manifest;
mod restore;
pub(crate) mod signed;
mod verify;
mod work;

pub use backup::{
    Artifact, Backup, BackupKind, Consistency, Incoming, Verification, VerificationStatus, Volume,
};
pub use database::{Credentials, Database, DumpFormat, EngineKind, Runner, Settings, VerifyPolicy};
pub use history::{DURATION_BOUNDS, Durations, History, LastRun, LastSuccess, LastVerdict};
pub use id::{DatabaseId, DatabaseUid, JobId};
pub use job::{Attempts, Job, Lease, Owner, Progress, Status};
pub use lock::{Lock, LockMode, ObjectLock};
pub use manifest::{Content, LONGEST_MANIFEST, Manifest, ManifestContent};
pub use name::{artifact_extension, artifact_name, artifact_stem, package_name, safe_component};
pub use outline::Outline;
pub use package::{LeftOut, Member, Package, PackageCounts, PackageFormat, PackageKind};
pub use package_manifest::PackageManifest;
pub use restore::{Ownership, Restoration, RestoreAction, RestoreMode, RestoreOptions, RestoreStep};
pub use verify::TestRestore;
pub use work::{Work, WorkKind};
