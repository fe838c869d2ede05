//! Compressed blocks in order, encrypted, cut into pieces, digested.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender};

use age::stream::StreamWriter;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::budget::PIECE;
use super::digest::Digester;
use super::pipeline::{Piece, Slot};
use super::{Recipient, Sealed};
use crate::error::{Error, ErrorKind, Result};

/// What the ordering thread tells the digesting thread.
pub(super) enum Stage {
    Data(Bytes),
    /// Every byte of a whole dump went before this.
    End {
        raw_bytes: u64,
    },
    Failed(Error),
}

/// Writes blocks out in the dump's order, until the last one, or until they stop coming.
pub(super) fn assemble(
    blocks: &Receiver<Result<Slot>>,
    free: &mpsc::Sender<Slot>,
    recipients: &[Recipient],
    stages: SyncSender<Stage>,
) {
    let failures = stages.clone();
    if let Err(error) = run(blocks, free, recipients, stages) {
        // A receiver that is gone has its own reason and needs no other.
        let _ = failures.send(Stage::Failed(error));
    }
}

fn run(
    blocks: &Receiver<Result<Slot>>,
    free: &mpsc::Sender<Slot>,
    recipients: &[Recipient],
    stages: SyncSender<Stage>,
) -> Result<()> {
    let mut sink = Sink::new(recipients, Pieces { stages, piece: Vec::new() })?;
    let mut early = BTreeMap::new();
    let mut next = 0_u64;
    let mut raw_bytes = 0_u64;
    loop {
        let slot = blocks.recv().map_err(|_| aborted())??;
        early.insert(slot.sequence, slot);
        while let Some(slot) = early.remove(&next) {
            next += 1;
            raw_bytes += slot.raw as u64;
            sink.write_all(&slot.output[..slot.stored]).map_err(unwritten)?;
            if slot.last {
                return sink.finish(raw_bytes);
            }
            // Never full: as many places as there are slots.
            let _ = free.try_send(slot);
        }
    }
}

fn aborted() -> Error {
    Error::new(ErrorKind::Incomplete, "seal", "the dump stopped before its end")
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn unwritten(error: io::Error) -> Error {
    Error::new(ErrorKind::Cancelled, "seal", format!("the sealed bytes are not read any more: {error}"))
}

/// Takes the digests of the pieces and hands them on; the end goes out with the digests of all.
pub(super) fn digest(stages: &Receiver<Stage>, output: &mpsc::Sender<Result<Piece>>) {
    let mut digester = Digester::new();
    loop {
        let message = match stages.recv() {
            Ok(Stage::Data(bytes)) => {
                digester.update(&bytes);
                Ok(Piece::Data(bytes))
            }
            Ok(Stage::End { raw_bytes }) => {
                let sealed = Sealed { raw_bytes, stored: std::mem::take(&mut digester).finish() };
                let _ = output.blocking_send(Ok(Piece::End(sealed)));
                return;
            }
            Ok(Stage::Failed(error)) => Err(error),
            Err(_) => Err(Error::internal("seal", "the encrypting thread ended without a word")),
        };
        let failed = message.is_err();
        if output.blocking_send(message).is_err() || failed {
            return;
        }
    }
}

/// Where compressed bytes go: through age or not.
enum Sink {
    Plain(Pieces),
    Age(Box<StreamWriter<Pieces>>),
}

impl Sink {
    fn new(recipients: &[Recipient], pieces: Pieces) -> Result<Self> {
        if recipients.is_empty() {
            return Ok(Self::Plain(pieces));
        }
        let recipients = recipients.iter().map(|recipient| &recipient.0 as &dyn age::Recipient);
        let encryptor =
            age::Encryptor::with_recipients(recipients).map_err(|e| Error::internal("encrypt", e))?;
        Ok(Self::Age(Box::new(encryptor.wrap_output(pieces).map_err(unwritten)?)))
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(pieces) => pieces.write_all(bytes),
            Self::Age(writer) => writer.write_all(bytes),
        }
    }

    fn finish(self, raw_bytes: u64) -> Result<()> {
        let mut pieces = match self {
            Self::Plain(pieces) => pieces,
            Self::Age(writer) => writer.finish().map_err(unwritten)?,
        };
        pieces.send().map_err(unwritten)?;
        pieces.stages.send(Stage::End { raw_bytes }).map_err(|_| unwritten(io::ErrorKind::BrokenPipe.into()))
    }
}

/// Cuts what is written to it into pieces.
struct Pieces {
    stages: SyncSender<Stage>,
    piece: Vec<u8>,
}

impl Pieces {
    fn send(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        self.stages.send(Stage::Data(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.capacity() == 0 {
            self.piece.reserve_exact(PIECE);
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
