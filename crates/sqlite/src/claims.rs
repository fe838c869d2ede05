//! Claims: a key held for a value, once.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::millis;
use crate::failure::Outcome;
use crate::leases::FORGOTTEN_AFTER_MS;

pub(crate) const FORGET: &str = "DELETE FROM claims WHERE key IN \
     (SELECT key FROM claims INDEXED BY claims_by_expiry WHERE expires_at <= ?1 LIMIT 16)";

pub(crate) fn claim(
    connection: &Connection,
    key: &str,
    value: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Outcome<Option<String>> {
    // Each claim forgets a few long expired ones, so that they never pile up.
    connection.prepare_cached(FORGET)?.execute([millis(now) - FORGOTTEN_AFTER_MS])?;
    let held = connection
        .prepare_cached(
            "SELECT value FROM claims WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)",
        )?
        .query_row(params![key, millis(now)], |row| row.get(0))
        .optional()?;
    if held.is_none() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO claims (key, value, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![key, value, expires_at.map(millis)])?;
    }
    Ok(held)
}

pub(crate) fn release(connection: &Connection, key: &str, value: &str) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM claims WHERE key = ?1 AND value = ?2")?
        .execute(params![key, value])?;
    Ok(())
}
