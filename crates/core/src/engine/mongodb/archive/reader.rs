//! Reading an archive on request, for a restore.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::event::{Event, Step};
use super::parser::Parser;
use super::prelude::{Declared, Header};
use crate::error::Result;
use crate::seal::read_error;

const CHUNK: usize = 256 * 1024;

/// Reads an archive: its prelude at once, then its documents in the order of the stream.
pub struct Reader<R> {
    source: R,
    parser: Parser,
    chunk: Vec<u8>,
    /// What of the chunk was not read yet.
    from: usize,
    to: usize,
    header: Header,
    declared: Vec<Declared>,
}

/// What comes next in an archive. `at` is a place in [`Reader::declared`].
#[derive(Debug, PartialEq)]
pub enum Entry<'a> {
    /// A document, whole.
    Document {
        /// Whose.
        at: usize,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A collection ended, and its documents have the checksum that the archive tells.
    End {
        /// Which.
        at: usize,
        /// How many documents it had.
        documents: u64,
    },
}

impl<R: Read> Reader<R> {
    /// Reads the prelude.
    ///
    /// # Errors
    /// What the source answers; `Invalid` or `Incomplete` when it is no archive or ends too early.
    pub fn new(source: R) -> Result<Self> {
        let mut reader = Self {
            source,
            parser: Parser::new(),
            chunk: vec![0; CHUNK],
            from: 0,
            to: 0,
            header: Header::new("", ""),
            declared: Vec::new(),
        };
        reader.prelude()?;
        Ok(reader)
    }

    /// What the archive says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its collections, views and time series.
    pub fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// The next document, or the end of a collection. None is the end of a whole archive.
    ///
    /// # Errors
    /// What the source answers; `Invalid` or `Incomplete` for an archive that breaks the rules or off.
    #[expect(clippy::should_implement_trait, reason = "what it answers borrows from the reader")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        let step = loop {
            match self.step()? {
                None => return Ok(None),
                Some(Found::Nothing) => {}
                Some(found) => break found,
            }
        };
        Ok(match step {
            Found::InChunk(at, range) => Some(Entry::Document { at, bytes: &self.chunk[range] }),
            Found::InParser(at) => Some(Entry::Document { at, bytes: self.parser.buffer() }),
            Found::End(at, documents) => Some(Entry::End { at, documents }),
            Found::Nothing => None,
        })
    }

    /// Gives the source back.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn prelude(&mut self) -> Result<()> {
        loop {
            if self.from == self.to && !self.fill()? {
                return self.parser.finish();
            }
            let mut input = &self.chunk[self.from..self.to];
            let event = self.parser.next(&mut input)?;
            self.from = self.to - input.len();
            match event {
                Some(Event::Header(header)) => self.header = header,
                Some(Event::Declared(declared)) => self.declared.push(*declared),
                Some(Event::PreludeEnd) => return Ok(()),
                _ => {}
            }
        }
    }

    /// One step on; none at the end of a whole archive.
    fn step(&mut self) -> Result<Option<Found>> {
        if self.from == self.to && !self.fill()? {
            return self.parser.finish().map(|()| None);
        }
        let mut input = &self.chunk[self.from..self.to];
        let step = self.parser.advance(&mut input)?;
        self.from = self.to - input.len();
        Ok(Some(match step {
            Some(Step::Whole(at, bytes)) => Found::InChunk(at, self.from - bytes.len()..self.from),
            Some(Step::Buffered(at)) => Found::InParser(at),
            Some(Step::End(at)) => Found::End(at, self.parser.documents(at)),
            _ => Found::Nothing,
        }))
    }

    /// Reads more; false at the source's end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            match self.source.read(&mut self.chunk) {
                Ok(read) => {
                    (self.from, self.to) = (0, read);
                    return Ok(read > 0);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(read_error(&e)),
            }
        }
    }
}

/// Where a document is.
enum Found {
    InChunk(usize, Range<usize>),
    InParser(usize),
    End(usize, u64),
    Nothing,
}
