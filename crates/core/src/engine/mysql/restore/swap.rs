//! Exchanging databases by renaming their tables in one statement.
//!
//! Foreign keys follow the tables: what referred to a table of the target before refers to the same table, which
//! is kept, and what was loaded aside refers to what comes in with it.
//!
//! # What has been done
//! An empty table that is named like the aside database, and so like no other restore's, moves within the
//! same statement: from the aside database to the kept one. Where it lies tells whether the exchange was done, and,
//! on servers that may stop between two of a statement's renames, which half of it.

use super::session::Session;
use super::state::{MARK, Schema, Table, quoted, text};
use crate::engine::Target;
use crate::{Error, Result};

const OPERATION: &str = "swap the databases";

/// Moves of tables for one `RENAME TABLE`.
#[derive(Default)]
struct Moves(Vec<String>);

impl Moves {
    fn add<'t>(&mut self, tables: impl Iterator<Item = &'t str>, from: &str, to: &str) {
        let (from, to) = (quoted(from), quoted(to));
        self.0.extend(tables.map(|name| format!("{from}.{0} TO {to}.{0}", quoted(name))));
    }

    fn statement(&self) -> String {
        format!("RENAME TABLE {}", self.0.join(", "))
    }
}

fn movable(schema: Option<&Schema>) -> impl Iterator<Item = &str> {
    schema.into_iter().flat_map(Schema::movable).map(|table| table.name.as_str())
}

fn has_mark(schema: Option<&Schema>, mark: &str) -> bool {
    schema.is_some_and(|schema| schema.tables.iter().any(|table| is_mark(table, mark)))
}

fn is_mark(table: &Table, mark: &str) -> bool {
    table.is_mark() && table.name.eq_ignore_ascii_case(mark)
}

fn make_mark(at: &str, mark: &str) -> String {
    let (at, name) = (quoted(at), quoted(mark));
    format!("CREATE TABLE {at}.{name} (nothing int) ENGINE=InnoDB COMMENT={}", text(MARK))
}

/// Whether the exchange was made, at least in its first half: by where the mark lies, and, where nothing was
/// replaced and there is no mark, by the names that are there.
pub(super) fn was_taken(session: &Session<'_>) -> bool {
    let target = session.target;
    let (state, aside) = (&session.state, target.aside.as_str());
    let there = state.schema(target.database_name()).is_some();
    has_mark(state.schema(&target.kept), aside)
        || there
            && state.schema(aside).is_none()
            && (state.schema(&target.kept).is_some() || !target.replaces)
}

/// Puts what is aside into the target's place.
pub(super) async fn swap(session: &mut Session<'_>) -> Result<()> {
    let target = session.target;
    let (name, aside, kept) = (target.database_name(), target.aside.as_str(), target.kept.as_str());
    let state = &session.state;
    let Some(loaded) = state.schema(aside) else {
        return if state.schema(name).is_some() { Ok(()) } else { Err(nothing_aside(aside)) };
    };
    let mut orders = Vec::new();
    let mut moves = Moves::default();
    if has_mark(state.schema(kept), aside) {
        // Done, or stopped in its second half.
    } else if let Some(schema) = state.schema(name).filter(|schema| replaces(target, schema)) {
        refuse(&[schema, loaded])?;
        orders.push(format!("CREATE DATABASE IF NOT EXISTS {} {}", quoted(kept), schema.defaults()));
        if !has_mark(Some(loaded), aside) {
            orders.push(make_mark(aside, aside));
        }
        moves.add(movable(Some(schema)), name, kept);
        moves.add([aside].into_iter(), aside, kept);
    } else {
        refuse(&[loaded])?;
        orders.push(format!("CREATE DATABASE IF NOT EXISTS {} {}", quoted(name), loaded.defaults()));
    }
    moves.add(movable(Some(loaded)), aside, name);
    if !moves.0.is_empty() {
        orders.push(moves.statement());
    }
    // What was not moved is not dropped: a database with a table that came meanwhile stays.
    exchange(session, orders).await?;
    drop_emptied(session, aside).await
}

/// Whether there is anything to keep: an earlier try may have made the target.
fn replaces(target: &Target, schema: &Schema) -> bool {
    target.replaces || !schema.tables.is_empty() || !schema.bound().is_empty()
}

async fn exchange(session: &Session<'_>, orders: Vec<String>) -> Result<()> {
    if session.target.options.force {
        session.end_connections().await?;
    }
    session.order(OPERATION, &orders).await
}

/// Drops a database that an exchange has emptied; one that holds something stays, and is told.
async fn drop_emptied(session: &mut Session<'_>, name: &str) -> Result<()> {
    session.refresh().await?;
    let left = session.state.schema(name).map_or(0, |schema| schema.movable().count());
    if left > 0 {
        let message = format!("somebody made {left} tables in {name} meanwhile");
        return Err(Error::conflict(OPERATION, message).with_mend("look at who else uses this server"));
    }
    drop(session, name).await
}

/// Drops a database that a restore made.
pub(super) async fn drop(session: &Session<'_>, name: &str) -> Result<()> {
    session.order("drop a database", &[format!("DROP DATABASE IF EXISTS {}", quoted(name))]).await
}

/// Refuses what no `RENAME TABLE` moves.
fn refuse(schemas: &[&Schema]) -> Result<()> {
    let Some(schema) = schemas.iter().find(|schema| !schema.bound().is_empty()) else { return Ok(()) };
    let message = format!("{} holds {}, which cannot be swapped", schema.name, schema.bound().join(", "));
    Err(Error::conflict(OPERATION, message).with_mend("restore with mode in_place"))
}

fn nothing_aside(aside: &str) -> Error {
    Error::conflict(OPERATION, format!("there is neither the target nor {aside}"))
        .with_mend("start the restore again")
}
