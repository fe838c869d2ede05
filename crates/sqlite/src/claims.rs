//! Claims: a key held for a value, once.

use jiff::Timestamp;
use respaldo_core::ports::Claim;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::{instant, integer, millis};
use crate::failure::Outcome;
use crate::leases::FORGOTTEN_AFTER_MS;

pub(crate) const FORGET: &str = "DELETE FROM claims WHERE key IN \
     (SELECT key FROM claims INDEXED BY claims_by_expiry WHERE expires_at <= ?1 LIMIT 16)";
pub(crate) const LIST: &str =
    "SELECT key, value, expires_at FROM claims WHERE key > ?1 ORDER BY key LIMIT ?2";
pub(crate) const FIRST: &str = "SELECT key, value, expires_at FROM claims ORDER BY key LIMIT ?1";

pub(crate) const ONE: &str =
    "SELECT value FROM claims WHERE key = ?1 AND (expires_at IS NULL OR expires_at > ?2)";

pub(crate) fn claim(
    connection: &Connection,
    key: &str,
    value: &str,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> Outcome<Option<String>> {
    // Each claim forgets a few long expired ones, so that they never pile up.
    connection.prepare_cached(FORGET)?.execute([millis(now) - FORGOTTEN_AFTER_MS])?;
    let held = claimed(connection, key, now)?;
    if held.is_none() {
        connection
            .prepare_cached("INSERT OR REPLACE INTO claims (key, value, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![key, value, expires_at.map(millis)])?;
    }
    Ok(held)
}

pub(crate) fn claimed(connection: &Connection, key: &str, now: Timestamp) -> Outcome<Option<String>> {
    let mut statement = connection.prepare_cached(ONE)?;
    Ok(statement.query_row(params![key, millis(now)], |row| row.get(0)).optional()?)
}

pub(crate) fn release(connection: &Connection, key: &str, value: &str) -> Outcome<()> {
    connection
        .prepare_cached("DELETE FROM claims WHERE key = ?1 AND value = ?2")?
        .execute(params![key, value])?;
    Ok(())
}

pub(crate) fn list(connection: &Connection, after: Option<&str>, limit: usize) -> Outcome<Vec<Claim>> {
    let limit = integer(limit);
    let mut statement = connection.prepare_cached(if after.is_some() { LIST } else { FIRST })?;
    let mut rows = match after {
        Some(after) => statement.query(params![after, limit])?,
        None => statement.query([limit])?,
    };
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        let expires_at: Option<i64> = row.get(2)?;
        let expires_at = expires_at.map(instant).transpose()?;
        claims.push(Claim { key: row.get(0)?, value: row.get(1)?, expires_at });
    }
    Ok(claims)
}
