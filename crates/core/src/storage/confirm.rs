//! The proof that a store keeps what it was sent.

use bytes::Bytes;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use super::{Storage, error};
use crate::model::Volume;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "read an artifact back";
const MEND: &str = "the store, or something on the way to it, changes what it is given: look there if this \
                    comes again";

/// How a store shows that it keeps what it was sent; what it reports as the length is compared in any
/// case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// By a checksum that goes with every part and every object, and that the store checks. Local disk
    /// belongs here: its file system and the fsync are what there is to trust.
    Checksums,
    /// By giving it back: a store that checks nothing (or of which nobody knows) is read.
    ReadBack,
}

impl Storage {
    /// For a store that confirms no checksum: what it was sent is read back before it counts, which
    /// costs as much traffic as sending it.
    pub fn with_read_back(mut self) -> Self {
        self.confirmation = Confirmation::ReadBack;
        self
    }

    /// How this store shows that it keeps what it was sent.
    pub fn confirmation(&self) -> Confirmation {
        self.confirmation
    }

    /// Reads volumes back as streams and compares length and SHA-256 with what was sent; tells `came` of
    /// every piece, in bytes. Does nothing where the store has confirmed checksums.
    ///
    /// # Errors
    /// `Corrupt`, and worth another try, for a volume that is another or is not there.
    pub async fn read_back(&self, volumes: &[Volume], came: impl Fn(usize)) -> Result<()> {
        if self.confirmation == Confirmation::Checksums {
            return Ok(());
        }
        for volume in volumes {
            self.read_volume_back(volume, &came).await?;
        }
        Ok(())
    }

    async fn read_volume_back(&self, volume: &Volume, came: impl Fn(usize)) -> Result<()> {
        let explain = |e: opendal::Error| match e.kind() {
            opendal::ErrorKind::NotFound => changed(&volume.key, "is not there any more"),
            _ => error::explain(OPERATION, &e),
        };
        let reader = self.operator.reader(&volume.key).await.map_err(explain)?;
        // Without an end, so that what is too long is found out too.
        let mut stream = reader.into_stream(..).await.map_err(explain)?;
        let (mut length, mut digest) = (0, Sha256::new());
        while let Some(buffer) = stream.try_next().await.map_err(explain)? {
            for piece in buffer {
                length += piece.len() as u64;
                digest.update(&piece);
                came(piece.len());
            }
            if length > volume.size_bytes {
                break;
            }
        }
        if length == volume.size_bytes && hex::encode(digest.finalize()) == volume.sha256 {
            return Ok(());
        }
        Err(changed(&volume.key, &format!("is not the {} bytes that were sent", volume.size_bytes)))
    }

    /// The same for a small object, whose bytes are at hand.
    pub(super) async fn confirm_put(&self, key: &str, sent: &Bytes) -> Result<()> {
        self.confirm(key, sent.len() as u64).await?;
        if self.confirmation == Confirmation::Checksums {
            return Ok(());
        }
        match self.get(key, sent.len()).await? {
            Some(stored) if stored == *sent => Ok(()),
            _ => Err(changed(key, &format!("is not the {} bytes that were sent", sent.len()))),
        }
    }

    /// Holds the length that the store reports against what was sent. Some gateways answer a write
    /// with success and keep nothing.
    pub(super) async fn confirm(&self, key: &str, sent: u64) -> Result<()> {
        let stored = self.length(key).await?;
        if stored == Some(sent) {
            return Ok(());
        }
        let found = stored.map_or("nothing".to_owned(), |length| format!("{length} bytes"));
        let message = format!("{sent} bytes of {key} were sent and the store holds {found}");
        Err(Error::new(ErrorKind::Storage, "confirm an object", message).with_retryable(true))
    }
}

fn changed(key: &str, how: &str) -> Error {
    let message = format!("the store gave back something else than it was sent: {key} {how}");
    Error::new(ErrorKind::Corrupt, OPERATION, message).with_retryable(true).with_mend(MEND)
}
