//! Making an archive.

use std::io::Write;

use super::block::BlockHeader;
use super::ledger::{Ledger, shown};
use super::prelude::{Declared, Header};
use super::{EMPTY_DOCUMENT, FORMAT_VERSION, MAGIC, MAX_PRELUDE, TERMINATOR, WRITE_LIMIT};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "write an archive";

/// Writes an archive as `mongodump` does: its prelude, then documents of its collections in any order, then the
/// end of each.
///
/// It writes what it is given at once and keeps no document. What would make an archive that cannot be read is
/// refused before anything of it is written. So is a mixture of more collections than the header tells:
/// `mongorestore` reads as many at once, and with one more it would wait for ever.
pub struct Writer<W> {
    out: W,
    ledger: Ledger,
    /// So many collections may have begun and not ended.
    most: usize,
    /// Whose documents stand at the archive's end.
    current: Option<usize>,
}

impl<W: Write> Writer<W> {
    /// Writes the prelude. What the declared are called by from now on is their place in `declared`, from 0.
    ///
    /// # Errors
    /// `Invalid` for a prelude that cannot be read again: a collection twice, too many of them, or of
    /// their metadata. What the output answers is of kind `Unavailable`, or what it wraps.
    pub fn new(mut out: W, header: &Header, declared: &[Declared]) -> Result<Self> {
        if header.format_version != FORMAT_VERSION {
            return Err(refused(format!("there is no format {:?}", header.format_version)));
        }
        let mut ledger = Ledger::default();
        let mut length = header.encode().len();
        for declared in declared {
            ledger.declare(header.data_namespace(declared)?)?;
            length += declared.encode().len();
        }
        if length > MAX_PRELUDE {
            let most = MAX_PRELUDE / 1024 / 1024;
            return Err(refused(format!(
                "the metadata of all collections have more than {most} MiB together"
            )));
        }
        write(&mut out, &MAGIC)?;
        write(&mut out, &header.encode())?;
        for declared in declared {
            write(&mut out, &declared.encode())?;
        }
        write(&mut out, &TERMINATOR.to_le_bytes())?;
        let most = usize::try_from(header.concurrent_collections).unwrap_or(0).max(1);
        Ok(Self { out, ledger, most, current: None })
    }

    /// Writes a document of the collection at that place.
    ///
    /// # Errors
    /// `Invalid` when it is none, or longer than [`WRITE_LIMIT`]: `mongorestore` could not read it. `Internal` for
    /// a collection that was not declared or has ended, or that would be one too many to be mixed.
    pub fn document(&mut self, at: usize, document: &[u8]) -> Result<()> {
        self.check(at, document)?;
        self.go_to(at)?;
        write(&mut self.out, document)?;
        self.ledger.take(at, document);
        self.ledger.count(at);
        Ok(())
    }

    /// Ends the collection at that place, which may be empty: all its documents were written.
    ///
    /// # Errors
    /// `Internal` for a collection that was not declared or has ended.
    pub fn end(&mut self, at: usize) -> Result<()> {
        self.go_to(at)?;
        let namespace = self.ledger.namespace(at).clone();
        let sum = self.ledger.sum(at);
        self.ledger.end(&namespace, sum)?;
        let mut bytes = TERMINATOR.to_le_bytes().to_vec();
        bytes.extend_from_slice(&BlockHeader { namespace, end: Some(sum) }.encode());
        bytes.extend_from_slice(&TERMINATOR.to_le_bytes());
        self.current = None;
        write(&mut self.out, &bytes)
    }

    /// The output, for those who take from it what was written so far.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// How many documents of the collection at that place were written.
    pub fn documents(&self, at: usize) -> u64 {
        self.ledger.documents(at)
    }

    /// Gives the output back, with a whole archive in it.
    ///
    /// # Errors
    /// `Incomplete` when a collection was not ended.
    pub fn finish(mut self) -> Result<W> {
        self.ledger.finish()?;
        self.out.flush().map_err(|e| crate::seal::read_error(&e))?;
        Ok(self.out)
    }

    fn check(&self, at: usize, document: &[u8]) -> Result<()> {
        let length = document.first_chunk::<4>().map(|word| u32::from_le_bytes(*word) as usize);
        let name = || self.ledger.get(at).map_or_else(|| at.to_string(), shown);
        if length != Some(document.len()) || document.len() < EMPTY_DOCUMENT || document.last() != Some(&0) {
            return Err(refused(format!("the server gave bytes for {} that are no document", name())));
        }
        if document.len() > WRITE_LIMIT {
            return Err(refused(format!(
                "a document of {} has {} bytes, and mongorestore reads {WRITE_LIMIT} at most",
                name(),
                document.len()
            )));
        }
        Ok(())
    }

    /// Makes the collection at that place the one whose documents stand at the end.
    fn go_to(&mut self, at: usize) -> Result<()> {
        if self.current == Some(at) {
            return Ok(());
        }
        let namespace = self.ledger.get(at).cloned();
        let namespace =
            namespace.ok_or_else(|| Error::internal(OPERATION, "a collection was not declared"))?;
        if !self.ledger.may_begin(at, self.most) {
            let message =
                format!("more than {} collections are mixed, which the header does not tell", self.most);
            return Err(Error::internal(OPERATION, message));
        }
        self.ledger.begin(&namespace).map_err(|e| Error::internal(OPERATION, e.message()))?;
        let mut bytes = Vec::new();
        if self.current.is_some() {
            bytes.extend_from_slice(&TERMINATOR.to_le_bytes());
        }
        bytes.extend_from_slice(&BlockHeader { namespace, end: None }.encode());
        self.current = Some(at);
        write(&mut self.out, &bytes)
    }
}

fn write(out: &mut impl Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).map_err(|e| crate::seal::read_error(&e))
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
}
