//! Where an engine puts a dump's bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::Result;
use crate::model::Progress;
use crate::seal::SealWriter;

/// Counts what passes, for progress and for the stall rule. Shared by the two ends of a job.
#[derive(Debug, Default)]
pub struct Meter {
    raw: AtomicU64,
    stored: AtomicU64,
    read_back: AtomicU64,
    holds: AtomicUsize,
    storing: AtomicBool,
    reading_back: AtomicBool,
}

impl Meter {
    /// Bytes so far.
    pub fn progress(&self) -> Progress {
        Progress {
            raw_bytes: self.raw.load(Ordering::Relaxed),
            stored_bytes: self.stored.load(Ordering::Relaxed),
        }
    }

    /// Counts bytes that a loader took.
    pub fn loaded(&self, bytes: usize) {
        self.raw.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says that storage is being given bytes: until it has taken them, silence is its own.
    pub fn storing(&self) {
        self.storing.store(true, Ordering::Relaxed);
    }

    /// Counts bytes that storage took.
    pub fn stored(&self, bytes: usize) {
        self.stored.fetch_add(bytes as u64, Ordering::Relaxed);
        self.storing.store(false, Ordering::Relaxed);
    }

    /// Whether storage has bytes that it has not taken yet.
    pub fn is_storing(&self) -> bool {
        self.storing.load(Ordering::Relaxed)
    }

    /// Says that storage has everything and is asked to give it back.
    pub fn reading_back(&self) {
        self.reading_back.store(true, Ordering::Relaxed);
    }

    /// Whether storage is asked to give back what it has.
    pub fn is_reading_back(&self) -> bool {
        self.reading_back.load(Ordering::Relaxed)
    }

    /// Counts bytes that storage gave back: signs of life, and no progress of the dump.
    pub fn read_back(&self, bytes: usize) {
        self.read_back.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes as somebody sends them, packed: signs of life, and no progress of the dump.
    pub fn received(&self, bytes: usize) {
        self.read_back.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that storage gave back, or somebody sent, so far.
    pub fn bytes_read_back(&self) -> u64 {
        self.read_back.load(Ordering::Relaxed)
    }

    /// Whether silence means nothing at present.
    pub fn is_held(&self) -> bool {
        self.holds.load(Ordering::Relaxed) > 0
    }

    /// Suspends the stall rule until the guard is dropped: for work that gives no bytes, such as
    /// copying to staging.
    pub fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(Arc::clone(self))
    }
}

/// Suspends the stall rule while it lives.
pub struct Hold(Arc<Meter>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes a dump's bytes into sealing. Dropping it without [`finish`](Self::finish) aborts the
/// artifact, so only a dump that was proven whole can become one.
pub struct RawSink {
    /// None: the bytes are only counted.
    writer: Option<SealWriter>,
    meter: Arc<Meter>,
}

impl RawSink {
    /// A sink into this sealing stage.
    pub fn new(writer: SealWriter, meter: Arc<Meter>) -> Self {
        Self { writer: Some(writer), meter }
    }

    /// A sink that keeps nothing: for a dump that is only observed.
    pub fn discarding(meter: Arc<Meter>) -> Self {
        Self { writer: None, meter }
    }

    /// The job's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Takes bytes, and waits while the stages behind are full.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.write(bytes).await?;
        }
        self.meter.raw.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Says that the dump is whole.
    pub async fn finish(self) -> Result<()> {
        match self.writer {
            Some(writer) => writer.finish().await,
            None => Ok(()),
        }
    }
}
