//! Brings a growing file to disk while it grows, so that the fsync at its end has little left to do.

use std::fs::File;
use std::path::PathBuf;

use tokio::task::JoinHandle;

use crate::{Error, ErrorKind, Result};

const MIB: u64 = 1024 * 1024;
/// Bytes written between two beginnings: few beginnings, and few bytes left at the end.
const EVERY: u64 = 32 * MIB;

/// One file on its way to disk. It only hastens: what is durable is decided by the fsync at the end, on
/// the descriptor that wrote.
#[derive(Debug)]
pub(super) struct WriteBack {
    path: PathBuf,
    unsynced: u64,
    running: Option<JoinHandle<std::io::Result<()>>>,
}

impl WriteBack {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, unsynced: 0, running: None }
    }

    /// Takes note of bytes that were written, and starts the disk when there are many. Never waits for
    /// it: while one round is under way, the next one grows.
    pub(super) async fn wrote(&mut self, bytes: usize) -> Result<()> {
        self.unsynced += bytes as u64;
        if self.unsynced < EVERY || self.running.as_ref().is_some_and(|round| !round.is_finished()) {
            return Ok(());
        }
        self.finish().await?;
        self.unsynced = 0;
        let path = self.path.clone();
        self.running = Some(tokio::task::spawn_blocking(move || File::open(path)?.sync_data()));
        Ok(())
    }

    /// Waits for the round under way, whose failure is the file's.
    pub(super) async fn finish(&mut self) -> Result<()> {
        const OPERATION: &str = "bring an artifact to disk";
        let Some(round) = self.running.take() else { return Ok(()) };
        let done = round.await.map_err(|e| Error::internal(OPERATION, e))?;
        done.map_err(|e| super::error::of_disk(ErrorKind::Storage, OPERATION, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: usize = 32 << 20;

    #[tokio::test]
    async fn a_round_begins_with_every_32_mib() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut back = WriteBack::new(file.path().to_owned());
        back.wrote(ENOUGH - 1).await.unwrap();
        assert!(back.running.is_none());
        back.wrote(1).await.unwrap();
        assert!(back.running.is_some());
        back.finish().await.unwrap();
        back.wrote(ENOUGH - 1).await.unwrap();
        assert!(back.running.is_none());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_brought_to_disk_fails_the_upload() {
        let mut back = WriteBack::new(PathBuf::from("/nowhere/file"));
        back.wrote(ENOUGH).await.unwrap();
        let error = back.finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        back.wrote(ENOUGH).await.unwrap();
        while !back.running.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        back.wrote(ENOUGH).await.unwrap_err();
    }
}
