//! How much room there is.

use super::Storage;
use crate::Result;

/// The room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write, in bytes (what is reserved for root is not part of it).
    pub free_bytes: u64,
    /// The size of the whole file system, in bytes.
    pub total_bytes: u64,
}

impl Storage {
    /// The room on the file system that holds storage, now; none for a store that has no such bounds.
    ///
    /// # Errors
    /// `Storage` when the folder is not there any more.
    pub async fn space(&self) -> Result<Option<Space>> {
        let Some(local) = &self.local else { return Ok(None) };
        let space = local.run("look at the room for storage", |root| {
            let system = rustix::fs::statvfs(root)?;
            Ok(Space {
                free_bytes: system.f_bavail.saturating_mul(system.f_frsize),
                total_bytes: system.f_blocks.saturating_mul(system.f_frsize),
            })
        });
        space.await.map(Some)
    }
}
