//! What one SQL statement of a dump means, judged from its words and the beginning of its text.

use sha2::Digest;

use super::large_object::{HexText, LargeObject};
use super::name::{LARGE_OBJECTS, identifier, invalid, qualified, readable};
use super::words::Words;
use crate::error::Result;
use crate::fingerprint::{Fingerprint, RowHasher};

/// So much of a statement is kept: enough for two names of 63 bytes, every byte a doubled quote.
const HEAD: usize = 1024;

const COPY: &[u8] = b"COPY ";
const INSERT: &[u8] = b"INSERT INTO ";
const OPEN_OBJECT: &[u8] = b"SELECT pg_catalog.lo_open('";
const WRITE_OBJECT: &[u8] = b"SELECT pg_catalog.lowrite(0, '";
const CLOSE_OBJECT: &[u8] = b"SELECT pg_catalog.lo_close(0)";
const SEARCH_PATH: &[u8] = b"SET search_path = ";
const STANDARD_STRINGS: &[u8] = b"SET standard_conforming_strings = ";

/// What a finished statement asks of its reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The rows of this table follow on the next line.
    Copy(String),
    /// From here on a backslash in an ordinary quote is a backslash (`true`), or escapes (`false`).
    StandardStrings(bool),
    /// Nothing.
    Other,
}

/// Reads one statement after the other, in pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    head: Vec<u8>,
    body: Body,
    pub(super) words: Words,
    object: Option<LargeObject>,
    schema: Option<String>,
}

/// What becomes of a statement's text.
#[derive(Debug, Clone, Default)]
enum Body {
    /// Too little of it was seen to know.
    #[default]
    Undecided,
    /// Its head is kept.
    Other,
    /// It is a row, and hashed.
    Insert(Box<RowHasher>),
    /// It holds bytes of the open large object.
    Write(HexText),
}

impl Statement {
    /// A reader for which names without a schema lie in this one, spelled as in SQL.
    pub(super) fn in_schema(schema: Option<String>) -> Self {
        Self { schema, ..Self::default() }
    }

    /// The next bytes of the statement's own text.
    pub(super) fn text(&mut self, mut bytes: &[u8]) -> Result<()> {
        if matches!(self.body, Body::Undecided) {
            let wanted = WRITE_OBJECT.len() - self.head.len();
            let (deciding, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.head.extend_from_slice(deciding);
            if self.head.len() < WRITE_OBJECT.len() {
                return Ok(());
            }
            self.decide();
            bytes = rest;
        }
        let kept = bytes.len().min(HEAD.saturating_sub(self.head.len()));
        match (&mut self.body, &mut self.object) {
            (Body::Insert(hasher), _) => {
                hasher.update(bytes);
            }
            (Body::Write(hex), Some(object)) => return hex.feed(bytes, object),
            (Body::Write(_), None) => {
                return Err(invalid("bytes of a large object that none was opened for"));
            }
            _ => {}
        }
        self.head.extend_from_slice(&bytes[..kept]);
        Ok(())
    }

    /// The statement is over: counts the rows that it was in `tables`, and makes ready for the next.
    pub(super) fn end(&mut self, tables: &mut Fingerprint) -> Result<Meaning> {
        if matches!(self.body, Body::Undecided) {
            self.decide();
        }
        let meaning = self.meaning(tables);
        self.head.clear();
        self.body = Body::Undecided;
        self.words = Words::default();
        meaning
    }

    /// The large object that was opened and not closed yet.
    pub(super) fn open_object(&self) -> Option<&LargeObject> {
        self.object.as_ref()
    }

    fn decide(&mut self) {
        self.body = if self.head.starts_with(INSERT) {
            let mut hasher = Box::new(RowHasher::new());
            hasher.update(&self.head);
            Body::Insert(hasher)
        } else if self.head == WRITE_OBJECT {
            Body::Write(HexText::default())
        } else {
            Body::Other
        };
    }

    fn meaning(&mut self, tables: &mut Fingerprint) -> Result<Meaning> {
        match &self.body {
            Body::Insert(hasher) => {
                let table = self.table(INSERT)?;
                tables.table(&table).add_digest(hasher.clone().finalize().into());
                return Ok(Meaning::Other);
            }
            Body::Write(hex) if !hex.is_whole() => {
                return Err(invalid("a large object's data ends in half a byte"));
            }
            Body::Write(_) => return Ok(Meaning::Other),
            Body::Undecided | Body::Other => {}
        }
        if self.words.begin_with_copy() {
            return self.copy();
        }
        if let Some(rest) = self.head.strip_prefix(OPEN_OBJECT) {
            self.object = Some(LargeObject::new(oid(rest)?));
        } else if self.head.starts_with(CLOSE_OBJECT) {
            let object =
                self.object.take().ok_or_else(|| invalid("a large object is closed that was not opened"))?;
            tables.table(LARGE_OBJECTS).add_digest(object.digest());
        } else if let Some(value) = self.head.strip_prefix(SEARCH_PATH) {
            self.schema = identifier(value).map(readable);
        } else if let Some(value) = self.head.strip_prefix(STANDARD_STRINGS) {
            let off = value.starts_with(b"off") || value.starts_with(b"'off'");
            return Ok(Meaning::StandardStrings(!off));
        }
        Ok(Meaning::Other)
    }

    /// Any other `COPY` would leave the reader to guess where its rows end.
    fn copy(&self) -> Result<Meaning> {
        if self.words.end_with_from_stdin() {
            return self.table(COPY).map(Meaning::Copy);
        }
        Err(invalid("a COPY statement of a form that pg_dump does not write"))
    }

    fn table(&self, verb: &[u8]) -> Result<String> {
        self.head
            .strip_prefix(verb)
            .and_then(|rest| qualified(rest, self.schema.as_deref()))
            .ok_or_else(|| invalid("a COPY or INSERT statement without a table's name"))
    }
}

/// The number that `text` starts with.
fn oid(text: &[u8]) -> Result<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| invalid("a large object is opened without its number"))
}
