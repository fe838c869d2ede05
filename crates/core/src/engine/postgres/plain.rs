//! Watches a plain dump: SQL with blocks of rows between.

use super::lexer::{Item, Lexer};
use super::name::{cut_off, incomplete, invalid, one_line, readable};
use super::rows::CopyRows;
use super::statement::{Meaning, Statement};
use crate::engine::observe::{Observed, Observer};
use crate::error::{Error, Result};

const FRAME: &[u8] = b"--";
const BEGINNING: &[u8] = b"-- PostgreSQL database dump";
const COMPLETE: &[u8] = b"-- PostgreSQL database dump complete";
const SERVER_VERSION: &[u8] = b"-- Dumped from database version ";
const TOOL_VERSION: &[u8] = b"-- Dumped by pg_dump version ";

/// Watches the output of `pg_dump` in plain format, of `PostgreSQL` 9 to 18.
///
/// The dump is whole when the last thing in it, outside of every quote and block of rows, is the
/// closing comment, followed by the `\unrestrict` that matches the dump's `\restrict` where there is
/// one. Rows of `COPY` blocks count in their table; of a dump made with `--inserts` each statement
/// counts as a row; a large object is a row of [`LARGE_OBJECTS`](super::LARGE_OBJECTS).
#[derive(Debug, Clone)]
pub struct PlainObserver {
    lexer: Lexer,
    mode: Mode,
    ending: Ending,
    restricted: Option<Vec<u8>>,
    /// Somebody else made the dump.
    foreign: bool,
    /// It begins as `pg_dump`'s do.
    of_tool: bool,
    observed: Observed,
    failed: Option<Error>,
}

#[derive(Debug, Clone)]
enum Mode {
    Sql,
    /// The rows of the table begin after the newline.
    CopyLine(String),
    Rows(String, CopyRows),
}

/// How much of the dump's end was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing, or something came after it.
    Open,
    /// The line above the closing comment.
    Framed,
    /// The closing comment.
    Complete,
    /// The line below it.
    Closed,
}

impl PlainObserver {
    /// An observer at the beginning of a dump.
    pub fn new() -> Self {
        Self {
            lexer: Lexer::new(Statement::default()),
            mode: Mode::Sql,
            ending: Ending::Open,
            restricted: None,
            foreign: false,
            of_tool: false,
            observed: Observed::default(),
            failed: None,
        }
    }

    /// An observer at the beginning of a file that somebody uploaded. One that begins as `pg_dump`'s do must
    /// end as they do. Of other SQL nothing tells whether it is whole: it must only end between statements,
    /// and what it holds is not told. Either way it must stay in one database.
    pub fn foreign() -> Self {
        Self { foreign: true, ..Self::new() }
    }

    fn read(&mut self, mut input: &[u8]) -> Result<()> {
        while !input.is_empty() {
            match &mut self.mode {
                Mode::Sql => {
                    if let Some(item) = self.lexer.next(&mut input, &mut self.observed.fingerprint)? {
                        self.item(item)?;
                    }
                }
                Mode::CopyLine(table) => {
                    input = input.strip_prefix(b"\n").ok_or_else(|| {
                        invalid(format!("COPY {} is not alone on its line", one_line(table)))
                    })?;
                    self.mode = Mode::Rows(std::mem::take(table), CopyRows::default());
                }
                Mode::Rows(table, rows) => {
                    if rows.feed(&mut input) {
                        *self.observed.fingerprint.table(table) += rows.table();
                        self.mode = Mode::Sql;
                    }
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Statement(meaning) => {
                self.ending = Ending::Open;
                if let Meaning::Copy(table) = meaning {
                    self.mode = Mode::CopyLine(table);
                }
            }
            Item::Comment => self.comment(),
            Item::Command => self.command()?,
        }
        Ok(())
    }

    fn comment(&mut self) {
        let line = self.lexer.line();
        self.of_tool |= line == BEGINNING;
        self.ending = match (self.ending, line) {
            (Ending::Complete, FRAME) => Ending::Closed,
            (Ending::Framed, COMPLETE) => Ending::Complete,
            (_, FRAME) => Ending::Framed,
            _ => Ending::Open,
        };
        for (place, prefix) in [
            (&mut self.observed.server_version, SERVER_VERSION),
            (&mut self.observed.tool_version, TOOL_VERSION),
        ] {
            if let (None, Some(version)) = (&place, line.strip_prefix(prefix)) {
                *place = Some(one_line(&readable(version)));
            }
        }
    }

    /// The commands that `pg_dump` writes; any other would act on the machine that loads the dump.
    fn command(&mut self) -> Result<()> {
        let line = self.lexer.line();
        let name = line.split(|&byte| byte == b' ').next().unwrap_or_default();
        let token = line.get(name.len() + 1..).unwrap_or_default();
        match (name, &self.restricted) {
            (b"\\restrict", None) if !token.is_empty() => self.restricted = Some(token.to_vec()),
            // Loading may leave the restricted mode only at its end, or to connect elsewhere.
            (b"\\unrestrict", Some(restricted)) if restricted == token => {
                self.restricted = None;
                return Ok(());
            }
            // One that does not match leaves the dump restricted, so that it counts as cut off.
            (b"\\connect", None) if self.foreign => {
                return Err(invalid(
                    "it connects to another database, as dumps made with pg_dump --create do",
                )
                .with_mend("dump the one database without --create: pg_dump -Fc DATABASE"));
            }
            (b"\\unrestrict", Some(_)) | (b"\\connect", None) => {}
            _ => {
                let name = one_line(&readable(name));
                return Err(invalid(format!("the psql command {name}, which pg_dump does not write there")));
            }
        }
        self.ending = Ending::Open;
        Ok(())
    }

    fn is_other_sql(&self) -> bool {
        self.foreign && !self.of_tool
    }

    /// What is missing from a whole dump.
    fn missing(&self) -> Option<Error> {
        match &self.mode {
            Mode::CopyLine(table) => return Some(cut_off(table, 0)),
            Mode::Rows(table, rows) => return Some(cut_off(table, rows.table().rows)),
            Mode::Sql => {}
        }
        if let Some(place) = self.lexer.within() {
            return Some(incomplete(format!("the dump ends inside {place}")));
        }
        if let Some(object) = self.lexer.statement.open_object() {
            return Some(object.cut_off());
        }
        if self.is_other_sql() {
            return None;
        }
        match (self.ending, &self.restricted) {
            (Ending::Closed, None) => None,
            (Ending::Closed, Some(_)) => Some(incomplete("the dump's last \\unrestrict is missing")),
            _ => Some(incomplete("the dump does not end with its closing comment")),
        }
    }
}

impl Default for PlainObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for PlainObserver {
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed.is_none() {
            self.failed = self.read(bytes).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn finish(self: Box<Self>) -> Result<Observed> {
        let wrong = self.failed.clone().or_else(|| self.missing());
        let observed = if self.is_other_sql() { Observed::default() } else { self.observed };
        wrong.map_or(Ok(observed), Err)
    }
}
