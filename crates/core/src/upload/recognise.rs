//! What is a file, judged by its first bytes and never by its name?

use crate::engine::built;
use crate::engine::mongodb::archive::MAGIC;
use crate::model::{DumpFormat, EngineKind};
use crate::{Error, ErrorKind, Result};

/// So many unpacked bytes are looked at.
pub const HEAD: usize = 64 * 1024;

const OPERATION: &str = "recognise a file";
const TAKEN: &str = "send a dump of pg_dump (plain or -Fc), mysqldump, mariadb-dump or mongodump --archive, a SQLite \
                     database file, or SQL as UTF-8 text; as it is, or packed once by gzip or zstd";
const ARCHIVE: &[u8] = b"PGDMP";
/// Where an archive of `pg_dump` says how it is laid out, and the layout that is one file.
const LAYOUT: (usize, u8) = (10, 1);
const ONE_DATABASE: &str =
    "dump the one database: pg_dump -Fc DATABASE; roles and tablespaces are not part of a backup";

/// Files that are something else: how they begin, what they are, and what to do.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "packed twice, inside by gzip", "unpack it once and send it again"),
    (b"\x28\xb5\x2f\xfd", "packed twice, inside by zstd", "unpack it once and send it again"),
    (b"age-encryption.org/", "encrypted by age", DECRYPT),
    (b"-----BEGIN AGE ", "encrypted by age", DECRYPT),
    (b"-----BEGIN PGP ", "encrypted by PGP", DECRYPT),
    (b"PK\x03\x04", "a zip archive", "unpack it and send the dump inside"),
    (b"PK\x05\x06", "an empty zip archive", TAKEN),
    (b"\xfd7zXZ\0", "packed by xz", REPACK),
    (b"BZh", "packed by bzip2", REPACK),
    (b"\x04\x22\x4d\x18", "packed by lz4", REPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and send the dump inside"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it and send the dump inside"),
    (b"\x7fELF", "a program", TAKEN),
    (b"%PDF", "a PDF document", TAKEN),
    (b"\xff\xfe", "UTF-16 text", UTF16),
    (b"\xfe\xff", "UTF-16 text", UTF16),
    (b"\xef\xbb\xbf", "text behind a byte order mark", "take the mark away: tail -c +4 FILE"),
    (b"<", "HTML or XML", TAKEN),
    (b"{", "JSON", TAKEN),
    (b"[", "JSON", TAKEN),
];
const DECRYPT: &str =
    "decrypt it first; it is encrypted again on its way to storage, if its database says so";
const REPACK: &str = "unpack it, or pack it by gzip or zstd";
const UTF16: &str = "PowerShell's > makes UTF-16 of what a tool prints: let the tool write the file itself \
                     (pg_dump --file=…, mysqldump --result-file=…)";

/// Words that SQL begins with.
const WORDS: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CALL",
    "COMMENT",
    "COMMIT",
    "COPY",
    "CREATE",
    "DELETE",
    "DELIMITER",
    "DO",
    "DROP",
    "GRANT",
    "INSERT",
    "LOCK",
    "MERGE",
    "PRAGMA",
    "RENAME",
    "REPLACE",
    "REVOKE",
    "SELECT",
    "SET",
    "START",
    "TRUNCATE",
    "UPDATE",
    "USE",
    "WITH",
];

/// What a file was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// A database file of SQLite.
    Sqlite,
    /// An archive of `pg_dump` in custom format.
    Archive,
    /// A plain dump of `pg_dump`.
    Postgres,
    /// A dump of `mysqldump`.
    Mysql,
    /// A dump of `mariadb-dump`.
    Mariadb,
    /// An archive of `mongodump`.
    Mongodb,
    /// SQL that no tool signed.
    Sql,
}

/// Recognises a file by its first [`HEAD`] bytes; `whole` says that there are no more.
///
/// # Errors
/// `Unsupported` says what the file was taken for, and what is taken.
pub fn recognise(head: &[u8], whole: bool) -> Result<Recognised> {
    if head.is_empty() {
        return Err(refused("it is empty", TAKEN));
    }
    if head.starts_with(b"SQLite format 3\0") {
        return Ok(Recognised::Sqlite);
    }
    if head.starts_with(&MAGIC) {
        return Ok(Recognised::Mongodb);
    }
    if head.starts_with(ARCHIVE) {
        return match head.get(LAYOUT.0) {
            Some(&layout) if layout != LAYOUT.1 => Err(refused(
                "it is the table of contents of a dump that pg_dump wrote as a folder or as tar",
                "dump in custom format: pg_dump -Fc",
            )),
            _ => Ok(Recognised::Archive),
        };
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(refused(
            "it is a tar archive",
            "send the dump inside; of PostgreSQL, dump in custom format: pg_dump -Fc",
        ));
    }
    let other = OTHERS.iter().find(|(beginning, _, _)| head.trim_ascii_start().starts_with(beginning));
    match other {
        Some((_, what, mend)) => Err(refused(format!("it is {what}"), mend)),
        None => text(head, whole),
    }
}

/// Reads past comments to the first statement.
fn text(head: &[u8], whole: bool) -> Result<Recognised> {
    let mut rest = head;
    loop {
        rest = rest.trim_ascii_start();
        let end = if rest.starts_with(b"--") || rest.starts_with(b"#") || rest.starts_with(b"\\restrict ") {
            let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if let Some(signed) = signature(line)? {
                return Ok(signed);
            }
            Some(line.len())
        } else if rest.starts_with(b"/*M!999999\\-") || rest.starts_with(b"/*!999999\\-") {
            return Ok(Recognised::Mariadb);
        } else if rest.starts_with(b"/*") && !rest.starts_with(b"/*!") && !rest.starts_with(b"/*M!") {
            Some(memchr::memmem::find(rest, b"*/").map_or(rest.len(), |at| at + 2))
        } else {
            None
        };
        match end {
            Some(end) => rest = &rest[end..],
            None => return statement(head, rest, whole),
        }
    }
}

/// What a tool's first comments say of it.
fn signature(line: &[u8]) -> Result<Option<Recognised>> {
    let bare = line.strip_suffix(b"\r").unwrap_or(line);
    let found = match bare {
        b"-- PostgreSQL database dump" => Recognised::Postgres,
        b"-- PostgreSQL database cluster dump" => {
            return Err(refused("it is a dump of a whole server (pg_dumpall)", ONE_DATABASE));
        }
        _ if bare.starts_with(b"-- MySQL dump ") => Recognised::Mysql,
        _ if bare.starts_with(b"-- MariaDB dump ") => Recognised::Mariadb,
        _ => return Ok(None),
    };
    if bare.len() < line.len() {
        return Err(refused(
            "its lines end as those of Windows do, which changes its rows",
            "send it as the tool wrote it: by --file or --result-file, and not changed on its way",
        ));
    }
    Ok(Some(found))
}

fn statement(head: &[u8], rest: &[u8], whole: bool) -> Result<Recognised> {
    if rest.is_empty() {
        let what = if whole { "it holds comments only" } else { "it begins with 64 KiB of comments" };
        return Err(refused(what, TAKEN));
    }
    let cut = std::str::from_utf8(head).err();
    let is_text = cut.is_none_or(|error| !whole && error.error_len().is_none());
    if !is_text || head.contains(&0) {
        return Err(refused("it is no kind of file that is known here", TAKEN));
    }
    let word: String =
        rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).map(|byte| char::from(*byte)).collect();
    let for_servers = rest.starts_with(b"/*!") || rest.starts_with(b"/*M!");
    if for_servers || WORDS.contains(&word.to_ascii_uppercase().as_str()) {
        return Ok(Recognised::Sql);
    }
    Err(refused("it is text that does not begin as SQL", TAKEN))
}

impl Recognised {
    /// The shape in which a database of that kind takes it.
    ///
    /// # Errors
    /// `Unsupported` when it does not fit.
    pub fn shape_for(self, kind: EngineKind) -> Result<DumpFormat> {
        use EngineKind::{Mariadb, Mongodb, Mysql, Postgres, Sqlite};
        match (self, kind) {
            (Self::Sqlite, Sqlite)
            | (Self::Mongodb, Mongodb)
            | (Self::Postgres | Self::Sql, Postgres)
            | (Self::Mysql | Self::Mariadb | Self::Sql, Mysql | Mariadb) => Ok(DumpFormat::Plain),
            (Self::Archive, Postgres) => Ok(DumpFormat::Custom),
            (_, Sqlite) => Err(refused(
                format!("it is {}, and its database is one of SQLite", self.as_str()),
                "send the database file itself; of SQL, make one first: sqlite3 NEW.db < FILE",
            )),
            _ if built().contains(&kind.as_str()) => Err(refused(
                format!("it is {}, and its database is one of {kind}", self.as_str()),
                "name a database of the same kind by database_id",
            )),
            _ => Err(crate::databases::not_built(kind)),
        }
    }

    /// What it is, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "a SQLite database",
            Self::Archive => "an archive of pg_dump in custom format",
            Self::Postgres => "a dump of pg_dump",
            Self::Mysql => "a dump of mysqldump",
            Self::Mariadb => "a dump of mariadb-dump",
            Self::Mongodb => "an archive of mongodump",
            Self::Sql => "SQL that no tool signed",
        }
    }
}

fn refused(what: impl Into<String>, mend: &str) -> Error {
    Error::new(ErrorKind::Unsupported, OPERATION, what).with_field("file").with_mend(mend)
}
