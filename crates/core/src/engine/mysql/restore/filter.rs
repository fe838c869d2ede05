//! Reads a dump on its way into a client: rewrites what is bound to the database that it came from, and, where
//! its origin is not known, refuses what no dump tool writes.

use super::statement::{self, Change};
use crate::engine::feed::Filter;
use crate::engine::mysql::lexer::{Escapes, Item, Lexer};
use crate::engine::mysql::observer::escapes_set_by;
use crate::engine::mysql::rows::Insert;
use crate::engine::wording::{invalid, one_line, readable};
use crate::{Error, ErrorKind, Result};

/// A statement is held back until its end, or until so much of it came; everything that is looked for stands
/// before that in what dump tools write.
const HELD: usize = 256 * 1024;

/// What a filter is to do.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The database that is loaded into.
    pub(super) into: String,
    /// Refuse what no dump tool writes.
    pub(super) strict: bool,
    /// Leave out whom objects run as, so that they belong to who restores.
    pub(super) disown: bool,
}

/// The filter.
pub(super) struct DumpFilter {
    rules: Rules,
    lexer: Lexer,
    insert: Option<Box<Insert>>,
    rows: Rows,
    held: Vec<u8>,
    /// The beginning of the statement was judged and passed on.
    passing: bool,
}

impl DumpFilter {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            lexer: Lexer::new(),
            insert: None,
            rows: Rows::default(),
            held: Vec::new(),
            passing: false,
        }
    }

    fn item(&mut self, item: Item, out: &mut Vec<u8>) -> Result<()> {
        match item {
            Item::Statement => {
                if let Some(escapes) = escapes_set_by(self.lexer.head()) {
                    self.lexer.set_escapes(escapes);
                }
                self.judge(out)?;
                self.passing = false;
            }
            Item::Comment => out.append(&mut self.held),
            Item::Insert => {
                out.append(&mut self.held);
                self.insert = Some(Box::new(Insert::new(self.lexer.escapes())));
                self.rows = Rows::default();
            }
        }
        Ok(())
    }

    fn judge(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.passing {
            out.append(&mut self.held);
            return Ok(());
        }
        if self.rules.strict {
            statement::check(&self.held, &self.rules).map_err(|reason| refused(&self.held, &reason))?;
        }
        match statement::change(&self.held, &self.rules) {
            Some(Change { span, to }) => {
                out.extend_from_slice(&self.held[..span.start]);
                out.extend_from_slice(&to);
                out.extend_from_slice(&self.held[span.end..]);
                self.held.clear();
            }
            None => out.append(&mut self.held),
        }
        Ok(())
    }
}

impl Filter for DumpFilter {
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut input = bytes;
        while !input.is_empty() {
            let before = input;
            if let Some(insert) = &mut self.insert {
                let ended = insert.feed(&mut input)?;
                let taken = &before[..before.len() - input.len()];
                if self.rules.strict {
                    self.rows.check(taken, self.lexer.escapes())?;
                }
                out.extend_from_slice(taken);
                if ended {
                    self.insert = None;
                }
                continue;
            }
            let item = self.lexer.next(&mut input)?;
            self.held.extend_from_slice(&before[..before.len() - input.len()]);
            if let Some(item) = item {
                self.item(item, out)?;
            } else if self.held.len() > HELD {
                self.judge(out)?;
                self.passing = true;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.held.trim_ascii().is_empty() || !self.rules.strict {
            out.append(&mut self.held);
            return Ok(());
        }
        self.judge(out)
    }
}

fn refused(statement: &[u8], reason: &str) -> Error {
    let start: String = readable(&statement[..statement.len().min(200)]).trim().chars().take(60).collect();
    let message = format!("the dump holds what no backup of one database does: {reason} in {}", one_line(&start));
    Error::new(ErrorKind::Invalid, "read the dump", message).with_mend(
        "this installation did not make the dump; look at the file, and dump again without what is named, or load \
         it yourself if you trust it",
    )
}

/// Looks at the values of an `INSERT`: a comment, a call or a query among them would be read otherwise by the
/// server than here.
#[derive(Debug, Default)]
struct Rows {
    quote: Option<u8>,
    escaped: bool,
    depth: u32,
    last: u8,
}

impl Rows {
    fn check(&mut self, bytes: &[u8], escapes: Escapes) -> Result<()> {
        for &byte in bytes {
            if let Some(quote) = self.quote {
                if std::mem::take(&mut self.escaped) {
                    continue;
                }
                if byte == b'\\' && escapes.within(quote) {
                    self.escaped = true;
                } else if byte == quote {
                    self.quote = None;
                    self.last = quote;
                }
                continue;
            }
            match byte {
                b'\'' | b'"' | b'`' => self.quote = Some(byte),
                b'(' if self.depth == 0 => self.depth = 1,
                b')' => self.depth = 0,
                b'-' if self.last != b'-' => {}
                b';' if self.depth == 0 => {}
                b',' | b'.' | b'+' | b'_' | b' ' | b'\n' | b'\r' | b'\t' => {}
                byte if byte.is_ascii_alphanumeric() => {}
                _ => return Err(invalid("an INSERT with more than values in it")),
            }
            self.last = byte;
        }
        Ok(())
    }
}
