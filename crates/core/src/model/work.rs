//! What a job does.

use serde::{Deserialize, Serialize};

use super::backup::Backup;
use super::package::Package;
use super::restore::Restoration;
use super::verify::TestRestore;

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Make this backup.
    Dump(Box<Backup>),
    /// Put a backup back, or undo or confirm that.
    Restore(Box<Restoration>),
    /// Restore a backup into a scratch server and compare.
    Verify(Box<TestRestore>),
    /// Put the latest good backups of several databases into one archive.
    Package(Box<Package>),
}

/// The kinds of work, one for each function that works on jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Dumping.
    Dump,
    /// Restoring.
    Restore,
    /// Test-restoring.
    Verify,
    /// Packaging.
    Package,
}

impl Work {
    /// Its kind.
    pub fn kind(&self) -> WorkKind {
        match self {
            Self::Dump(_) => WorkKind::Dump,
            Self::Restore(_) => WorkKind::Restore,
            Self::Verify(_) => WorkKind::Verify,
            Self::Package(_) => WorkKind::Package,
        }
    }

    /// The name of its kind.
    pub fn as_str(&self) -> &'static str {
        self.kind().as_str()
    }
}

impl WorkKind {
    /// The name in records and requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dump => "dump",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Package => "package",
        }
    }
}
