//! Databases: numbered records with a due index.

use jiff::Timestamp;
use respaldo_core::Error;
use respaldo_core::model::{Database, DatabaseId};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::columns::{DatabaseColumns, count, integer, millis, next_revision, read};
use crate::failure::Outcome;

/// The revision of a record that was never changed.
const FIRST_REVISION: u64 = 1;

pub(crate) const ONE: &str = "SELECT id, revision, document FROM databases WHERE id = ?1";
pub(crate) const LIST: &str =
    "SELECT id, revision, document FROM databases WHERE id > ?1 ORDER BY id LIMIT ?2";
pub(crate) const DUE: &str = "SELECT id, revision, document FROM databases INDEXED BY databases_due \
     WHERE attention_at <= ?1 ORDER BY attention_at, id LIMIT ?2";

pub(crate) fn create(connection: &Connection, mut database: Database) -> Outcome<Database> {
    let columns = DatabaseColumns::of(&database)?;
    let id = connection
        .prepare_cached(
            "INSERT INTO databases (uid, revision, attention_at, document) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (uid) DO NOTHING RETURNING id",
        )?
        .query_row(
            params![columns.uid, integer(FIRST_REVISION), columns.attention_at, columns.document],
            |row| row.get(0),
        )
        .optional()?;
    let Some(id) = id else {
        return Err(uid_taken("create a database", &database).into());
    };
    database.id = DatabaseId(id);
    database.revision = FIRST_REVISION;
    Ok(database)
}

pub(crate) fn restore(connection: &Connection, mut database: Database) -> Outcome<Database> {
    const OPERATION: &str = "restore a database";
    if database.id.0 < 1 {
        let why = format!("{} is no number of a database; they begin at 1", database.id);
        return Err(Error::conflict(OPERATION, why).into());
    }
    let columns = DatabaseColumns::of(&database)?;
    // AUTOINCREMENT remembers the greatest number, also one that was given to it.
    let stored = connection
        .prepare_cached(
            "INSERT INTO databases (id, uid, revision, attention_at, document) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            database.id.0,
            columns.uid,
            integer(FIRST_REVISION),
            columns.attention_at,
            columns.document
        ])?;
    if stored == 0 {
        let why = format!("the number {} or the uid {} is there already", database.id, database.uid);
        return Err(Error::conflict(OPERATION, why).into());
    }
    database.revision = FIRST_REVISION;
    Ok(database)
}

/// What AUTOINCREMENT remembers.
pub(crate) fn last_number(connection: &Connection) -> Outcome<DatabaseId> {
    let number = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'databases'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(DatabaseId(number.unwrap_or(0)))
}

pub(crate) fn one(connection: &Connection, id: DatabaseId) -> Outcome<Option<Database>> {
    Ok(select(connection, ONE, [id.0])?.pop())
}

pub(crate) fn list(
    connection: &Connection,
    after: Option<DatabaseId>,
    limit: usize,
) -> Outcome<Vec<Database>> {
    select(connection, LIST, params![after.map_or(i64::MIN, |id| id.0), integer(limit)])
}

pub(crate) fn due(connection: &Connection, until: Timestamp, limit: usize) -> Outcome<Vec<Database>> {
    select(connection, DUE, params![millis(until), integer(limit)])
}

pub(crate) fn update(connection: &Connection, mut database: Database) -> Outcome<Database> {
    const OPERATION: &str = "change a database";
    let columns = DatabaseColumns::of(&database)?;
    let (stored, next, revision) = next_revision(database.revision)?;
    let taken: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM databases WHERE uid = ?1 AND id <> ?2)")?
        .query_row(params![columns.uid, database.id.0], |row| row.get(0))?;
    if taken {
        return Err(uid_taken(OPERATION, &database).into());
    }
    let changed = connection
        .prepare_cached(
            "UPDATE databases SET uid = ?1, revision = ?2, attention_at = ?3, document = ?4 \
             WHERE id = ?5 AND revision = ?6",
        )?
        .execute(params![columns.uid, next, columns.attention_at, columns.document, database.id.0, stored])?;
    if changed == 0 {
        return Err(stale(OPERATION, database.id).into());
    }
    database.revision = revision;
    Ok(database)
}

pub(crate) fn delete(connection: &Connection, id: DatabaseId, revision: u64) -> Outcome<()> {
    let deleted = connection
        .prepare_cached("DELETE FROM databases WHERE id = ?1 AND revision = ?2")?
        .execute(params![id.0, next_revision(revision)?.0])?;
    if deleted == 0 {
        return Err(stale("delete a database", id).into());
    }
    Ok(())
}

fn select(connection: &Connection, sql: &str, params: impl Params) -> Outcome<Vec<Database>> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut databases = Vec::new();
    while let Some(row) = rows.next()? {
        databases.push(record(row)?);
    }
    Ok(databases)
}

fn record(row: &Row<'_>) -> Outcome<Database> {
    let mut database: Database = read(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
    database.id = DatabaseId(row.get(0)?);
    database.revision = count(row.get(1)?);
    Ok(database)
}

fn uid_taken(operation: &str, database: &Database) -> Error {
    Error::conflict(operation, format!("a database with the uid {} is there already", database.uid))
}

fn stale(operation: &str, id: DatabaseId) -> Error {
    Error::conflict(operation, format!("database {id} was changed or deleted since it was read"))
        .with_mend("read it again")
}
