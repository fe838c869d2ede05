//! Opening a catalog's file: is it ours, is it new, which version does it have.
//!
//! A file that is not ours is only ever looked at as it lies there: no journal is rolled back and no
//! log folded into it. This works because the first thing written into a new file, before it turns to
//! write-ahead logging, is our application id: from then on the file itself says whose it is.

use std::fmt::{Display, Write};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind as Io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use respaldo_core::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::failure::{Fault, Outcome};
use crate::pool::BUSY_TIMEOUT;

/// "RSPD": what `PRAGMA application_id` answers for a catalog of ours.
const APPLICATION_ID: i32 = 0x5253_5044;
/// The steps that bring a file from version n to n + 1, in order. Never change one that was
/// released; add another.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001_catalog.sql"),
    include_str!("../migrations/0002_jobs_without_a_database.sql"),
    include_str!("../migrations/0003_documents.sql"),
];
/// Statements kept compiled for each connection: every text that the catalog uses.
const STATEMENTS: usize = 96;
/// The write-ahead log is cut back to this after a burst.
const LONGEST_IDLE_LOG: i64 = 64 * 1024 * 1024;
/// The smallest page of SQLite, in bytes: it would take a shorter file for an empty one.
const SMALLEST_FILE: u64 = 512;
const OPEN: &str = "open the catalog";
static OPENING: Mutex<()> = Mutex::new(());

/// Opens the file for writing, made and migrated where needed; answers its absolute path too.
pub(crate) fn file(path: &Path) -> Result<(Connection, PathBuf)> {
    // One at a time in this process: whoever makes the file closes a plain descriptor of it.
    let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::path::absolute(path).map_err(|error| unusable(path, &error))?;
    if Header::read(&path)?.is_none_or_empty() {
        create(&path)?;
    }
    Header::read(&path)?.check(&path)?;
    let name = |fault: Fault| fault.during(&format!("{OPEN} {}", path.display()));
    let mut connection = connect(&path).map_err(name)?;
    // Until the version is known, closing must not fold the log into the file.
    keep_log_on_close(&connection, true).map_err(name)?;
    adopt(&mut connection, &path).map_err(name)?;
    check_version(&connection, &path).map_err(name)?;
    keep_log_on_close(&connection, false).map_err(name)?;
    turn_to_wal(&connection, &path).map_err(name)?;
    migrate(&mut connection).map_err(name)?;
    Ok((connection, path))
}

/// A catalog that lives as long as its connection.
pub(crate) fn memory() -> Result<Connection> {
    let open = || {
        let mut connection = Connection::open_in_memory()?;
        settle(&mut connection)?;
        migrate(&mut connection)?;
        Ok(connection)
    };
    open().map_err(|fault: Fault| fault.during(OPEN))
}

/// One more connection on an open catalog, which refuses to write.
pub(crate) fn reader(path: &Path) -> Outcome<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path) -> Outcome<Connection> {
    // Without SQLITE_OPEN_URI a path is a path, whatever it looks like.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    settle(&mut connection)?;
    Ok(connection)
}

fn settle(connection: &mut Connection) -> Outcome<()> {
    connection.busy_handler(Some(wait_a_little))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Every commit is flushed to the disk before it is confirmed: NORMAL would lose the last
    // confirmed writes when the power fails, and a lost `succeeded` or fence breaks a promise.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(())
}

/// Whose a file is.
enum Header {
    Missing,
    Empty,
    Foreign,
    Sqlite { application_id: i32, version: i32 },
}

impl Header {
    fn read(path: &Path) -> Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == Io::NotFound => return Ok(Self::Missing),
            Err(error) => return Err(unusable(path, &error)),
            Ok(found) if !found.is_file() => return Err(refused(path, "it is not a file")),
            Ok(found) if found.len() == 0 => return Ok(Self::Empty),
            Ok(found) if found.len() < SMALLEST_FILE => return Ok(Self::Foreign),
            Ok(_) => {}
        }
        match Self::peek(path) {
            Ok(header) => Ok(header),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Ok(Self::Foreign),
                _ => Err(unusable(path, &error)),
            },
        }
    }

    /// Reads through SQLite and not by `File`: closing a plain descriptor would drop the locks that
    /// this process holds on the same file through another connection. `immutable` means that
    /// neither journal nor log is looked at, and nothing is ever written.
    fn peek(path: &Path) -> rusqlite::Result<Self> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(immutable_uri(path), flags)?;
        let application_id = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application_id != APPLICATION_ID {
            // Pragmas alone read numbers out of anything that is long enough; this does not.
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
        }
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(Self::Sqlite { application_id, version })
    }

    fn is_none_or_empty(&self) -> bool {
        matches!(self, Self::Missing | Self::Empty)
    }

    fn check(&self, path: &Path) -> Result<()> {
        match *self {
            Self::Missing => Err(refused(path, "it was removed while it was opened")),
            Self::Foreign => Err(refused(path, "it is not a SQLite file")),
            Self::Sqlite { application_id, .. } if application_id != APPLICATION_ID => {
                Err(refused(path, "it is the SQLite file of another application"))
            }
            Self::Sqlite { version, .. } if version > newest() => Err(too_new(path, version)),
            Self::Empty | Self::Sqlite { .. } => Ok(()),
        }
    }
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            plain if plain.is_ascii_alphanumeric() => uri.push(char::from(*plain)),
            other => {
                let _infallible = write!(uri, "%{other:02X}");
            }
        }
    }
    uri + "?immutable=1"
}

/// Makes the file, readable by its owner alone (SQLite gives its log the same mode), and makes its
/// name survive a power failure.
fn create(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == Io::AlreadyExists => return Ok(()),
        Err(error) => return Err(unusable(path, &error)),
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unusable(folder, &error))
}

/// Writes our application id into an empty file. Of two processes that open a new file at once, one
/// does and the other finds it done.
fn adopt(connection: &mut Connection, path: &Path) -> Outcome<()> {
    if application_id(connection)? == APPLICATION_ID {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application_id(&transaction)?, tables) {
        (APPLICATION_ID, _) => {}
        (0, 0) => transaction.pragma_update(None, "application_id", APPLICATION_ID)?,
        _ => return Err(refused(path, "it is the SQLite file of another application").into()),
    }
    transaction.commit()?;
    Ok(())
}

fn application_id(connection: &Connection) -> Outcome<i32> {
    Ok(connection.pragma_query_value(None, "application_id", |row| row.get(0))?)
}

fn version(connection: &Connection) -> Outcome<i32> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn check_version(connection: &Connection, path: &Path) -> Outcome<()> {
    match version(connection)? {
        known if known <= newest() => Ok(()),
        unknown => Err(too_new(path, unknown).into()),
    }
}

fn keep_log_on_close(connection: &Connection, keep: bool) -> Outcome<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)?;
    Ok(())
}

/// Waits for another process's lock, and says whether to try again. SQLite's own timeout sleeps ever
/// longer, up to 100 ms, and so never gets its turn beside a process that writes without pause.
fn wait_a_little(tries: i32) -> bool {
    const PAUSE: Duration = Duration::from_millis(1);
    let waited = PAUSE * u32::try_from(tries).unwrap_or(u32::MAX);
    std::thread::sleep(PAUSE);
    waited < BUSY_TIMEOUT
}

/// Turns to write-ahead logging. SQLite does not wait for other connections here, so we do.
fn turn_to_wal(connection: &Connection, path: &Path) -> Outcome<()> {
    let mut tries = 0;
    loop {
        let turned =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match turned {
            Ok(mode) if mode == "wal" => break,
            Ok(mode) => {
                let why = format!("its file system allows no write-ahead log (journal mode {mode})");
                return Err(refused(path, &why).into());
            }
            Err(error) if is_busy(&error) && wait_a_little(tries) => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
    connection.pragma_update(None, "journal_size_limit", LONGEST_IDLE_LOG)?;
    Ok(())
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Each step in a transaction of its own, together with the version that it reaches. The version is
/// read again under the lock: another process may have been faster.
fn migrate(connection: &mut Connection) -> Outcome<()> {
    for (step, reached) in MIGRATIONS.iter().zip(1..) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version(&transaction)? < reached {
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", reached)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Config, OPEN, format!("{} cannot be used: {why}", path.display()))
        .with_mend("name another file as the catalog, or move this one away")
}

fn too_new(path: &Path, version: i32) -> Error {
    let message = format!(
        "{} was written by a newer Respaldo (version {version}; this one knows {})",
        path.display(),
        newest()
    );
    Error::new(ErrorKind::Config, OPEN, message).with_mend("run the newer Respaldo")
}

fn unusable(path: &Path, error: &impl Display) -> Error {
    Error::new(ErrorKind::Config, OPEN, format!("{} cannot be used: {error}", path.display()))
        .with_mend("let the user that runs Respaldo read and write it, or name another file")
}
