//! From stored bytes back to a dump.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::{Dump, DumpSource, Meter};
use crate::model::{Artifact, Manifest, ManifestContent};
use crate::seal::{self, Encryption, Envelope, Identity, Origin};
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

/// Pieces that wait between storage and whoever reads.
const AHEAD: usize = 4;
const MEND: &str =
    "restore another backup; this one's artifact was changed in storage, or storage lost a part of it";

/// Reads a whole artifact and compares it with its digests, volume by volume: nothing may be done with a
/// target before this answers `Ok`.
///
/// # Errors
/// `Corrupt` names the volume that is not what was written; what storage reports goes on as it is.
pub async fn prove(storage: &Storage, artifact: &Artifact, meter: &Arc<Meter>) -> Result<()> {
    let mut offset = 0;
    let mut whole = Sha256::new();
    for volume in &artifact.volumes {
        let length = storage.length(&volume.key).await?;
        if length != Some(volume.size_bytes) {
            let found = length.map_or_else(|| "is not there".to_owned(), |n| format!("has {n} bytes"));
            let expected = volume.size_bytes;
            return Err(damaged(format!("{} {found}, and {expected} were written", volume.key)));
        }
        let mut digest = Sha256::new();
        let mut bytes = storage.read(artifact, offset..offset + volume.size_bytes);
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            digest.update(&piece);
            whole.update(&piece);
            meter.read_back(piece.len());
        }
        if hex::encode(digest.finalize()) != volume.sha256 {
            return Err(damaged(format!("the SHA-256 of {} is not that of what was written", volume.key)));
        }
        offset += volume.size_bytes;
    }
    if hex::encode(whole.finalize()) != artifact.sha256 || offset != artifact.size_bytes {
        return Err(damaged("its SHA-256 is not that of what was written".to_owned()));
    }
    Ok(())
}

/// The dump in an artifact of which a manifest tells: decrypted, decompressed, and compared with its digest
/// once more each time that it is read to its end. To be opened on a runtime, and read on a blocking thread.
///
/// To open it answers `Denied` when no identity does.
pub fn source(storage: &Storage, manifest: &Manifest, identities: &[Identity]) -> DumpSource {
    let envelope = Envelope {
        compression: manifest.compression,
        encryption: if manifest.encryption.is_empty() { Encryption::None } else { Encryption::Age },
        origin: Origin::Sealed,
    };
    let (storage, artifact) = (storage.clone(), manifest.artifact.clone());
    let identities = identities.to_vec();
    DumpSource::new(move || {
        let reader = StoredReader::new(&storage, &artifact);
        seal::open(envelope, &identities, reader).map(Dump::new)
    })
}

/// What a manifest tells of its dump's content; none where it is sealed and none of the identities opens it.
pub fn content(manifest: &Manifest, identities: &[Identity]) -> Result<Option<crate::model::Content>> {
    match &manifest.content {
        ManifestContent::Clear(content) => Ok(Some(content.clone())),
        ManifestContent::Sealed(_) if identities.is_empty() => Ok(None),
        ManifestContent::Sealed(armoured) => {
            let json = match seal::dearmoured(identities, armoured) {
                Err(e) if e.kind() == ErrorKind::Denied => return Ok(None),
                json => json?,
            };
            let content = serde_json::from_slice(&json).map_err(|e| {
                Error::new(ErrorKind::Corrupt, "read a manifest", format!("its sealed content: {e}"))
            })?;
            Ok(Some(content))
        }
    }
}

fn damaged(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, "check the artifact", message).with_mend(MEND)
}

/// An artifact's stored bytes for a blocking thread, compared with their digest at their end.
struct StoredReader {
    pieces: mpsc::Receiver<Result<Bytes>>,
    current: Bytes,
    digest: Option<Sha256>,
    expected: String,
    fetching: JoinHandle<()>,
}

impl StoredReader {
    fn new(storage: &Storage, artifact: &Artifact) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        let mut stored = storage.read(artifact, 0..artifact.size_bytes);
        let fetching = tokio::spawn(async move {
            while let Some(piece) = stored.next().await {
                if sender.send(piece).await.is_err() {
                    return;
                }
            }
        });
        let expected = artifact.sha256.clone();
        Self { pieces, current: Bytes::new(), digest: Some(Sha256::new()), expected, fetching }
    }
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            let Some(piece) = self.pieces.blocking_recv() else {
                let digest = self.digest.take().map(|digest| hex::encode(digest.finalize()));
                if digest.is_some_and(|digest| digest != self.expected) {
                    let changed = damaged("it changed in storage while it was read".to_owned());
                    return Err(io::Error::other(changed));
                }
                return Ok(0);
            };
            self.current = piece.map_err(io::Error::other)?;
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        if let Some(digest) = &mut self.digest {
            digest.update(&buffer[..length]);
        }
        self.current.advance(length);
        Ok(length)
    }
}

impl Drop for StoredReader {
    fn drop(&mut self) {
        self.fetching.abort();
    }
}
