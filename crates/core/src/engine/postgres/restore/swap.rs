//! Databases exchange names in one transaction.
//!
//! A rename takes the database's lock, for which whoever connects must wait, and then up to five seconds
//! for those who are connected to leave. With force they are ended while it waits: a pool that reconnects
//! at once waits behind the lock and cannot win.

use std::time::Duration;

use super::aside::end_connections;
use super::session::{QUESTION, Session};
use super::sql::{block, name, text};
use super::survey::{Facts, connected};
use crate::engine::restore::Target;
use crate::{Error, Result};

const SWAP: &str = "swap";
/// What the comment of a kept database begins with, once it was exchanged.
const MARK: &str = "Respaldo exchanged this database as ";
/// How often connections are ended while a rename waits.
const AGAIN: Duration = Duration::from_millis(100);

/// Target becomes kept, and aside becomes target.
pub(super) async fn swap(server: &Session<'_>, target: &Target) -> Result<()> {
    let facts = Facts::ask(server, target).await?;
    let present = facts.present(target);
    let (to, aside, kept) = (target.database_name(), target.aside.as_str(), target.kept.as_str());
    if !present.aside && present.target {
        return Ok(());
    }
    if !present.aside {
        return Err(gone(aside));
    }
    if present.target && present.kept {
        let message = format!("there is a database {kept:?} already");
        return Err(Error::conflict(SWAP, message).with_mend("drop or rename it, then restore again"));
    }
    let mut sql = String::new();
    if present.target {
        sql += &rename(to, kept);
    }
    sql += &rename(aside, to);
    exchange(server, target, &facts, &sql).await
}

/// Target and kept exchange their names. The kept one's comment tells that it was done, so that whoever
/// does it again for the same `aside` changes nothing.
pub(super) async fn swap_back(server: &Session<'_>, target: &Target) -> Result<()> {
    let (to, aside, kept) = (target.database_name(), target.aside.as_str(), target.kept.as_str());
    let facts = Facts::ask(server, target).await?;
    let present = facts.present(target);
    if !present.kept {
        return Err(gone(kept));
    }
    let mark = format!("{MARK}{aside}\n");
    let done = format!("SELECT to_json(coalesce(strpos(({}), {}) = 1, false))", note(kept), text(&mark));
    if server.ask(&done).await? {
        return Ok(());
    }
    let mut sql = String::new();
    if present.target {
        sql += &rename(to, aside);
        sql += &rename(kept, to);
        sql += &rename(aside, kept);
        sql += &marks(to, kept, &mark);
    } else {
        sql += &rename(kept, to);
    }
    exchange(server, target, &facts, &sql).await
}

fn rename(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};\n", name(from), name(to))
}

/// SQL for a database's comment.
fn note(database: &str) -> String {
    format!(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}",
        text(database)
    )
}

/// The target gets its comment back; the kept one's is marked.
fn marks(to: &str, kept: &str, mark: &str) -> String {
    block(&format!(
        "DECLARE was text := ({was}); is_now text := ({is_now}); BEGIN
           IF strpos(was, {any}) = 1 THEN
             EXECUTE format('COMMENT ON DATABASE %I IS %L', {to}, nullif(substr(was, strpos(was, E'\\n') + 1), ''));
           END IF;
           EXECUTE format('COMMENT ON DATABASE %I IS %L', {kept}, {mark} || coalesce(is_now, ''));
         END",
        was = note(to),
        is_now = note(kept),
        any = text(MARK),
        to = text(to),
        kept = text(kept),
        mark = text(mark),
    ))
}

async fn exchange(server: &Session<'_>, target: &Target, facts: &Facts, sql: &str) -> Result<()> {
    let force = target.options.force;
    if let (false, Some(who)) = (force, connected(&facts.connections)) {
        let message = format!("{:?} is in use by {who}", target.database_name());
        return Err(Error::conflict(SWAP, message).with_mend("end these connections, or use force"));
    }
    // The names lead to the same databases until the transaction commits.
    let end = end_connections(&[target.database_name(), &target.aside, &target.kept]);
    let renaming = server.transact(sql, QUESTION);
    tokio::pin!(renaming);
    loop {
        if force {
            server.run(&end, QUESTION).await?;
        }
        tokio::select! {
            done = &mut renaming => return done.map(drop),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

fn gone(database: &str) -> Error {
    Error::conflict(SWAP, format!("there is no database {database:?}"))
        .with_mend("somebody dropped or renamed it; restore again")
}
