//! What a job works on, and what it makes.

use super::{Job, Owner};
use crate::model::{
    Artifact, Backup, DatabaseId, Lock, Package, Restoration, RestoreMode, TestRestore, Work,
};
use crate::{Error, Result};

impl Job {
    /// The database that this job works on; `NotFound` for a job that works on no single one.
    pub fn owner(&self) -> Result<Owner> {
        self.database.ok_or_else(|| Error::not_found("the database of job", self.id))
    }

    /// That database's number.
    pub fn database_id(&self) -> Option<DatabaseId> {
        self.database.map(|owner| owner.id)
    }

    /// The backup that this job makes; `NotFound` for a job that makes none.
    pub fn backup(&self) -> Result<&Backup> {
        match &self.work {
            Work::Dump(backup) => Ok(backup),
            _ => Err(Error::not_found("backup", self.id)),
        }
    }

    /// The backup that this job makes, to be changed.
    pub fn backup_mut(&mut self) -> Result<&mut Backup> {
        match &mut self.work {
            Work::Dump(backup) => Ok(backup),
            _ => Err(Error::not_found("backup", self.id)),
        }
    }

    /// What this job restores; `NotFound` for a job that restores nothing.
    pub fn restoration(&self) -> Result<&Restoration> {
        match &self.work {
            Work::Restore(restoration) => Ok(restoration),
            _ => Err(Error::not_found("restore", self.id)),
        }
    }

    /// What this job restores, to be changed.
    pub fn restoration_mut(&mut self) -> Result<&mut Restoration> {
        match &mut self.work {
            Work::Restore(restoration) => Ok(restoration),
            _ => Err(Error::not_found("restore", self.id)),
        }
    }

    /// What this job test-restores; `NotFound` for a job that does not.
    pub fn test_restore(&self) -> Result<&TestRestore> {
        match &self.work {
            Work::Verify(test) => Ok(test),
            _ => Err(Error::not_found("test restore", self.id)),
        }
    }

    /// What this job test-restores, to be changed.
    pub fn test_restore_mut(&mut self) -> Result<&mut TestRestore> {
        match &mut self.work {
            Work::Verify(test) => Ok(test),
            _ => Err(Error::not_found("test restore", self.id)),
        }
    }

    /// The package that this job makes; `NotFound` for a job that makes none.
    pub fn package(&self) -> Result<&Package> {
        match &self.work {
            Work::Package(package) => Ok(package),
            _ => Err(Error::not_found("package", self.id)),
        }
    }

    /// The package that this job makes, to be changed.
    pub fn package_mut(&mut self) -> Result<&mut Package> {
        match &mut self.work {
            Work::Package(package) => Ok(package),
            _ => Err(Error::not_found("package", self.id)),
        }
    }

    /// What it has put into storage and committed: a backup's artifact, a package's archive.
    pub fn artifact(&self) -> Option<&Artifact> {
        match &self.work {
            Work::Dump(backup) => backup.artifact.as_ref(),
            Work::Package(package) => package.artifact.as_ref(),
            Work::Restore(_) | Work::Verify(_) => None,
        }
    }

    /// The lock that its backup has, or is to have.
    pub fn lock(&self) -> Option<Lock> {
        self.backup().ok()?.lock
    }

    /// The file name of what it puts into storage, once it has one.
    pub fn file_name(&self) -> Option<&str> {
        match &self.work {
            Work::Dump(backup) => backup.name.as_deref(),
            Work::Package(package) => package.name.as_deref(),
            Work::Restore(_) | Work::Verify(_) => None,
        }
    }

    /// Whether only a host without a deadline may work on it: one that was handed over, a test restore, and a
    /// restore that would leave its target half loaded if it were cut off.
    pub fn needs_long_runner(&self) -> bool {
        self.long
            || match &self.work {
                Work::Verify(_) => true,
                Work::Restore(restoration) => restoration.options.mode == RestoreMode::InPlace,
                Work::Dump(_) | Work::Package(_) => false,
            }
    }

    /// The due time of a schedule that it stands for.
    pub fn slot(&self) -> Option<jiff::Timestamp> {
        match &self.work {
            Work::Dump(backup) => backup.slot,
            Work::Package(package) => package.slot,
            Work::Restore(_) | Work::Verify(_) => None,
        }
    }
}
