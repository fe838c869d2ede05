//! From records to columns and back. What an index holds is derived here and nowhere else.

use jiff::Timestamp;
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Outcome;

/// No backup counts with more than this (9 PB): the sum of 1,000 such still fits SQLite's integers.
const LARGEST_SIZE: u64 = 1 << 53;

/// The columns beside a database's document.
pub(crate) struct DatabaseColumns {
    pub(crate) uid: String,
    pub(crate) attention_at: Option<i64>,
    pub(crate) document: String,
}

impl DatabaseColumns {
    pub(crate) fn of(database: &Database) -> Outcome<Self> {
        Ok(Self {
            uid: database.uid.to_string(),
            attention_at: database.attention_at().map(millis),
            document: write(database)?,
        })
    }
}

/// The columns beside a job's document.
pub(crate) struct JobColumns {
    pub(crate) database_id: Option<i64>,
    pub(crate) status: &'static str,
    pub(crate) backup_kind: Option<&'static str>,
    pub(crate) created_at: i64,
    pub(crate) attention_at: Option<i64>,
    pub(crate) size_bytes: i64,
    pub(crate) document: String,
}

impl JobColumns {
    pub(crate) fn of(job: &Job) -> Outcome<Self> {
        let backup = job.backup().ok();
        let artifact = backup.and_then(|backup| backup.artifact.as_ref());
        let stored = artifact.filter(|_| job.status == Status::Succeeded);
        let size = stored.map_or(0, |artifact| artifact.size_bytes.min(LARGEST_SIZE));
        Ok(Self {
            database_id: job.database_id().map(|id| id.0),
            status: job.status.as_str(),
            backup_kind: backup.map(|backup| backup.kind.as_str()),
            created_at: millis(job.created_at),
            attention_at: job.attention_at().map(millis),
            size_bytes: integer(size),
            document: write(job)?,
        })
    }
}

fn write(record: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(record).map_err(|error| Error::internal("write a record", error).into())
}

/// A document as the record that it is.
pub(crate) fn read<T: DeserializeOwned>(document: &str) -> Outcome<T> {
    serde_json::from_str(document).map_err(|error| {
        Error::new(
            ErrorKind::Corrupt,
            "read a record of the catalog",
            format!("it is not what this version writes: {error}"),
        )
        .into()
    })
}

/// An instant as a column. The clock port gives whole milliseconds, so nothing is lost.
pub(crate) fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// The first whole millisecond that is not before `at`: a lower bound of columns.
pub(crate) fn millis_from(at: Timestamp) -> i64 {
    let floor = at.as_nanosecond().div_euclid(1_000_000);
    let rest = at.as_nanosecond().rem_euclid(1_000_000);
    i64::try_from(floor + i128::from(rest > 0)).unwrap_or(i64::MAX)
}

/// A column as an instant.
pub(crate) fn instant(millis: i64) -> Outcome<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "read a time of the catalog", error.to_string()).into()
    })
}

/// A number for SQLite, whose integers end at 2^63 - 1. Nothing that is counted here comes near, so
/// a larger one is a bound or matches nothing.
pub(crate) fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// The revision after the given one, and both as columns.
pub(crate) fn next_revision(revision: u64) -> Outcome<(i64, i64, u64)> {
    match i64::try_from(revision).ok().and_then(|now| Some((now, now.checked_add(1)?))) {
        Some((now, next)) => Ok((now, next, revision + 1)),
        None => Err(Error::conflict("write a record", format!("no record has revision {revision}")).into()),
    }
}

/// A column that counts.
pub(crate) fn count(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_between_two_milliseconds_is_the_later_one() {
        for (nanos, expected) in
            [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (-1, 0), (-1_000_000, -1), (-1_000_001, -1)]
        {
            let at = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(millis_from(at), expected, "{nanos} ns");
        }
    }
}
