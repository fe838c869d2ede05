//! One artifact on its way up.

use bytes::Bytes;
use opendal::Writer;
use sha2::{Digest, Sha256};

use super::writeback::WriteBack;
use super::{Cut, Storage, error};
use crate::Result;
use crate::model::Volume;

type KeyOf = Box<dyn Fn(usize) -> String + Send + Sync>;

/// A stream of bytes that becomes an artifact's volumes. Either [`finish`](Self::finish) confirms
/// them all, or [`abort`](Self::abort) removes them all; dropping it does neither, which is what a
/// crash looks like to the sweep.
pub struct Upload {
    storage: Storage,
    cut: Cut,
    key_of: KeyOf,
    done: Vec<Volume>,
    open: Option<OpenVolume>,
    /// The store was asked for something, and no success was heard of: it may yet do it.
    unanswered: bool,
}

struct OpenVolume {
    key: String,
    writer: Writer,
    written: u64,
    digest: Sha256,
    write_back: Option<WriteBack>,
}

impl Upload {
    pub(super) fn new(storage: Storage, cut: Cut, key_of: KeyOf) -> Self {
        Self { storage, cut, key_of, done: Vec::new(), open: None, unanswered: false }
    }

    /// Takes the next bytes.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.unanswered = true;
        self.send(bytes).await?;
        self.unanswered = false;
        Ok(())
    }

    async fn send(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let limit = self.cut.volume_bytes;
            let volume = self.volume().await?;
            let room = usize::try_from(limit - volume.written).unwrap_or(usize::MAX);
            let piece = bytes.split_to(bytes.len().min(room));
            volume.digest.update(&piece);
            volume.written += piece.len() as u64;
            let (full, length) = (volume.written == limit, piece.len());
            volume.writer.write(piece).await.map_err(|e| error::explain("write an artifact", &e))?;
            if let Some(back) = &mut volume.write_back {
                back.wrote(length).await?;
            }
            if full {
                self.close_volume().await?;
            }
        }
        Ok(())
    }

    /// Closes the last volume and confirms the length of each; answers them in order.
    pub async fn finish(&mut self) -> Result<Vec<Volume>> {
        self.unanswered = true;
        if self.done.is_empty() {
            self.volume().await?;
        }
        self.close_volume().await?;
        for volume in &self.done {
            self.storage.confirm(&volume.key, volume.size_bytes).await?;
        }
        self.abort_strays().await?;
        self.unanswered = false;
        Ok(self.done.clone())
    }

    /// Removes whatever has gone up. The first failure is answered, after everything was tried. True when
    /// that was all: false when the store may yet do something that it was asked for, so that somebody has to
    /// look again later.
    pub async fn abort(&mut self) -> Result<bool> {
        let settled = !self.unanswered && !self.has_parts_on_their_way();
        let mut keys: Vec<String> = self.done.drain(..).map(|volume| volume.key).collect();
        let mut outcome = Ok(());
        if let Some(mut open) = self.open.take() {
            keys.push(open.key);
            match open.writer.abort().await {
                // Local disk cannot abort; the half-written file is removed below.
                Err(e) if e.kind() != opendal::ErrorKind::Unsupported => {
                    outcome = Err(error::explain("abort an upload", &e));
                }
                _ => {}
            }
        }
        for key in keys {
            outcome = outcome.and(self.storage.delete(&key).await);
        }
        outcome.map(|()| settled)
    }

    /// Parts go up beside each other, so that one which was taken may not have arrived.
    fn has_parts_on_their_way(&self) -> bool {
        let part = self.cut.part_bytes as u64;
        self.storage.local.is_none() && self.open.as_ref().is_some_and(|open| open.written > part)
    }

    /// When the answer to the beginning of an upload is lost, it is begun a second time: the first one
    /// stays behind the artifact, where no sweep would look.
    async fn abort_strays(&self) -> Result<()> {
        for volume in self.done.iter().filter(|volume| volume.size_bytes > self.cut.part_bytes as u64) {
            self.storage.abort_unfinished(&volume.key).await?;
        }
        Ok(())
    }

    async fn volume(&mut self) -> Result<&mut OpenVolume> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open_volume().await?,
        };
        Ok(self.open.insert(open))
    }

    async fn open_volume(&self) -> Result<OpenVolume> {
        let key = (self.key_of)(self.done.len() + 1);
        let mut options = opendal::options::WriteOptions::default();
        if self.storage.local.is_none() {
            options.chunk = Some(self.cut.part_bytes);
            options.concurrent = self.cut.parts_at_once;
        }
        let writer = self.storage.operator.writer_options(&key, options).await;
        let writer = writer.map_err(|e| error::explain("begin an artifact", &e))?;
        let write_back = self.storage.local.as_ref().map(|local| local.write_back(&key));
        Ok(OpenVolume { key, writer, written: 0, digest: Sha256::new(), write_back })
    }

    async fn close_volume(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(back) = &mut open.write_back {
            back.finish().await?;
        }
        if let Err(e) = open.writer.close().await
            && !arrived(&self.storage, open).await
        {
            return Err(error::explain("close an artifact", &e));
        }
        let Some(open) = self.open.take() else { return Ok(()) };
        self.done.push(Volume {
            key: open.key,
            size_bytes: open.written,
            sha256: hex::encode(open.digest.finalize()),
        });
        if let (Some(local), Some(volume)) = (&self.storage.local, self.done.last()) {
            local.sync_folders(&volume.key).await?;
        }
        Ok(())
    }
}

/// Whether a volume is stored whole although its closing failed: the answer may have been lost, and a
/// second try then finds no upload to complete. Attempts share no key, the store has confirmed every
/// part's checksum (or is read back later) and shows an object only when it is whole, so its length is
/// proof enough. Local disk gives no such promise.
async fn arrived(storage: &Storage, volume: &OpenVolume) -> bool {
    storage.local.is_none()
        && storage.length(&volume.key).await.is_ok_and(|length| length == Some(volume.written))
}
