//! Unpacks what was sent, by what it is, within bounds.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

use super::intake::{Arrived, Intake};
use super::recognise::{HEAD, Recognised, recognise};
use super::refusal;
use crate::limits::Limits;
use crate::{Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Parallel packers begin with a frame to be skipped: any of 16 first bytes, then these.
const ZSTD_SKIPPED: &[u8] = &[0x2a, 0x4d, 0x18];
/// Enough to tell one packing from another.
const MAGIC: usize = 4;
const BUFFER: usize = 128 * 1024;
/// Of a job's memory, this part is for a zstd window.
const WINDOW_SHARE: usize = 8;
/// Windows of this size are what `zstd` makes up to level 19.
const LARGEST_WINDOW_LOG: u32 = 23;
/// So much may come out of however little.
const FREE: u64 = 1 << 30;
/// Beyond [`FREE`], more than so many bytes for each that was sent are refused.
const MOST_RATIO: u64 = 1_000;

/// An unpacked file, of which the beginning was looked at.
pub(super) struct Opened {
    pub(super) found: Recognised,
    pub(super) arrived: Arc<Arrived>,
    reader: Cursor<Vec<u8>>,
    rest: Unpacked,
}

impl Opened {
    /// Reads as much as it takes to know what the file is. Blocks while it waits for the sender.
    pub(super) fn read(intake: Intake, limits: &Limits, arrived: Arc<Arrived>) -> Result<Self> {
        let log = window_log(limits.memory_budget);
        let window = 1 << log;
        let decoder = decoder(intake, log).map_err(|e| refusal::unreadable(&e, window))?;
        let most = limits.uploads.most_raw;
        let mut rest = Unpacked { decoder, arrived: Arc::clone(&arrived), raw: 0, most, window };
        let head = rest.up_to(HEAD)?;
        let found = recognise(&head, head.len() < HEAD)?;
        Ok(Self { found, arrived, reader: Cursor::new(head), rest })
    }

    /// Puts the next bytes, at least one, into `buffer`; 0 at the end.
    pub(super) fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self.reader.read(buffer) {
            Ok(read) if read > 0 => Ok(read),
            _ => self.rest.next(buffer),
        }
    }
}

/// Counts what comes out.
struct Unpacked {
    decoder: Box<dyn Read + Send>,
    arrived: Arc<Arrived>,
    raw: u64,
    most: u64,
    window: u64,
}

impl Unpacked {
    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = loop {
            match self.decoder.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|e| refusal::unreadable(&e, self.window))?,
            }
        };
        self.raw += read as u64;
        if self.raw > self.most {
            return Err(refusal::unpacks_to_too_much(self.most));
        }
        if self.raw > FREE && self.raw / MOST_RATIO > self.arrived.bytes() {
            return Err(refusal::bomb(MOST_RATIO));
        }
        Ok(read)
    }

    /// The next `length` bytes, fewer only where it ends.
    fn up_to(&mut self, length: usize) -> Result<Vec<u8>> {
        let (mut bytes, mut filled) = (vec![0; length], 0);
        while filled < length {
            match self.next(&mut bytes[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// The largest window that the budget has room for.
fn window_log(memory_budget: usize) -> u32 {
    (memory_budget / WINDOW_SHARE).checked_ilog2().unwrap_or(0).clamp(20, LARGEST_WINDOW_LOG)
}

fn decoder(mut intake: Intake, window_log: u32) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(MAGIC);
    intake.by_ref().take(MAGIC as u64).read_to_end(&mut magic)?;
    let skipped = magic.first().is_some_and(|first| first >> 4 == 5) && magic[1..] == *ZSTD_SKIPPED;
    let (gzip, zstd) = (magic.starts_with(GZIP), skipped || magic == ZSTD);
    let sent = BufReader::with_capacity(BUFFER, Cursor::new(magic).chain(intake));
    Ok(if gzip {
        Box::new(flate2::bufread::MultiGzDecoder::new(sent))
    } else if zstd {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(sent)?;
        decoder.window_log_max(window_log)?;
        Box::new(decoder)
    } else {
        Box::new(sent)
    })
}

/// A reader that was given up, in words.
pub(super) fn lost(error: impl std::fmt::Display) -> Error {
    Error::internal("read an upload", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_an_eighth_of_the_budget_and_never_more_than_zstd_19_asks_for() {
        assert_eq!(window_log(32 << 20), 22);
        assert_eq!(window_log(64 << 20), 23);
        assert_eq!(window_log(1 << 40), 23);
        assert_eq!(window_log(0), 20);
    }
}
