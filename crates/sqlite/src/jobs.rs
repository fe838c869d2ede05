//! Jobs: records with a due index, lists by several conditions, and sums.

use jiff::Timestamp;
use respaldo_core::Error;
use respaldo_core::model::{DatabaseId, Job, JobId, Outline, Status};
use respaldo_core::ports::{Cursor, JobFilter, Totals};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::columns::{JobColumns, count, instant, integer, millis, millis_from, next_revision, read};
use crate::failure::Outcome;

pub(crate) const ONE: &str = "SELECT revision, document FROM jobs WHERE id = ?1";
pub(crate) const DUE: &str = "SELECT revision, document FROM jobs INDEXED BY jobs_due \
     WHERE attention_at <= ?1 ORDER BY attention_at, id LIMIT ?2";
pub(crate) const SUMS: &str = "SELECT status, backups, size_bytes FROM backup_totals \
     WHERE scope = ?1 AND backups > 0";

pub(crate) fn create(connection: &Connection, job: &Job) -> Outcome<bool> {
    let columns = JobColumns::of(job)?;
    let (stored, _, _) = next_revision(job.revision)?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO jobs (id, revision, database_id, status, backup_kind, created_at, attention_at, \
             size_bytes, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            job.id.to_string(),
            stored,
            columns.database_id,
            columns.status,
            columns.backup_kind,
            columns.created_at,
            columns.attention_at,
            columns.size_bytes,
            columns.document
        ])?;
    Ok(inserted == 1)
}

pub(crate) fn one(connection: &Connection, id: JobId) -> Outcome<Option<Job>> {
    Ok(select(connection, ONE, [id.to_string()])?.pop())
}

pub(crate) fn list(
    connection: &Connection,
    filter: &JobFilter,
    after: Option<Cursor>,
    limit: usize,
) -> Outcome<Vec<Job>> {
    let params = params![
        filter.database_id.map(|id| id.0),
        filter.status.map(Status::as_str),
        filter.kind.map(respaldo_core::model::BackupKind::as_str),
        filter.since.map(millis_from),
        after.map(|cursor| millis(cursor.created_at)),
        after.map(|cursor| cursor.id.to_string()),
        integer(limit)
    ];
    select(connection, &list_sql(filter, after.is_some()), params)
}

/// Parses what it needs of each document and passes over the rest: many times quicker than whole records.
pub(crate) fn outlines(
    connection: &Connection,
    database: DatabaseId,
    after: Option<Cursor>,
    limit: usize,
) -> Outcome<Vec<Outline>> {
    let filter = JobFilter { database_id: Some(database), backups_only: true, ..JobFilter::default() };
    let mut statement = connection.prepare_cached(&list_sql(&filter, after.is_some()))?;
    let mut rows = statement.query(params![
        database.0,
        None::<&str>,
        None::<&str>,
        None::<i64>,
        after.map(|cursor| millis(cursor.created_at)),
        after.map(|cursor| cursor.id.to_string()),
        integer(limit)
    ])?;
    let mut outlines = Vec::new();
    while let Some(row) = rows.next()? {
        outlines.push(read(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?);
    }
    Ok(outlines)
}

/// The statement for a list: the index that fits the conditions is named, so that no plan depends on
/// what SQLite guesses of the contents. Parameters keep their numbers whether or not they are used.
pub(crate) fn list_sql(filter: &JobFilter, continued: bool) -> String {
    let of_database = filter.database_id.is_some() || filter.without_database;
    let index = match (of_database, filter.status.is_some(), filter.kind.is_some()) {
        (true, true, _) => "jobs_by_database_status",
        (true, false, _) => "jobs_by_database",
        (false, true, true) => "jobs_by_status_kind",
        (false, true, false) => "jobs_by_status",
        (false, false, true) => "jobs_by_kind",
        (false, false, false) => "jobs_by_age",
    };
    let conditions = [
        (filter.database_id.is_some(), "database_id = ?1"),
        (filter.without_database, "database_id IS NULL"),
        (filter.status.is_some(), "status = ?2"),
        (filter.kind.is_some(), "backup_kind = ?3"),
        (filter.backups_only, "backup_kind IS NOT NULL"),
        (filter.since.is_some(), "created_at >= ?4"),
        (continued, "(created_at, id) < (?5, ?6)"),
    ];
    let wanted: Vec<_> = conditions.iter().filter(|(wanted, _)| *wanted).map(|(_, sql)| *sql).collect();
    let filtering = if wanted.is_empty() { String::new() } else { format!("WHERE {}", wanted.join(" AND ")) };
    format!(
        "SELECT revision, document FROM jobs INDEXED BY {index} {filtering} \
         ORDER BY created_at DESC, id DESC LIMIT ?7"
    )
}

pub(crate) fn due(connection: &Connection, until: Timestamp, limit: usize) -> Outcome<Vec<Job>> {
    select(connection, DUE, params![millis(until), integer(limit)])
}

pub(crate) fn update(connection: &Connection, mut job: Job) -> Outcome<Job> {
    let columns = JobColumns::of(&job)?;
    let (stored, next, revision) = next_revision(job.revision)?;
    let changed = connection
        .prepare_cached(
            "UPDATE jobs SET revision = ?1, database_id = ?2, status = ?3, backup_kind = ?4, \
             created_at = ?5, attention_at = ?6, size_bytes = ?7, document = ?8 \
             WHERE id = ?9 AND revision = ?10",
        )?
        .execute(params![
            next,
            columns.database_id,
            columns.status,
            columns.backup_kind,
            columns.created_at,
            columns.attention_at,
            columns.size_bytes,
            columns.document,
            job.id.to_string(),
            stored
        ])?;
    if changed == 0 {
        return Err(stale("change a job", job.id).into());
    }
    job.revision = revision;
    Ok(job)
}

/// The log goes with it, by its foreign key.
pub(crate) fn delete(connection: &Connection, id: JobId, revision: u64) -> Outcome<()> {
    let deleted = connection
        .prepare_cached("DELETE FROM jobs WHERE id = ?1 AND revision = ?2")?
        .execute(params![id.to_string(), next_revision(revision)?.0])?;
    if deleted == 0 {
        return Err(stale("delete a job", id).into());
    }
    Ok(())
}

pub(crate) fn totals(connection: &Connection, database: Option<DatabaseId>) -> Outcome<Totals> {
    // One snapshot for all three statements.
    let snapshot = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    let mut totals = Totals::default();
    let scope = database.map_or_else(|| "all".to_owned(), |id| id.to_string());
    let mut statement = connection.prepare_cached(SUMS)?;
    let mut rows = statement.query([scope])?;
    while let Some(row) = rows.next()? {
        totals.by_status.insert(row.get(0)?, count(row.get(1)?));
        totals.size_bytes += count(row.get(2)?);
    }
    totals.newest_success_at = success_at(connection, database, "DESC")?;
    totals.oldest_success_at = success_at(connection, database, "ASC")?;
    drop(snapshot);
    Ok(totals)
}

/// The statement for the first success in the given direction of time.
pub(crate) fn success_sql(database: Option<DatabaseId>, direction: &str) -> String {
    let (index, condition) = match database {
        Some(_) => ("jobs_by_database_status", "database_id = ?1 AND "),
        None => ("jobs_by_status", "?1 IS NULL AND "),
    };
    format!(
        "SELECT created_at FROM jobs INDEXED BY {index} WHERE {condition}status = 'succeeded' \
         AND backup_kind IS NOT NULL ORDER BY created_at {direction}, id {direction} LIMIT 1"
    )
}

fn success_at(
    connection: &Connection,
    database: Option<DatabaseId>,
    direction: &str,
) -> Outcome<Option<Timestamp>> {
    connection
        .prepare_cached(&success_sql(database, direction))?
        .query_row([database.map(|id| id.0)], |row| row.get(0))
        .optional()?
        .map(instant)
        .transpose()
}

fn select(connection: &Connection, sql: &str, params: impl Params) -> Outcome<Vec<Job>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        jobs.push(record(row)?);
    }
    Ok(jobs)
}

fn record(row: &Row<'_>) -> Outcome<Job> {
    let mut job: Job = read(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
    job.revision = count(row.get(0)?);
    Ok(job)
}

fn stale(operation: &str, id: JobId) -> Error {
    Error::conflict(operation, format!("job {id} was changed or deleted since it was read"))
        .with_mend("read it again")
}
