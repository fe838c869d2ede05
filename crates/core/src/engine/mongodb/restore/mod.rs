//! Restoring MongoDB.
//!
//! - **In place**: the target's collections and views are dropped and the dump is loaded. A crash in the middle
//!   leaves half a database, which the same restore done again repairs.
//! - **Swap**: the dump is loaded into collections of the *same* database, under names that follow from the
//!   restore's id; then each takes the place of the collection that it replaces by one `renameCollection` with
//!   `dropTarget`, which is atomic for that collection. Nothing is kept beside: a restore of the safety backup
//!   undoes it. (`swap.rs` says why not in another database.)
//!
//! Views are made anew. A time series cannot be renamed, so a dump with one is restored in place only.

mod access;
mod by_tool;
mod create;
mod indexes;
mod load;
mod places;
mod reading;
mod survey;
mod swap;

use async_trait::async_trait;
use bson::doc;

use super::connect::Session;
use super::server::{self, RESTORES};
use super::{Mongodb, SYSTEM};
use crate::engine::{DumpSource, Loaded, Restorer, Survey, Target, WasSwapped};
use crate::fingerprint::Fingerprint;
use crate::model::RestoreMode;
use crate::{Error, ErrorKind, Result};

/// What databases of test restores are called, before the part that follows from the job's id.
const SCRATCH: &str = "respaldo_verify";

#[async_trait]
impl Restorer for Mongodb {
    fn keeps(&self) -> bool {
        false
    }

    async fn survey(&self, target: &Target) -> Result<Survey> {
        check_names(target)?;
        survey::survey(&Session::open(&target.at).await?, target).await
    }

    async fn load(&self, target: &Target, dump: &DumpSource) -> Result<Loaded> {
        check_names(target)?;
        load::load(&Session::open(&target.at).await?, target, dump).await
    }

    async fn swap(&self, target: &Target) -> Result<()> {
        check_names(target)?;
        swap::swap(&Session::open(&target.at).await?, target).await
    }

    async fn was_swapped(&self, target: &Target, before: Option<&Fingerprint>) -> Result<WasSwapped> {
        check_names(target)?;
        swap::was_taken(&Session::open(&target.at).await?, target, before).await
    }

    async fn drop_aside(&self, target: &Target) -> Result<()> {
        check_names(target)?;
        let session = Session::open(&target.at).await?;
        if target.scratch {
            return drop_scratch(&session, &target.aside).await;
        }
        drop_loaded(&session, target).await
    }

    async fn drop_kept(&self, _target: &Target) -> Result<()> {
        Ok(())
    }
}

/// What is dropped must be none of the server's own.
fn check_names(target: &Target) -> Result<()> {
    let name = target.database_name();
    if SYSTEM.contains(&name) {
        let message = format!("{name} is a database of the server's own");
        return Err(Error::invalid("target", message).with_mend("restore into a database of your own"));
    }
    if name == "admin" && target.options.mode == RestoreMode::Swap {
        let message = "collections of admin are not exchanged";
        return Err(Error::invalid("mode", message).with_mend("restore with mode in_place"));
    }
    Ok(())
}

/// The name of the collection that marks what this restore has loaded aside, and begins the others' names.
fn prefix(target: &Target) -> String {
    let id = target.aside.rsplit('_').next().unwrap_or_default();
    format!("{RESTORES}{id}")
}

/// The name under which a collection is loaded aside.
fn aside(target: &Target, collection: &str) -> String {
    format!("{}.{collection}", prefix(target))
}

/// Drops what this restore has loaded aside; first the mark, without which the rest is not taken for whole.
async fn drop_loaded(session: &Session<'_>, target: &Target) -> Result<()> {
    let mark = prefix(target);
    drop_one(session, &mark).await?;
    let others = format!("{mark}.");
    for listed in server::list(session).await? {
        if listed.name.starts_with(&others) {
            drop_one(session, &listed.name).await?;
        }
    }
    Ok(())
}

/// Drops a collection, a view or a time series, if it is there.
async fn drop_one(session: &Session<'_>, name: &str) -> Result<()> {
    match session.run("drop a collection", doc! { "drop": name }).await {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        dropped => dropped.map(drop),
    }
}

/// Drops a database of a test restore.
async fn drop_scratch(session: &Session<'_>, name: &str) -> Result<()> {
    if !name.starts_with(SCRATCH) {
        return Err(Error::internal("drop a scratch database", format!("{name} is none")));
    }
    let database = session.client.database(name);
    let dropped = database.run_command(doc! { "dropDatabase": 1 }).await;
    dropped.map(drop).map_err(|e| super::explain::failed("drop a scratch database", session.source, &e))
}
