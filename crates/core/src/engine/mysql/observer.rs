//! Watches a dump of `mysqldump` or `mariadb-dump`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::lexer::{Escapes, Item, Lexer};
use super::rows::Insert;
use crate::engine::observe::{Observed, Observer};
use crate::engine::wording::{cut_off, incomplete, invalid, one_line, readable};
use crate::error::{Error, Result};

const COMPLETE: &[u8] = b"-- Dump completed";
const COMPLETE_ON: &[u8] = b"-- Dump completed on ";
const LOCK: &[u8] = b"LOCK TABLES ";
const SERVER_VERSION: &[u8] = b"-- Server version\t";
const TOOL_VERSION: [&[u8]; 2] = [b"-- MySQL dump ", b"-- MariaDB dump "];
/// The last statement of a dump gives back what its first ones took; MariaDB's since 11.4 is the second.
const GIVEN_BACK: [&[u8]; 2] = [b"=@OLD_SQL_NOTES", b"=@OLD_NOTE_VERBOSITY"];

/// Watches the output of `mysqldump` (MySQL 5.6 to 9) and of `mariadb-dump` (10 to 12), with comments.
///
/// # Why a cut dump cannot pass
/// The dump is whole when it ends with three things, each a line that only the tool's last function
/// writes: the statement that gives back the settings which the dump's header took, then the closing
/// comment, then that line's end. Both must stand outside of quotes, comments, statements and routines (after the last
/// `DELIMITER ;`). Text of users stands in quotes or in routines; the names of tables in comments of
/// their own, one line each. The tool's exit code is asked besides.
///
/// # Rows
/// A row is a group of values of an `INSERT`; a table is counted as soon as it is locked, so that empty
/// ones are. Memory holds a name and a few bytes per table, whatever a row's size.
#[derive(Debug, Clone)]
pub struct DumpObserver {
    lexer: Lexer,
    insert: Option<Box<Insert>>,
    ending: Ending,
    /// Somebody else made the dump.
    foreign: bool,
    observed: Observed,
    longest: Arc<AtomicU64>,
    failed: Option<Error>,
}

/// How much of the dump's end was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Nothing, or something came after it.
    Open,
    /// The settings were given back.
    GivenBack,
    /// The closing comment.
    Complete,
}

impl DumpObserver {
    /// An observer at the beginning of a dump.
    pub fn new() -> Self {
        Self {
            lexer: Lexer::new(),
            insert: None,
            ending: Ending::Open,
            foreign: false,
            observed: Observed::default(),
            longest: Arc::default(),
            failed: None,
        }
    }

    /// An observer at the beginning of a file that somebody uploaded. One that begins as the tools' do must
    /// end as they do. Of other SQL nothing tells whether it is whole: it must only end between statements,
    /// and what it holds is not told. Either way it must stay in one database.
    pub fn foreign() -> Self {
        let mut observer = Self { foreign: true, ..Self::new() };
        // Only the tools' own are known to be of a form whose rows can be told.
        observer.lexer.tell_inserts(false);
        observer
    }

    /// The length in bytes of the longest `INSERT` so far: a server that shall load the dump must accept
    /// a packet of that size.
    pub fn longest_statement(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.longest)
    }

    fn read(&mut self, mut input: &[u8]) -> Result<()> {
        while !input.is_empty() {
            if let Some(insert) = &mut self.insert {
                if insert.feed(&mut input)? {
                    *self.observed.fingerprint.table(&insert.name()) += insert.table();
                    self.longest.fetch_max(insert.length(), Ordering::Relaxed);
                    self.insert = None;
                }
            } else if let Some(item) = self.lexer.next(&mut input)? {
                self.item(item)?;
            }
        }
        Ok(())
    }

    fn item(&mut self, item: Item) -> Result<()> {
        match item {
            Item::Insert => {
                self.ending = Ending::Open;
                self.insert = Some(Box::new(Insert::new(self.lexer.escapes())));
            }
            Item::Statement => {
                if self.foreign {
                    stays_in_its_database(self.lexer.head())?;
                }
                self.statement();
            }
            Item::Comment => self.comment(),
        }
        Ok(())
    }

    fn is_other_sql(&self) -> bool {
        self.foreign && self.observed.tool_version.is_none()
    }

    fn statement(&mut self) {
        let head = self.lexer.head();
        if let Some(name) = head.strip_prefix(LOCK).and_then(quoted_name) {
            self.observed.fingerprint.table(&name);
        }
        self.ending = Ending::Open;
        let Some(set) = setting(head) else { return };
        let given_back = GIVEN_BACK.iter().any(|end| memchr::memmem::find(set, end).is_some());
        if given_back && self.lexer.is_outside_routines() {
            self.ending = Ending::GivenBack;
        }
        if let Some(escapes) = escapes_after(set) {
            self.lexer.set_escapes(escapes);
        }
    }

    fn comment(&mut self) {
        let line = self.lexer.line();
        let closes = line == COMPLETE || line.starts_with(COMPLETE_ON);
        self.ending =
            if closes && self.ending == Ending::GivenBack { Ending::Complete } else { Ending::Open };
        if let (None, Some(version)) = (&self.observed.server_version, line.strip_prefix(SERVER_VERSION)) {
            self.observed.server_version = Some(one_line(readable(version).trim()));
        }
        let tool = TOOL_VERSION.iter().find_map(|prefix| line.strip_prefix(*prefix));
        if let (None, Some(version)) = (&self.observed.tool_version, tool) {
            self.observed.tool_version = Some(one_line(tool_version(&readable(version))));
            self.lexer.tell_inserts(true);
        }
    }

    /// What is missing from a whole dump.
    fn missing(&self) -> Option<Error> {
        if let Some(insert) = &self.insert {
            let earlier = self.observed.fingerprint.0.get(&insert.name()).map_or(0, |table| table.rows);
            return Some(cut_off(&insert.name(), earlier + insert.table().rows));
        }
        if let Some(place) = self.lexer.within() {
            return Some(incomplete(format!("the dump ends inside {place}")));
        }
        match self.ending {
            _ if self.is_other_sql() => None,
            Ending::Complete => None,
            _ => Some(incomplete("the dump does not end with its closing comment")),
        }
    }
}

impl Default for DumpObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for DumpObserver {
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

/// Refuses the statements by which dumps of several databases go from one to the next. They may stand in a
/// comment for servers of some version on.
fn stays_in_its_database(head: &[u8]) -> Result<()> {
    let code = in_comment_for_servers(head).unwrap_or(head);
    let mut words = code.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default().to_ascii_uppercase();
    let (first, second) = (next(), next());
    let of_database = second.starts_with(b"DATABASE") || second.starts_with(b"SCHEMA");
    let leaves =
        first == b"USE" || (matches!(first.as_slice(), b"CREATE" | b"DROP" | b"ALTER") && of_database);
    if !leaves {
        return Ok(());
    }
    Err(invalid(
        "it creates or changes to a database of its own, as dumps made with --databases or \
                 --all-databases do",
    )
    .with_mend("dump the one database by its bare name: mysqldump [OPTIONS] DATABASE"))
}

/// The code in `/*!40101 … */` or `/*M!100100 … */`.
fn in_comment_for_servers(head: &[u8]) -> Option<&[u8]> {
    let rest = head.strip_prefix(b"/*M!").or_else(|| head.strip_prefix(b"/*!"))?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some(rest[digits..].trim_ascii_start())
}

/// What a `SET` statement sets; it may stand in a comment for servers of some version on.
fn setting(head: &[u8]) -> Option<&[u8]> {
    in_comment_for_servers(head).unwrap_or(head).strip_prefix(b"SET ")
}

/// In which quotes a backslash escapes after this statement; none where it does not change that.
pub(super) fn escapes_set_by(head: &[u8]) -> Option<Escapes> {
    setting(head).and_then(escapes_after)
}

/// In which quotes a backslash escapes after this setting; none where it is not about that.
///
/// Only a mode that is spelled out changes it. One that is given back is the dump's own, in which a
/// backslash escapes.
fn escapes_after(set: &[u8]) -> Option<Escapes> {
    let set = set.to_ascii_uppercase();
    let mut escapes = None;
    for at in memchr::memmem::find_iter(&set, b"SQL_MODE") {
        let whole = at == 0 || matches!(set[at - 1], b' ' | b',');
        let value = set[at + b"SQL_MODE".len()..].trim_ascii_start();
        let Some(value) = value.strip_prefix(b"=").filter(|_| whole) else { continue };
        let value = value.trim_ascii_start();
        escapes = Some(match value.strip_prefix(b"'") {
            Some(modes) => {
                let end = memchr::memchr(b'\'', modes).unwrap_or(modes.len());
                let has = |mode: &[u8]| memchr::memmem::find(&modes[..end], mode).is_some();
                match (has(b"NO_BACKSLASH_ESCAPES"), has(b"ANSI")) {
                    (true, _) => Escapes::Nowhere,
                    (false, true) => Escapes::Single,
                    (false, false) => Escapes::Strings,
                }
            }
            None => Escapes::Strings,
        });
    }
    escapes
}

/// The name in backticks that `text` begins with.
fn quoted_name(text: &[u8]) -> Option<String> {
    let text = text.strip_prefix(b"`")?;
    let mut name = Vec::new();
    let mut bytes = text.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == b'`' && bytes.next_if_eq(&&b'`').is_none() {
            return Some(readable(&name));
        }
        name.push(byte);
    }
    None
}

/// The version in `10.19  Distrib 10.11.19-MariaDB, for …` and in `10.19-11.4.2-MariaDB, for …`.
fn tool_version(header: &str) -> &str {
    let version = header.split(',').next().unwrap_or_default();
    match version.split_once("Distrib ") {
        Some((_, version)) => version.trim(),
        None => version.split_once('-').map_or(version, |(_, version)| version).trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_s_version_is_the_server_s_that_it_came_with() {
        assert_eq!(tool_version("10.13  Distrib 9.7.4, for Linux (x86_64)"), "9.7.4");
        assert_eq!(tool_version("10.19  Distrib 10.11.19-MariaDB, for x (y)"), "10.11.19-MariaDB");
        assert_eq!(tool_version("10.19-11.4.2-MariaDB, for x (y)"), "11.4.2-MariaDB");
    }

    #[test]
    fn only_statements_that_leave_the_database_are_told_from_others() {
        let leaves = |text: &str| stays_in_its_database(text.as_bytes()).is_err();
        for text in [
            "USE `a`",
            "use a",
            "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `a`",
            "create\nschema a",
            "/*!40000 DROP DATABASE IF EXISTS `a`*/",
            "ALTER DATABASE `a` CHARACTER SET utf8mb4 ",
        ] {
            assert!(leaves(text), "{text}");
        }
        for text in ["CREATE TABLE `database` (a int)", "SET @a = 'USE b'", "", "DROP TABLE IF EXISTS `use`"]
        {
            assert!(!leaves(text), "{text}");
        }
    }

    #[test]
    fn only_a_mode_that_is_spelled_out_stops_escapes() {
        let after = |text: &str| setting(text.as_bytes()).and_then(escapes_after);
        assert_eq!(
            after("/*!50003 SET sql_mode              = 'ANSI,NO_BACKSLASH_ESCAPES' */ ;"),
            Some(Escapes::Nowhere)
        );
        assert_eq!(
            after("/*!50003 SET sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES' */ ;"),
            Some(Escapes::Single)
        );
        assert_eq!(after("/*!50003 SET sql_mode = @saved_sql_mode */ ;"), Some(Escapes::Strings));
        assert_eq!(
            after("/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;"),
            Some(Escapes::Strings)
        );
        assert_eq!(after("/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;"), None);
        assert_eq!(after("CREATE PROCEDURE p() SET sql_mode = 'NO_BACKSLASH_ESCAPES'"), None);
    }
}
