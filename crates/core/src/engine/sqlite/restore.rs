//! Putting a SQLite file back: written aside, checked, and copied into the target by the backup API in one
//! transaction.
//!
//! The target is not replaced by a rename: whoever has it open in WAL mode would go on writing to a file
//! that has no name any more. Nothing is kept beside it; the safety backup undoes the restore.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;

use super::{Sqlite, blocking, check_and_fingerprint, explain, fingerprint, lies_within, open, room};
use crate::engine::observe::{Observed, Observer};
use crate::engine::restore::{Dump, DumpSource, Loaded, Refusal, Restorer, Survey, Target, WasSwapped};
use crate::engine::sqlite::FileObserver;
use crate::fingerprint::Fingerprint;
use crate::model::RestoreMode;
use crate::seal::read_error;
use crate::{Error, ErrorKind, Result};

/// How long writers may hold the target's lock before the restore is refused.
const BUSY: Duration = Duration::from_secs(5);
const CHUNK: usize = 256 * 1024;
const OPERATION: &str = "restore SQLite database";

#[async_trait]
impl Restorer for Sqlite {
    fn keeps(&self) -> bool {
        false
    }

    async fn survey(&self, target: &Target) -> Result<Survey> {
        let mut survey = Survey {
            server_version: rusqlite::version().to_owned(),
            modes: vec![RestoreMode::Swap],
            ..Survey::default()
        };
        let path = locate(target)?;
        if let Ok(metadata) = path.metadata() {
            survey.present.target = true;
            survey.size_bytes = Some(metadata.len());
            if !metadata.is_file() {
                survey.refusals.push(refusal("the target is no file", "choose a path of a file"));
            } else if metadata.permissions().readonly() {
                survey
                    .refusals
                    .push(refusal("the target may not be written", "give this user write access to it"));
            }
        }
        survey.present.aside = aside(target).exists();
        if !target.options.tables.is_empty() {
            survey.refusals.push(refusal(
                "tables cannot be chosen from a SQLite file",
                "restore it to a new path, and copy the tables from there",
            ));
        }
        for folder in [path.parent().unwrap_or(&path), &target.at.staging] {
            let free = room(folder)?;
            if free < target.dump.raw_bytes {
                let reason = format!(
                    "it takes {} bytes and {} has {free} free",
                    target.dump.raw_bytes,
                    folder.display()
                );
                survey.refusals.push(refusal(&reason, "free space there, or choose another place"));
            }
        }
        Ok(survey)
    }

    async fn load(&self, target: &Target, dump: &DumpSource) -> Result<Loaded> {
        let file = aside(target);
        let dump = dump.open().await?;
        let most = target.dump.raw_bytes;
        let meter = std::sync::Arc::clone(&target.meter);
        let observed = blocking(OPERATION, move || {
            write(dump, &file, most, |bytes| meter.loaded(bytes))?;
            let fingerprint = check_and_fingerprint(&file)?;
            Ok(Observed { fingerprint, ..Observed::default() })
        })
        .await?;
        Ok(Loaded { observed, warnings: Vec::new() })
    }

    async fn swap(&self, target: &Target) -> Result<()> {
        let (from, to) = (aside(target), locate(target)?);
        blocking(OPERATION, move || copy_into(&from, &to)).await
    }

    async fn was_swapped(&self, target: &Target, before: Option<&Fingerprint>) -> Result<WasSwapped> {
        let path = locate(target)?;
        if !path.exists() {
            return Ok(WasSwapped::No);
        }
        let found =
            blocking(OPERATION, move || fingerprint(&open(&path)?).map_err(|e| explain(OPERATION, &e)))
                .await?;
        let restored = target.dump.fingerprint.as_ref() == Some(&found);
        Ok(match before {
            _ if restored => WasSwapped::Yes,
            Some(before) if *before == found => WasSwapped::No,
            // SQLite makes the file before the transaction that fills it.
            None if !target.replaces && found.0.is_empty() => WasSwapped::No,
            _ => WasSwapped::Unknown,
        })
    }

    async fn drop_aside(&self, target: &Target) -> Result<()> {
        match std::fs::remove_file(aside(target)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::Storage, "remove a staged file", e.to_string()))
            }
            _ => Ok(()),
        }
    }

    async fn drop_kept(&self, _target: &Target) -> Result<()> {
        Ok(())
    }
}

fn refusal(reason: &str, mend: &str) -> Refusal {
    Refusal { reason: reason.to_owned(), mend: mend.to_owned(), forceable: false }
}

fn aside(target: &Target) -> PathBuf {
    target.at.staging.join("restored.db")
}

/// The target's path, which may not exist yet, with every link followed and checked against the roots.
fn locate(target: &Target) -> Result<PathBuf> {
    let path = Path::new(target.database_name());
    lies_within(path, &target.at.sqlite_roots)?;
    let refused = |e: std::io::Error| {
        Error::invalid("database_name", format!("{}: {e}", path.display()))
            .with_mend("make the folder first, or choose another path")
    };
    let name = path.file_name().ok_or_else(|| Error::invalid("database_name", "it names no file"))?;
    let real = if path.symlink_metadata().is_ok() {
        path.canonicalize().map_err(refused)?
    } else {
        path.parent().unwrap_or(path).canonicalize().map_err(refused)?.join(name)
    };
    let roots: Vec<PathBuf> =
        target.at.sqlite_roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
    lies_within(&real, &roots)?;
    Ok(real)
}

fn write(mut dump: Dump, file: &Path, most: u64, came: impl Fn(usize)) -> Result<()> {
    let full = |e: std::io::Error| {
        Error::new(ErrorKind::Storage, "stage a copy", format!("{}: {e}", file.display()))
            .with_mend("free space, or move server.staging")
    };
    let mut options = OpenOptions::new();
    let mut staged = options.write(true).create(true).truncate(true).mode(0o600).open(file).map_err(full)?;
    let mut observer = Box::new(FileObserver::new());
    let (mut chunk, mut written) = (vec![0; CHUNK], 0_u64);
    loop {
        let read = match dump.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(read_error(&e)),
        };
        written += read as u64;
        if written > most {
            let message = format!("it opens to more than the {most} bytes that it should have");
            return Err(Error::new(ErrorKind::Corrupt, "open the artifact", message));
        }
        observer.feed(&chunk[..read])?;
        staged.write_all(&chunk[..read]).map_err(full)?;
        came(read);
    }
    observer.finish().map(drop)
}

/// Copies a whole database over another, in one transaction: whoever has it open sees the one or the other.
fn copy_into(from: &Path, to: &Path) -> Result<()> {
    let told = |e: rusqlite::Error| explain(OPERATION, &e);
    let source = open(from)?;
    let made = !to.exists();
    let mut target = Connection::open(to).map_err(told)?;
    target.busy_timeout(BUSY).map_err(told)?;
    match_page_size(&source, &target).map_err(told)?;
    let copied = step(&source, &mut target);
    let closed = target.close().map_err(|(_, e)| told(e));
    if let Err(e) = copied.and(closed) {
        if made {
            // An empty file is what SQLite leaves of a transaction that was rolled back.
            let _empty = std::fs::remove_file(to);
        }
        return Err(e);
    }
    Ok(())
}

fn step(source: &Connection, target: &mut Connection) -> Result<()> {
    let backup = Backup::new(source, target).map_err(|e| explain(OPERATION, &e))?;
    match backup.step(-1).map_err(|e| explain(OPERATION, &e))? {
        StepResult::Done => Ok(()),
        other => Err(Error::new(
            ErrorKind::Unavailable,
            OPERATION,
            format!("others kept it locked for {} s ({other:?})", BUSY.as_secs()),
        )
        .with_retryable(false)
        .with_mend("end their transactions, or stop them, and restore again: nothing was changed")),
    }
}

/// A database in WAL mode cannot take pages of another size; out of that mode it can.
fn match_page_size(source: &Connection, target: &Connection) -> rusqlite::Result<()> {
    let page_size =
        |connection: &Connection| connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0));
    let mode: String = target.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") && page_size(source)? != page_size(target)? {
        target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0))?;
    }
    Ok(())
}

/// Nothing that a file brings along (a trigger, a view, a function's name) may do more than hold data.
pub(super) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch("PRAGMA cell_size_check = ON")
}
