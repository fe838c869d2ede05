//! The jobs' logs: lines in order, gone with their job.

use respaldo_core::model::JobId;
use respaldo_core::ports::{LogEntry, LogLevel};
use respaldo_core::{Error, ErrorKind};
use rusqlite::{Connection, params};

use crate::columns::{count, instant, integer, millis};
use crate::failure::Outcome;

pub(crate) const LINES: &str = "SELECT seq, at, attempt, level, line FROM job_log \
     WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";

pub(crate) fn append(connection: &Connection, job: JobId, lines: &[LogEntry]) -> Outcome<()> {
    let id = job.to_string();
    let known: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ?1)")?
        .query_row([&id], |row| row.get(0))?;
    if !known {
        return Err(Error::not_found("job", job).into());
    }
    let last: i64 = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM job_log WHERE job_id = ?1")?
        .query_row([&id], |row| row.get(0))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO job_log (job_id, seq, at, attempt, level, line) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (entry, seq) in lines.iter().zip(last + 1..) {
        insert.execute(params![id, seq, millis(entry.at), entry.attempt, word(entry.level), entry.line])?;
    }
    Ok(())
}

pub(crate) fn lines(connection: &Connection, job: JobId, after: u64, limit: usize) -> Outcome<Vec<LogEntry>> {
    let mut statement = connection.prepare_cached(LINES)?;
    let mut rows = statement.query(params![job.to_string(), integer(after), integer(limit)])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(LogEntry {
            seq: count(row.get(0)?),
            at: instant(row.get(1)?)?,
            attempt: row.get(2)?,
            level: level(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
            line: row.get(4)?,
        });
    }
    Ok(lines)
}

fn word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn level(word: &str) -> Outcome<LogLevel> {
    match word {
        "info" => Ok(LogLevel::Info),
        "warn" => Ok(LogLevel::Warn),
        "error" => Ok(LogLevel::Error),
        other => Err(Error::new(
            ErrorKind::Corrupt,
            "read a job's log",
            format!("a line has the unknown level {other:?}"),
        )
        .into()),
    }
}
