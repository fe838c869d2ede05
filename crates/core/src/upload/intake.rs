//! The sent bytes, on their way from whoever sends them to a blocking reader.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::refusal;
use crate::engine::Meter;
use crate::{Error, Result};

/// Pieces that wait between a sender and the reader.
pub(super) const AHEAD: usize = 4;

/// What comes from a sender. A channel that closes without [`Piece::End`] belongs to one that went away.
pub(super) enum Piece {
    Data(Bytes),
    End,
    Failed(Error),
}

/// How much has come.
#[derive(Default)]
pub(super) struct Arrived {
    bytes: AtomicU64,
    meter: OnceLock<Arc<Meter>>,
}

impl Arrived {
    /// Bytes as they were sent.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// From now on every byte is a sign of life of this job, though it may take many until one can be unpacked.
    pub(super) fn tell(&self, meter: &Arc<Meter>) {
        // Told twice, the first is the job's.
        let _first = self.meter.set(Arc::clone(meter));
    }

    fn add(&self, bytes: usize) -> u64 {
        if let Some(meter) = self.meter.get() {
            meter.received(bytes);
        }
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64
    }
}

/// Reads what was sent, on a blocking thread.
pub(super) struct Intake {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
    most: u64,
    arrived: Arc<Arrived>,
}

impl Intake {
    pub(super) fn new(pieces: mpsc::Receiver<Piece>, most: u64, arrived: Arc<Arrived>) -> Self {
        Self { pieces, current: Bytes::new(), ended: false, most, arrived }
    }

    fn next(&mut self) -> Result<()> {
        match self.pieces.blocking_recv() {
            Some(Piece::Data(bytes)) if self.arrived.add(bytes.len()) > self.most => {
                Err(refusal::sent_too_much(self.most))
            }
            Some(Piece::Data(bytes)) => {
                self.current = bytes;
                Ok(())
            }
            Some(Piece::End) => {
                self.ended = true;
                Ok(())
            }
            Some(Piece::Failed(error)) => Err(error),
            None => Err(refusal::broke_off(self.arrived.bytes(), None)),
        }
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            self.next().map_err(io::Error::other)?;
        }
        let length = self.current.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.current[..length]);
        self.current.advance(length);
        Ok(length)
    }
}
