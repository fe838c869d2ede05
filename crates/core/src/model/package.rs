//! A package: one archive of the latest good backups of several databases.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::Artifact;
use super::database::EngineKind;
use super::id::{DatabaseId, JobId};
use super::job::Status;
use crate::{Error, Result};

/// How a package came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// A slot of `package-conf.schedule` was due.
    Scheduled,
    /// Somebody asked for it.
    Manual,
}

impl PackageKind {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
        }
    }
}

/// The kind of archive that a package is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PackageFormat {
    /// A zip file.
    #[default]
    #[serde(rename = "zip")]
    Zip,
    /// A tar file in gzip.
    #[serde(rename = "tar.gz")]
    TarGz,
}

impl PackageFormat {
    /// The name in records and requests, and the extension of a package's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::TarGz => "tar.gz",
        }
    }
}

impl fmt::Display for PackageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PackageFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = [Self::Zip, Self::TarGz].into_iter().find(|format| format.as_str() == text);
        known.ok_or_else(|| Error::invalid("format", "it must be zip or tar.gz"))
    }
}

/// One backup in a package: its artifact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The database's number.
    pub database_id: DatabaseId,
    /// The database's entry in `config.yaml`.
    pub config_id: Option<String>,
    /// What the database is called here.
    pub database: String,
    /// The kind of database.
    pub engine: EngineKind,
    /// The backup.
    pub backup_id: JobId,
    /// When that was asked for, or due.
    pub backup_created_at: Timestamp,
    /// The member's name in the package.
    pub file: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Where its bytes begin in the package, once they do: of a zip file its first byte, of a tar file in gzip
    /// the first block of its gzip member.
    #[serde(default)]
    pub offset: u64,
}

/// A database that a package does without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The database's number.
    pub database_id: DatabaseId,
    /// What it is called here.
    pub database: String,
    /// Why.
    pub reason: String,
}

/// How many packages of an installation have ended, by how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageCounts {
    /// Whole.
    pub succeeded: u64,
    /// Given up.
    pub failed: u64,
}

impl PackageCounts {
    /// The counts when one more has ended.
    pub fn with(mut self, status: Status) -> Self {
        match status {
            Status::Succeeded => self.succeeded += 1,
            Status::Failed => self.failed += 1,
            _ => {}
        }
        self
    }

    /// The greater of each.
    pub fn max(self, other: Self) -> Self {
        Self { succeeded: self.succeeded.max(other.succeeded), failed: self.failed.max(other.failed) }
    }
}

/// What a package job makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// How it came to be.
    pub kind: PackageKind,
    /// The due time, for a scheduled one.
    #[serde(default)]
    pub slot: Option<Timestamp>,
    /// The kind of archive.
    pub format: PackageFormat,
    /// Of which databases; none: of those whose policy says `package: true`.
    #[serde(default)]
    pub databases: Option<Vec<DatabaseId>>,
    /// Whether it may do without a database whose backup is missing or broken.
    #[serde(default)]
    pub allow_incomplete: bool,
    /// The archive's file name, unique in the catalog; given when the job first starts.
    #[serde(default)]
    pub name: Option<String>,
    /// The backups in it, or those that an attempt is putting in.
    #[serde(default)]
    pub members: Vec<Member>,
    /// The databases that it does without.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// The archive, once the package has succeeded.
    #[serde(default)]
    pub artifact: Option<Artifact>,
    /// How many packages had ended when this one had been counted.
    #[serde(default)]
    pub counts: Option<PackageCounts>,
}
