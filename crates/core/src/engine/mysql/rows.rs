//! The rows of an `INSERT`, hashed as they stream.

use sha2::Digest;

use super::lexer::Escapes;
use crate::engine::wording::{invalid, readable};
use crate::error::Result;
use crate::fingerprint::{RowHasher, TableFingerprint};

/// The longest name: 64 characters of four bytes, each quote doubled.
const NAME: usize = 520;
const VALUES: &[u8] = b"VALUES";

/// Reads one `INSERT` from behind its words `INSERT INTO ` to its semicolon.
///
/// A row is what stands between the outer parentheses of one group of values. Which rows share a
/// statement, what blanks and newlines stand between them and whether columns are named is left out, because
/// versions of the tools differ in it.
#[derive(Debug, Clone)]
pub(super) struct Insert {
    place: Place,
    escapes: Escapes,
    name: Vec<u8>,
    /// The bytes of the word before the values, as far as they are those of `VALUES`.
    word: usize,
    /// Parentheses that are open inside of a row, or of the columns' names.
    depth: u32,
    /// The quote that is open inside of a row.
    quote: Option<u8>,
    /// The next byte is an ordinary one.
    escaped: bool,
    /// A row whose beginning came in earlier bytes.
    part: Option<Box<RowHasher>>,
    table: TableFingerprint,
    length: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the quote of the table's name.
    Start,
    Name,
    /// The table's name may have ended, or a doubled quote is one of its characters.
    NameEnd,
    /// Between the name and the rows, outside and inside of quotes.
    Columns,
    Column,
    Gap,
    Row,
}

/// Whether a byte matters inside of a row.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'\'' as usize] = true;
    table[b'"' as usize] = true;
    table[b'`' as usize] = true;
    table[b'(' as usize] = true;
    table[b')' as usize] = true;
    table
};

impl Insert {
    /// A reader for a statement in whose quotes a backslash escapes or does not.
    pub(super) fn new(escapes: Escapes) -> Self {
        Self {
            place: Place::Start,
            escapes,
            name: Vec::new(),
            word: 0,
            depth: 0,
            quote: None,
            escaped: false,
            part: None,
            table: TableFingerprint::default(),
            length: 0,
        }
    }

    /// The table's name, without quotes.
    pub(super) fn name(&self) -> String {
        readable(&self.name)
    }

    /// The rows so far.
    pub(super) fn table(&self) -> TableFingerprint {
        self.table
    }

    /// The statement's length in bytes so far, behind its first two words.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Takes the statement from the front of `input`, and answers whether its end was met; what
    /// follows it is left in `input`.
    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<bool> {
        let bytes = *input;
        let mut at = 0;
        while at < bytes.len() {
            if self.place == Place::Row {
                at += self.row(&bytes[at..]);
                continue;
            }
            at += 1;
            if self.byte(bytes[at - 1])? {
                self.length += at as u64;
                *input = &bytes[at..];
                return Ok(true);
            }
        }
        self.length += bytes.len() as u64;
        *input = &[];
        Ok(false)
    }

    /// A byte outside of rows; whether it ends the statement.
    fn byte(&mut self, byte: u8) -> Result<bool> {
        match (self.place, byte) {
            (Place::Start, b'`') => self.place = Place::Name,
            (Place::Name, b'`') => self.place = Place::NameEnd,
            (Place::NameEnd, b'`') => {
                self.push_name(byte)?;
                self.place = Place::Name;
            }
            (Place::Name, _) => self.push_name(byte)?,
            (Place::NameEnd | Place::Columns, _) => self.column(byte)?,
            (Place::Column, b'`') => self.place = Place::Columns,
            (Place::Gap, b'(') => self.place = Place::Row,
            (Place::Column, _) | (Place::Gap, b',' | b' ' | b'\n' | b'\r' | b'\t') => {}
            (Place::Gap, b';') if self.table.rows > 0 => return Ok(true),
            (Place::Start | Place::Gap | Place::Row, _) => return Err(unusual()),
        }
        Ok(false)
    }

    fn column(&mut self, byte: u8) -> Result<()> {
        self.place = Place::Columns;
        match byte {
            b'`' => self.place = Place::Column,
            b'(' if self.word == VALUES.len() => self.place = Place::Row,
            b'(' if self.depth == 0 => self.depth = 1,
            b')' if self.depth == 1 => self.depth = 0,
            b' ' | b'\n' | b'\r' | b'\t' if self.word == VALUES.len() => self.place = Place::Gap,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ if self.depth == 1 => {}
            _ if VALUES.get(self.word) == Some(&byte) => self.word += 1,
            _ => return Err(unusual()),
        }
        Ok(())
    }

    fn push_name(&mut self, byte: u8) -> Result<()> {
        if self.name.len() == NAME {
            return Err(invalid("an INSERT whose table's name does not end"));
        }
        self.name.push(byte);
        Ok(())
    }

    /// Reads a row to its end or the end of `bytes`; answers how many were read.
    fn row(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if let Some(quote) = self.quote {
                at = self.quoted(bytes, at, quote);
                continue;
            }
            let Some(found) = bytes[at..].iter().position(|byte| SPECIAL[usize::from(*byte)]) else { break };
            at += found + 1;
            match bytes[at - 1] {
                b'(' => self.depth = self.depth.saturating_add(1),
                b')' if self.depth == 0 => {
                    self.end_row(&bytes[..at - 1]);
                    return at;
                }
                b')' => self.depth -= 1,
                quote => self.quote = Some(quote),
            }
        }
        self.part.get_or_insert_default().update(bytes);
        bytes.len()
    }

    /// Reads on inside of quotes; a doubled quote ends one string and begins another.
    fn quoted(&mut self, bytes: &[u8], mut at: usize, quote: u8) -> usize {
        if std::mem::take(&mut self.escaped) {
            at += 1;
        }
        let escapes = self.escapes.within(quote);
        while let Some(rest) = bytes.get(at..) {
            let found =
                if escapes { memchr::memchr2(quote, b'\\', rest) } else { memchr::memchr(quote, rest) };
            let Some(found) = found else { return bytes.len() };
            at += found + 1;
            if bytes[at - 1] == quote {
                self.quote = None;
                return at;
            }
            if at == bytes.len() {
                self.escaped = true;
            }
            at += 1;
        }
        bytes.len()
    }

    fn end_row(&mut self, row: &[u8]) {
        match self.part.take() {
            None => self.table.add_row(row),
            Some(mut part) => {
                part.update(row);
                self.table.add_digest(part.finalize().into());
            }
        }
        self.place = Place::Gap;
    }
}

fn unusual() -> crate::Error {
    invalid("an INSERT of a form that mysqldump does not write")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (String, TableFingerprint, bool) {
        let mut insert = Insert::new(Escapes::Strings);
        let mut ended = false;
        for piece in pieces {
            let mut input = *piece;
            ended = insert.feed(&mut input).unwrap();
        }
        (insert.name(), insert.table(), ended)
    }

    #[test]
    fn rows_hash_the_same_however_they_are_cut_and_grouped() {
        let whole = read(&[br"`a``b` VALUES (1,'it\'s; (''x'')'),(2,NULL);"]);
        assert_eq!((whole.0.as_str(), whole.1.rows, whole.2), ("a`b", 2, true));
        let text = br"`a``b` (`x)`,`VALUES`) VALUES
(2,NULL),
(1,'it\'s; (''x'')');";
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn what_follows_the_semicolon_is_left() {
        let mut input: &[u8] = b"`t` VALUES (1);\nUNLOCK";
        assert!(Insert::new(Escapes::Strings).feed(&mut input).unwrap());
        assert_eq!(input, b"\nUNLOCK");
    }

    #[test]
    fn a_backslash_is_an_ordinary_byte_where_the_mode_says_so() {
        let mut input: &[u8] = br"`t` VALUES ('\');";
        assert!(Insert::new(Escapes::Nowhere).feed(&mut input).unwrap());
    }
}
