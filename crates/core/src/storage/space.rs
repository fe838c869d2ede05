//! How much room there is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Storage;
use crate::{Error, ErrorKind, Result};

/// A disk over the network that is gone can keep its callers waiting for ever.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// Questions that are open at once: each holds a thread until its disk answers, so those that a dead one
/// never answers must not add up.
static OPEN_QUESTIONS: Semaphore = Semaphore::const_new(4);

/// The room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write, in bytes (what is reserved for root is not part of it).
    pub free_bytes: u64,
    /// The size of the whole file system, in bytes.
    pub total_bytes: u64,
}

impl Space {
    /// The room of the file system that holds this folder.
    ///
    /// # Errors
    /// `Storage` when it cannot be told, `Timeout` when the disk does not answer.
    pub async fn of(folder: &Path) -> Result<Self> {
        const OPERATION: &str = "look for free space";
        let asked = PathBuf::from(folder);
        let asking = async {
            let turn = OPEN_QUESTIONS.acquire().await.map_err(|e| Error::internal(OPERATION, e))?;
            let ask = move || {
                let _until_answered = turn;
                rustix::fs::statvfs(&asked)
            };
            tokio::task::spawn_blocking(ask).await.map_err(|e| Error::internal(OPERATION, e))
        };
        let Ok(answered) = tokio::time::timeout(LONGEST_ANSWER, asking).await else {
            let waited = format!("{} does not answer within {LONGEST_ANSWER:?}", folder.display());
            return Err(Error::new(ErrorKind::Timeout, OPERATION, waited));
        };
        let told = answered?.map_err(|e| {
            Error::new(ErrorKind::Storage, OPERATION, format!("{}: {e}", folder.display()))
                .with_mend("check that the folder exists")
        })?;
        Ok(Self {
            free_bytes: told.f_bavail.saturating_mul(told.f_frsize),
            total_bytes: told.f_blocks.saturating_mul(told.f_frsize),
        })
    }
}

impl Storage {
    /// The room that is left; none where the store does not tell (S3 and its likes).
    ///
    /// # Errors
    /// As [`Space::of`].
    pub async fn space(&self) -> Result<Option<Space>> {
        match &self.local {
            Some(local) => Space::of(local.root()).await.map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_tells_the_room_of_its_disk_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let space = Space::of(folder.path()).await.unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        let error = Space::of(&folder.path().join("gone")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage);
    }
}
