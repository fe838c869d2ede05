//! The threads of the stage and its two ends.
//!
//! The threads are plain named ones, not the runtime's blocking pool: they live as long as a dump, and
//! a pool that is full of them would make file operations wait for hours. They end with the channels:
//! when the writer is dropped at once, when the reader is dropped with the next write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::budget::{Layout, PIECES_TO_DIGEST, PIECES_TO_READER};
use super::codec::Codec;
use super::output::{assemble, digest};
use super::{SealPlan, Sealed};
use crate::error::{Error, ErrorKind, Result};

const MOST_RECIPIENTS: usize = 100;

/// A block on its way, and room for its compression. Slots go round: writer, worker, output, writer.
#[derive(Default)]
pub(super) struct Slot {
    input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Bytes of the dump in this block.
    pub(super) raw: usize,
    /// Bytes at the beginning of `output` that are to be stored.
    pub(super) stored: usize,
    /// The block's place in the dump.
    pub(super) sequence: u64,
    /// Whether this is the end mark.
    pub(super) last: bool,
}

/// What comes out of the stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes to store, at most 128 KiB of them.
    Data(Bytes),
    /// The dump was whole and every byte of it went before this.
    End(Sealed),
}

/// Starts the stage: what is written to the one end is read, sealed, from the other.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the memory is too small for the threads or the recipients are too many;
/// [`ErrorKind::Internal`] when no thread can be started.
pub fn seal(plan: SealPlan) -> Result<(SealWriter, SealReader)> {
    if plan.recipients.len() > MOST_RECIPIENTS {
        let message = format!("{} recipients are too many", plan.recipients.len());
        return Err(Error::invalid("encryption.recipients", message).with_mend("at most 100 can be named"));
    }
    let layout = Layout::of(&plan)?;
    let (jobs_in, jobs_out) = sync_channel(layout.slots);
    let (blocks_in, blocks_out) = sync_channel(layout.slots);
    let (stages_in, stages_out) = sync_channel(PIECES_TO_DIGEST);
    let (pieces_in, pieces_out) = mpsc::channel(PIECES_TO_READER);
    let (free_in, free_out) = mpsc::channel(layout.slots);
    for _ in 0..layout.slots {
        // The places were just made: one for each slot.
        let _ = free_in.try_send(Slot::default());
    }

    let jobs_out = Arc::new(Mutex::new(jobs_out));
    for _ in 0..plan.threads {
        let (jobs, blocks, codec) = (Arc::clone(&jobs_out), blocks_in.clone(), Codec::new(plan.compression)?);
        start("seal-compress", move || work(&jobs, &blocks, codec))?;
    }
    start("seal-encrypt", move || assemble(&blocks_out, &free_in, &plan.recipients, stages_in))?;
    start("seal-digest", move || digest(&stages_out, &pieces_in))?;

    let writer = SealWriter {
        block: layout.block,
        slot: None,
        sequence: 0,
        writing: false,
        free: free_out,
        jobs: jobs_in,
    };
    Ok((writer, SealReader { pieces: pieces_out }))
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map(drop).map_err(|e| {
        Error::new(ErrorKind::Internal, "seal", format!("cannot start a thread: {e}")).with_retryable(true)
    })
}

/// Compresses whatever block comes next, until there are no more or nobody wants them.
fn work(jobs: &Mutex<Receiver<Slot>>, blocks: &SyncSender<Result<Slot>>, mut codec: Codec) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut slot) = job else { return };
        // A panic must become an error: a block that never arrives would keep its followers waiting.
        let compressed = catch_unwind(AssertUnwindSafe(|| codec.compress(&mut slot.input, &mut slot.output)))
            .unwrap_or_else(|_| Err(Error::internal("compress", "the compressor panicked")));
        let failed = compressed.is_err();
        let block = compressed.map(|stored| {
            slot.stored = stored;
            slot
        });
        if blocks.send(block).is_err() || failed {
            return;
        }
    }
}

/// The end that takes the dump's bytes. Dropping it aborts: only [`finish`](Self::finish) makes an
/// artifact whole.
pub struct SealWriter {
    block: usize,
    slot: Option<Slot>,
    sequence: u64,
    writing: bool,
    free: mpsc::Receiver<Slot>,
    jobs: SyncSender<Slot>,
}

impl SealWriter {
    /// Takes bytes of the dump, and waits while the stage is full. They are copied, so that the stage's
    /// memory does not depend on how its caller cuts them.
    ///
    /// A call that was dropped before it ended may have taken some of the bytes; every later call is
    /// refused.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when the reader is gone or has the stage's own error to tell.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.begin()?;
        while !bytes.is_empty() {
            let mut slot = self.take_slot().await?;
            if slot.input.capacity() < self.block {
                slot.input.reserve_exact(self.block - slot.input.len());
            }
            let taken = bytes.len().min(self.block - slot.input.len());
            slot.input.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if slot.input.len() == self.block {
                self.dispatch(slot, false)?;
            } else {
                self.slot = Some(slot);
            }
        }
        self.writing = false;
        Ok(())
    }

    /// Says that the dump is whole. Call this only when everything that proves it has been seen.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn finish(mut self) -> Result<()> {
        self.begin()?;
        if let Some(slot) = self.slot.take() {
            self.dispatch(slot, false)?;
        }
        let end = self.take_slot().await?;
        self.dispatch(end, true)
    }

    /// A call that ends early, by an error or by being dropped, leaves the writer unusable.
    fn begin(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.writing, true) {
            return Err(Error::internal("seal", "an earlier write did not end"));
        }
        Ok(())
    }

    async fn take_slot(&mut self) -> Result<Slot> {
        if let Some(slot) = self.slot.take() {
            return Ok(slot);
        }
        let mut slot = self.free.recv().await.ok_or_else(stopped)?;
        slot.input.clear();
        Ok(slot)
    }

    fn dispatch(&mut self, mut slot: Slot, last: bool) -> Result<()> {
        slot.raw = slot.input.len();
        slot.sequence = self.sequence;
        slot.last = last;
        self.sequence += 1;
        // Never full: as many places as there are slots.
        self.jobs.try_send(slot).map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "seal", "sealing stopped; its reader has the reason")
}

/// The end that gives the bytes to store.
pub struct SealReader {
    pieces: mpsc::Receiver<Result<Piece>>,
}

impl SealReader {
    /// The next piece. After [`Piece::End`] or an error there is nothing more to ask for. May be
    /// dropped while it waits; nothing is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Incomplete`] when the writer was dropped instead of finished: what was read so far
    /// is not an artifact. [`ErrorKind::Internal`] when sealing itself failed.
    pub async fn next(&mut self) -> Result<Piece> {
        let gone = || Err(Error::internal("seal", "nothing follows the end"));
        self.pieces.recv().await.unwrap_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Compression;
    use super::*;

    fn plan(compression: Compression) -> SealPlan {
        SealPlan { compression, recipients: Vec::new(), threads: 2, memory: SealPlan::LEAST_MEMORY }
    }

    #[tokio::test]
    async fn a_dropped_writer_ends_in_incomplete_and_never_in_an_artifact() {
        let (mut writer, mut reader) = seal(plan(Compression::Gzip)).unwrap();
        writer.write(&vec![7; 300_000]).await.unwrap();
        drop(writer);
        let error = loop {
            match reader.next().await {
                Ok(Piece::Data(_)) => {}
                Ok(Piece::End(sealed)) => panic!("an aborted dump was sealed: {sealed:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Incomplete);
    }

    #[tokio::test]
    async fn a_cancelled_write_makes_the_writer_unusable() {
        let (mut writer, _reader) = seal(plan(Compression::None)).unwrap();
        let too_much = vec![0; 64 << 20];
        tokio::select! {
            biased;
            _ = writer.write(&too_much) => panic!("64 MiB fitted into a stage of 5"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(writer.write(b"more").await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(writer.finish().await.unwrap_err().kind(), ErrorKind::Internal);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_stops_the_writer() {
        let (mut writer, reader) = seal(plan(Compression::Zstd)).unwrap();
        drop(reader);
        let block = vec![1; 1 << 20];
        let mut written = 0;
        let error = loop {
            match writer.write(&block).await {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            assert!(written < 10_000, "nobody reads, and yet everything is taken");
        };
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    }

    #[tokio::test]
    async fn an_empty_dump_is_one_empty_member_or_frame() {
        for (compression, stored) in
            [(Compression::Gzip, 20), (Compression::Zstd, 13), (Compression::None, 0)]
        {
            let (writer, mut reader) = seal(plan(compression)).unwrap();
            writer.finish().await.unwrap();
            let mut bytes = Vec::new();
            let sealed = loop {
                match reader.next().await.unwrap() {
                    Piece::Data(piece) => bytes.extend_from_slice(&piece),
                    Piece::End(sealed) => break sealed,
                }
            };
            assert_eq!(sealed.raw_bytes, 0);
            assert!(bytes.len() <= stored + 3, "{compression}: {bytes:02x?}");
            assert_eq!(sealed.stored.length, bytes.len() as u64);
            assert!(reader.next().await.is_err());
        }
    }
}
