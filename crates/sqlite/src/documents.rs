//! Documents: a text under a name, replaced by whoever read its last revision.

use respaldo_core::Error;
use respaldo_core::ports::Document;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::{count, next_revision};
use crate::failure::Outcome;

pub(crate) const ONE: &str = "SELECT text, revision FROM documents WHERE name = ?1";

pub(crate) fn one(connection: &Connection, name: &str) -> Outcome<Option<Document>> {
    let read = |row: &rusqlite::Row<'_>| Ok(Document { text: row.get(0)?, revision: count(row.get(1)?) });
    Ok(connection.prepare_cached(ONE)?.query_row([name], read).optional()?)
}

pub(crate) fn put(connection: &Connection, name: &str, text: &str, revision: u64) -> Outcome<u64> {
    let (now, next, answer) = next_revision(revision)?;
    let written = if revision == 0 {
        connection
            .prepare_cached(
                "INSERT INTO documents (name, revision, text) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (name) DO NOTHING",
            )?
            .execute(params![name, next, text])?
    } else {
        connection
            .prepare_cached(
                "UPDATE documents SET revision = ?2, text = ?3 WHERE name = ?1 AND revision = ?4",
            )?
            .execute(params![name, next, text, now])?
    };
    match written {
        1 => Ok(answer),
        _ => {
            Err(Error::conflict("write a document", format!("{name:?} was written since it was read")).into())
        }
    }
}
