//! Databases exchange names in one transaction.
//!
//! A rename takes the database's lock, for which whoever connects must wait, and then up to five seconds
//! for those who are connected to leave. With force they are ended while it waits: a pool that reconnects
//! at once waits behind the lock and cannot win.

use std::time::Duration;

use super::aside::end_connections;
use super::session::{QUESTION, Session};
use super::sql::name;
use super::survey::{Facts, connected};
use crate::engine::restore::Target;
use crate::{Error, Result};

const SWAP: &str = "swap";
/// How often connections are ended while a rename waits.
const AGAIN: Duration = Duration::from_millis(100);

/// Target becomes kept, and aside becomes target.
pub(super) async fn swap(server: &Session<'_>, target: &Target) -> Result<()> {
    let facts = Facts::ask(server, target).await?;
    let present = facts.present(target);
    let (to, aside, kept) = (target.database_name(), target.aside.as_str(), target.kept.as_str());
    let done = present.target && (present.kept || !target.replaces);
    if !present.aside && done {
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

fn rename(from: &str, to: &str) -> String {
    format!("ALTER DATABASE {} RENAME TO {};\n", name(from), name(to))
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
