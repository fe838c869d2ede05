//! SQLite: the backup API into staging, an integrity check, and then the file as a stream.
//!
//! The copy is made in one step, under a read transaction of SQLite's own, so writers may go on and
//! the copy is one consistent state. (Copied page by page, a busy source would start it over and over.)

mod observer;
mod restore;
mod scratch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use tokio::io::AsyncReadExt;

pub use self::observer::FileObserver;
use super::observe::{Observed, Observer};
use super::scratch::ScratchServers;
use super::sink::RawSink;
use super::source::Source;
use super::{Engine, Probe, Restorer};
use crate::fingerprint::{Fingerprint, TableFingerprint};
use crate::limits::Limits;
use crate::model::{Consistency, DumpFormat, Settings};
use crate::{Error, ErrorKind, Result};

/// How long a lock is waited for.
const BUSY: Duration = Duration::from_secs(30);
const CHUNK: usize = 256 * 1024;

/// The engine for SQLite databases.
pub struct Sqlite;

#[async_trait]
impl Engine for Sqlite {
    fn validate(&self, settings: &Settings, limits: &Limits) -> Result<()> {
        if settings.host.is_some() || settings.port.is_some() {
            let field = if settings.host.is_some() { "host" } else { "port" };
            return Err(Error::invalid(field, "a SQLite database is a file: it has no host and no port"));
        }
        lies_within(Path::new(&settings.database_name), &limits.sqlite_roots)
    }

    fn has_server(&self) -> bool {
        false
    }

    async fn probe(&self, source: &Source) -> Result<Probe> {
        let path = locate(source)?;
        blocking("open SQLite database", move || {
            let connection = open(&path)?;
            let pages = |e| explain("read SQLite database", &e);
            let count: i64 =
                connection.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(pages)?;
            let size: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(pages)?;
            Ok(Probe {
                server_version: rusqlite::version().to_owned(),
                tool: None,
                size_bytes: u64::try_from(count.saturating_mul(size)).ok(),
            })
        })
        .await
    }

    async fn dump(&self, source: &Source, sink: &mut RawSink) -> Result<Observed> {
        let path = locate(source)?;
        let staged = source.staging.join("copy.db");
        let (from, to) = (path.clone(), staged.clone());
        let hold = sink.meter().hold();
        source.log.info(format!("copying {} to staging", path.display()));
        let fingerprint = blocking("copy SQLite database", move || {
            check_room(&from, &to)?;
            copy(&from, &to)?;
            check_and_fingerprint(&to)
        })
        .await?;
        drop(hold);
        source.log.info("the copy passed integrity_check; streaming it");
        stream(&staged, sink).await?;
        Ok(Observed {
            fingerprint,
            server_version: Some(rusqlite::version().to_owned()),
            tool_version: Some(rusqlite::version().to_owned()),
            consistency: Some(Consistency::Snapshot),
        })
    }

    fn restorer(&self) -> Option<&dyn Restorer> {
        Some(self)
    }

    fn scratch(&self) -> Option<&dyn ScratchServers> {
        Some(self)
    }

    fn observer(&self, _format: DumpFormat) -> Box<dyn Observer> {
        Box::new(FileObserver::new())
    }
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(operation, e))?
}

/// Refuses a path that does not lie below one of the roots, as far as its text tells.
fn lies_within(path: &Path, roots: &[PathBuf]) -> Result<()> {
    let plain = !path.components().any(|part| part == std::path::Component::ParentDir);
    if plain && roots.iter().any(|root| path.starts_with(root)) {
        return Ok(());
    }
    let allowed: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    Err(Error::invalid("database_name", format!("a SQLite path must lie below {}", allowed.join(" or ")))
        .with_mend("add its folder to server.sqlite_roots"))
}

/// The source's path, with every link followed and checked again against the roots.
fn locate(source: &Source) -> Result<PathBuf> {
    let path = Path::new(&source.settings.database_name);
    lies_within(path, &source.sqlite_roots)?;
    let real = path.canonicalize().map_err(|e| {
        Error::new(ErrorKind::Unavailable, "open SQLite database", format!("{}: {e}", path.display()))
            .with_retryable(false)
            .with_mend("check database_name: it is the file's path on this machine")
    })?;
    let roots: Vec<PathBuf> =
        source.sqlite_roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
    lies_within(&real, &roots)?;
    Ok(real)
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|e| explain("open SQLite database", &e))?;
    connection.busy_timeout(BUSY).map_err(|e| explain("open SQLite database", &e))?;
    Ok(connection)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = open(from)?;
    let told = |e: rusqlite::Error| explain("copy SQLite database", &e);
    let mut target = Connection::open(to).map_err(told)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(told)?;
        match backup.step(-1).map_err(told)? {
            StepResult::Done => {}
            other => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "copy SQLite database",
                    format!("it stayed locked for {} s ({other:?})", BUSY.as_secs()),
                ));
            }
        }
    }
    target.close().map_err(|(_, e)| told(e))
}

fn check_room(from: &Path, to: &Path) -> Result<()> {
    let length = |path: &Path| path.metadata().map_or(0, |metadata| metadata.len());
    let wal = PathBuf::from(format!("{}-wal", from.display()));
    let needed = length(from) + length(&wal);
    let folder = to.parent().unwrap_or(to);
    let room = room(folder)?;
    if needed < room {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Storage,
        "stage a copy",
        format!("it takes {needed} bytes and {} has {room} free", folder.display()),
    )
    .with_mend("free space, or move server.staging"))
}

/// Bytes that are free in a folder.
fn room(folder: &Path) -> Result<u64> {
    rustix::fs::statvfs(folder)
        .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
        .map_err(|e| Error::new(ErrorKind::Storage, "look for room", format!("{}: {e}", folder.display())))
}

fn check_and_fingerprint(staged: &Path) -> Result<Fingerprint> {
    let told = |e: rusqlite::Error| explain("check the copy", &e);
    let connection = open(staged)?;
    restore::distrust(&connection).map_err(told)?;
    let verdict: String =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(told)?;
    if verdict != "ok" {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "check the copy",
            format!("the database is damaged: {verdict}"),
        )
        .with_mend("repair the database: sqlite3 FILE .recover"));
    }
    fingerprint(&connection).map_err(told)
}

/// The fingerprint of a database: virtual tables are left to the plain tables that they keep.
pub(crate) fn fingerprint(connection: &Connection) -> rusqlite::Result<Fingerprint> {
    let mut names = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') \
         AND name <> 'sqlite_schema' ORDER BY name",
    )?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut fingerprint = Fingerprint::default();
    let mut row_bytes = Vec::new();
    for name in names {
        let mut table = TableFingerprint::default();
        let mut rows =
            connection.prepare(&format!("SELECT * FROM main.\"{}\"", name.replace('"', "\"\"")))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            row_bytes.clear();
            for column in 0..columns {
                encode(row.get_ref(column)?, &mut row_bytes);
            }
            table.add_row(&row_bytes);
        }
        fingerprint.0.insert(name, table);
    }
    Ok(fingerprint)
}

/// A value as bytes that no other value has: its type, its length where it has one, itself.
fn encode(value: ValueRef<'_>, bytes: &mut Vec<u8>) {
    let mut variable = |tag: u8, data: &[u8]| {
        bytes.push(tag);
        bytes.extend((data.len() as u64).to_le_bytes());
        bytes.extend(data);
    };
    match value {
        ValueRef::Null => bytes.push(0),
        ValueRef::Integer(integer) => {
            bytes.push(1);
            bytes.extend(integer.to_le_bytes());
        }
        ValueRef::Real(real) => {
            bytes.push(2);
            bytes.extend(real.to_bits().to_le_bytes());
        }
        ValueRef::Text(text) => variable(3, text),
        ValueRef::Blob(blob) => variable(4, blob),
    }
}

async fn stream(staged: &Path, sink: &mut RawSink) -> Result<()> {
    let told = |e: std::io::Error| Error::new(ErrorKind::Storage, "read staging", e.to_string());
    let mut file = tokio::fs::File::open(staged).await.map_err(told)?;
    let length = file.metadata().await.map_err(told)?.len();
    let mut buffer = vec![0; CHUNK];
    let mut sent = 0;
    loop {
        let read = file.read(&mut buffer).await.map_err(told)?;
        if read == 0 {
            break;
        }
        sink.write(&buffer[..read]).await?;
        sent += read as u64;
    }
    if sent == length {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Incomplete, "read staging", format!("{sent} of {length} bytes were read")))
}

fn explain(operation: &str, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let message = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::new(ErrorKind::Unavailable, operation, "another process holds its lock")
                .with_mend("retry when that process has finished its transaction")
        }
        Some(ErrorCode::NotADatabase) => {
            Error::new(ErrorKind::Corrupt, operation, "the file is not a SQLite database")
                .with_mend("check database_name; encrypted databases are not supported")
        }
        Some(ErrorCode::DatabaseCorrupt) => Error::new(ErrorKind::Corrupt, operation, message)
            .with_mend("repair the database: sqlite3 FILE .recover"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            Error::new(ErrorKind::Denied, operation, message).with_mend(
                "give this user read access to the file and, in WAL mode, write access to its folder",
            )
        }
        Some(ErrorCode::DiskFull) => {
            Error::new(ErrorKind::Storage, operation, "the disk of the staging folder is full")
                .with_mend("free space, or move server.staging")
        }
        _ => Error::new(ErrorKind::Internal, operation, message),
    }
}
