//! Objects that a store lets nobody remove for a while, and what is left of them afterwards.
//!
//! A store that has such locks keeps versions: to remove an object there is to put a mark above it. Whoever
//! removes a backup that was locked removes its versions and their marks, so that nothing stays behind.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Storage;
use crate::limits::Limits;
use crate::model::LockMode;
use crate::{Error, ErrorKind, Result};

/// Where the objects of an installation lie, when they are on S3: for whoever asks the store what `OpenDAL` has no
/// call for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What every key begins with: empty, or ending with a slash.
    pub root: String,
    /// Where it is reached, with its scheme; none: where Amazon has it.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Whether its name stands in the path, and not in the host.
    pub path_style: bool,
}

/// One version of an object, or a mark that it was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The object's key.
    pub key: String,
    /// What the store calls the version.
    pub id: String,
}

/// What a store of S3's kind does with versions and locks.
///
/// Errors: retryable ones when the store cannot answer now; any other says what it refuses, and how that is
/// mended.
#[async_trait]
pub trait Locks: fmt::Debug + Send + Sync {
    /// Whether the bucket keeps versions and takes locks; `Config` says what it lacks.
    async fn check(&self) -> Result<()>;
    /// Locks the newest version of an object. A lock that is as strict and lasts longer stays as it is; no date is
    /// brought forward.
    async fn lock(&self, key: &str, mode: LockMode, until: Timestamp) -> Result<()>;
    /// The lock of the newest version of an object, whether or not it has ended.
    async fn locked(&self, key: &str) -> Result<Option<(LockMode, Timestamp)>>;
    /// All versions of all objects whose keys begin with this, and their marks.
    async fn versions(&self, prefix: &str) -> Result<Vec<Version>>;
    /// Removes a version for good; one that is gone counts as removed. `Denied` while it is locked.
    async fn remove(&self, version: &Version) -> Result<()>;
}

impl Storage {
    /// For a store that has locks.
    pub fn with_locks(mut self, locks: Arc<dyn Locks>) -> Self {
        self.locks = Some(locks);
        self
    }

    /// Its locks.
    ///
    /// # Errors
    /// `Config` where it has none.
    pub fn locks(&self) -> Result<&dyn Locks> {
        self.locks.as_deref().ok_or_else(|| {
            let what = format!("{} has no locks", self.location);
            Error::new(ErrorKind::Config, "lock an object", what).with_mend(
                "object locks take storage on s3:// and a build with the feature aws; else take \
                 retention.object_lock out of the configuration",
            )
        })
    }

    /// Removes an object: with all its versions where locks make the store keep them.
    pub async fn remove_for_good(&self, limits: &Limits, key: &str) -> Result<()> {
        if limits.object_lock.is_none() {
            return self.delete(key).await;
        }
        let locks = self.locks()?;
        for version in locks.versions(key).await?.iter().filter(|version| version.key == key) {
            locks.remove(version).await?;
        }
        Ok(())
    }

    /// Removes everything below a folder with all its versions and marks, uploads that were never finished and
    /// manifests first. Answers how many versions.
    ///
    /// # Errors
    /// `Denied` where one of them is still locked: then those before it are gone.
    pub async fn purge_below(&self, folder: &str) -> Result<usize> {
        let locks = self.locks()?;
        self.abort_unfinished(folder).await?;
        let mut versions = locks.versions(folder).await?;
        versions.sort_by_key(|version| !version.key.ends_with("/manifest.json"));
        for version in &versions {
            locks.remove(version).await?;
        }
        Ok(versions.len())
    }
}
