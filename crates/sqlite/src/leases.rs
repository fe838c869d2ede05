//! Leases: a name held until it expires, under a number that only ever grows.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::{count, integer, millis};
use crate::failure::Outcome;

/// What expired a day ago is removed in passing; no two clocks differ so much.
pub(crate) const FORGOTTEN_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

pub(crate) const FORGET: &str = "DELETE FROM leases WHERE fence IN \
     (SELECT fence FROM leases INDEXED BY leases_by_expiry WHERE expires_at <= ?1 LIMIT 16)";
pub(crate) const LIVE: &str = "SELECT name FROM leases WHERE name >= ?1 AND expires_at > ?2 ORDER BY name";

pub(crate) fn acquire(
    connection: &Connection,
    name: &str,
    owner: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Outcome<Option<u64>> {
    connection.prepare_cached(FORGET)?.execute([millis(now) - FORGOTTEN_AFTER_MS])?;
    connection
        .prepare_cached("DELETE FROM leases WHERE name = ?1 AND expires_at <= ?2")?
        .execute(params![name, millis(now)])?;
    let fence = connection
        .prepare_cached(
            "INSERT INTO leases (name, owner, expires_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO NOTHING RETURNING fence",
        )?
        .query_row(params![name, owner, millis(expires_at)], |row| row.get(0))
        .optional()?;
    Ok(fence.map(count))
}

pub(crate) fn renew(connection: &Connection, name: &str, fence: u64, expires_at: Timestamp) -> Outcome<bool> {
    let renewed = connection
        .prepare_cached("UPDATE leases SET expires_at = ?1 WHERE fence = ?2 AND name = ?3")?
        .execute(params![millis(expires_at), integer(fence), name])?;
    Ok(renewed == 1)
}

pub(crate) fn release(connection: &Connection, name: &str, fence: u64) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM leases WHERE fence = ?1 AND name = ?2")?
        .execute(params![integer(fence), name])?;
    Ok(())
}

pub(crate) fn live(connection: &Connection, prefix: &str, now: Timestamp) -> Outcome<Vec<String>> {
    let mut statement = connection.prepare_cached(LIVE)?;
    let mut rows = statement.query(params![prefix, millis(now)])?;
    let mut names = Vec::new();
    // The names with a prefix lie together in the index, from the prefix itself on. No pattern is
    // built from it, so nothing in it can mean anything.
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        if !name.starts_with(prefix) {
            break;
        }
        names.push(name);
    }
    Ok(names)
}
