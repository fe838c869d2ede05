//! The arithmetic that keeps the stage within its memory.
//!
//! What the stage holds, at most:
//!
//! - `PIECES` pieces of `PIECE` bytes between encryption and whoever reads them: one being filled, two
//!   before the digests, one in them, three before the reader and one in the reader's hand;
//! - age's chunks: three of 64 KiB;
//! - one codec per worker: 0.75 MiB for gzip, 1.5 MiB for zstd;
//! - the *slots*: a slot is a block of the dump and room for its worst compression. Every block in
//!   flight is in a slot, and there are never more slots.
//!
//! So with two threads, 16 MiB give gzip 6 slots of 1 MiB blocks and zstd 5 of 1 MiB; 8 MiB give gzip 5
//! of 512 KiB and zstd 3 of 512 KiB. Buffers are made when first used: a small dump costs little.

use super::{Compression, SealPlan};
use crate::error::{Error, Result};

/// Bytes of one piece of output.
pub(super) const PIECE: usize = 128 * 1024;
/// Pieces that wait between encryption and digests.
pub(super) const PIECES_TO_DIGEST: usize = 2;
/// Pieces that wait before the reader.
pub(super) const PIECES_TO_READER: usize = 3;

const PIECES: usize = PIECES_TO_DIGEST + PIECES_TO_READER + 3;
const AGE: usize = 3 * 64 * 1024;
const LEAST_BLOCK: usize = 64 * 1024;
const MOST_THREADS: usize = 64;

/// How large the blocks are and how many of them may be in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) block: usize,
    pub(super) slots: usize,
}

impl Layout {
    /// The largest blocks of which enough fit: one per worker and one being filled. More would be smoother,
    /// but smaller blocks compress worse.
    pub(super) fn of(plan: &SealPlan) -> Result<Self> {
        if !(1..=MOST_THREADS).contains(&plan.threads) {
            return Err(Error::invalid(
                "threads",
                format!("{} is not between 1 and {MOST_THREADS}", plan.threads),
            ));
        }
        let (preferred, codec) = match plan.compression {
            Compression::Gzip => (1 << 20, 768 * 1024),
            Compression::Zstd => (2 << 20, 1536 * 1024),
            Compression::None => (256 * 1024, 0),
        };
        let room = plan.memory.saturating_sub(PIECES * PIECE + AGE + plan.threads * codec);
        let (enough, useful) = (plan.threads + 1, 2 * plan.threads + 2);
        let mut block = preferred;
        while block >= LEAST_BLOCK {
            let slots = room / slot_bytes(block);
            if slots >= enough {
                return Ok(Self { block, slots: slots.min(useful) });
            }
            block /= 2;
        }
        Err(Error::invalid(
            "memory",
            format!("{} bytes are too few for {} threads", plan.memory, plan.threads),
        ))
    }
}

/// A block and its worst compression: both formats add less than 1/64, and a few bytes for the frame.
fn slot_bytes(block: usize) -> usize {
    2 * block + block / 64 + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(compression: Compression, memory: usize, threads: usize) -> Result<Layout> {
        Layout::of(&SealPlan { compression, recipients: Vec::new(), threads, memory })
    }

    #[test]
    fn blocks_shrink_with_the_memory_that_there_is() {
        let of = |compression, mib: usize| layout(compression, mib << 20, 2).unwrap();
        assert_eq!(of(Compression::Gzip, 16), Layout { block: 1 << 20, slots: 6 });
        assert_eq!(of(Compression::Gzip, 8), Layout { block: 512 * 1024, slots: 5 });
        assert_eq!(of(Compression::Zstd, 32), Layout { block: 2 << 20, slots: 6 });
        assert_eq!(of(Compression::Zstd, 16), Layout { block: 1 << 20, slots: 5 });
        assert_eq!(of(Compression::Zstd, 8), Layout { block: 512 * 1024, slots: 3 });
    }

    #[test]
    fn two_threads_work_in_the_least_memory_and_less_than_that_is_refused() {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            layout(compression, SealPlan::LEAST_MEMORY, 2).unwrap();
        }
        let error = layout(Compression::Gzip, 1 << 20, 2).unwrap_err();
        assert_eq!(error.field(), Some("memory"));
        for threads in [0, 65, usize::MAX] {
            assert_eq!(layout(Compression::Gzip, 1 << 24, threads).unwrap_err().field(), Some("threads"));
        }
    }

    #[test]
    fn a_slot_has_room_for_the_worst_compression() {
        let mut block = LEAST_BLOCK;
        while block <= 2 << 20 {
            let worst = libdeflater::Compressor::default()
                .gzip_compress_bound(block)
                .max(zstd::zstd_safe::compress_bound(block));
            assert!(block + worst <= slot_bytes(block), "{block}: {worst}");
            block *= 2;
        }
    }
}
