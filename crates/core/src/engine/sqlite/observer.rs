//! Is a stream of bytes a whole SQLite database file?

use crate::engine::observe::{Observed, Observer};
use crate::{Error, ErrorKind, Result};

const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The database header's length; see "The Database Header" in SQLite's file format.
const HEADER: usize = 100;

/// Compares a file's length with what its header says. What it holds is only seen by opening it, so the
/// fingerprint stays empty.
#[derive(Debug, Default)]
pub struct FileObserver {
    header: Vec<u8>,
    length: u64,
}

impl FileObserver {
    /// At the file's beginning.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Observer for FileObserver {
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let missing = HEADER - self.header.len();
        self.header.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.length += bytes.len() as u64;
        let seen = self.header.len().min(MAGIC.len());
        if self.header[..seen] == MAGIC[..seen] {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Corrupt, "read a SQLite file", "it does not begin as a SQLite database"))
    }

    fn finish(self: Box<Self>) -> Result<Observed> {
        let incomplete = |message: String| Error::new(ErrorKind::Incomplete, "read a SQLite file", message);
        if self.header.len() < HEADER {
            return Err(incomplete(format!("it ends after {} bytes, within its header", self.length)));
        }
        let page = match u16::from_be_bytes([self.header[16], self.header[17]]) {
            1 => 65_536,
            size => u64::from(size),
        };
        if page < 512 || !page.is_power_of_two() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "read a SQLite file",
                format!("its header tells of pages of {page} bytes"),
            ));
        }
        // Only where the two counters agree was the length written by an SQLite that keeps it.
        let pages = (self.header[24..28] == self.header[92..96]).then(|| be32(&self.header[28..32]));
        let whole = match pages.filter(|pages| *pages > 0) {
            Some(pages) => self.length == pages * page,
            None => self.length.is_multiple_of(page),
        };
        if whole {
            return Ok(Observed::default());
        }
        let expected = pages.map_or_else(|| "whole pages".to_owned(), |pages| (pages * page).to_string());
        Err(incomplete(format!("it has {} bytes, and its header tells of {expected}", self.length)))
    }
}

fn be32(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
