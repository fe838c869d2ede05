//! Restoring MySQL and MariaDB.
//!
//! - **In place**: everything in the target is dropped, but for the database itself, so that grants stay, and
//!   the dump is loaded into it. Statements that define end transactions here, so a crash in the middle leaves
//!   half a database, which the same restore done again repairs.
//! - **Swap**: the dump is loaded into a database beside the target; one `RENAME TABLE` then moves the target's
//!   tables to a third and the loaded ones in. Views, triggers, routines and events cannot be moved between
//!   databases, so neither side may have any. Foreign keys follow the tables that they were made for.
//!
//! A dump of unknown origin is read by a filter (`filter.rs`) that knows what dump tools write and refuses
//! everything else; that is a courtesy to whoever made a mistake. What protects the server is that such a dump is
//! loaded by an account which may touch nothing but its target (`account.rs`).

mod account;
mod explain;
mod filter;
mod load;
mod session;
mod state;
mod statement;
mod survey;
mod swap;

use std::fs::File;
use std::io::{ErrorKind as Io, Write};

use async_trait::async_trait;

use self::session::Session;
use super::Mysql;
use crate::engine::process::{Child, Ended};
use crate::engine::{DumpSource, Loaded, Restorer, Survey, Target, WasSwapped};
use crate::fingerprint::Fingerprint;
use crate::model::RestoreMode;
use crate::{Error, Result};

#[async_trait]
impl Restorer for Mysql {
    fn keeps(&self) -> bool {
        true
    }

    async fn survey(&self, target: &Target) -> Result<Survey> {
        check_names(target)?;
        let session = Session::open(target).await?;
        Ok(survey::survey(&session))
    }

    async fn load(&self, target: &Target, dump: &DumpSource) -> Result<Loaded> {
        check_names(target)?;
        load::load(&mut Session::open(target).await?, dump).await
    }

    async fn swap(&self, target: &Target) -> Result<()> {
        check_names(target)?;
        swap::swap(&mut Session::open(target).await?).await
    }

    async fn was_swapped(&self, target: &Target, _before: Option<&Fingerprint>) -> Result<WasSwapped> {
        check_names(target)?;
        let mut session = Session::open(target).await?;
        let taken = swap::was_taken(&session);
        if taken {
            // It may have stopped before its last step: what is aside is never loaded over then.
            swap::swap(&mut session).await?;
        }
        Ok(if taken { WasSwapped::Yes } else { WasSwapped::No })
    }

    async fn drop_aside(&self, target: &Target) -> Result<()> {
        check_names(target)?;
        let session = Session::open(target).await?;
        account::discard(&session, &target.aside).await?;
        swap::drop(&session, &target.aside).await
    }

    async fn drop_kept(&self, target: &Target) -> Result<()> {
        check_names(target)?;
        swap::drop(&Session::open(target).await?, &target.kept).await
    }
}

/// Databases that belong to the server.
const SYSTEM: [&str; 4] = ["mysql", "information_schema", "performance_schema", "sys"];

/// What is dropped must be none of the server's own, and no name may stand for two of the three.
fn check_names(target: &Target) -> Result<()> {
    let name = target.database_name();
    if SYSTEM.iter().any(|system| system.eq_ignore_ascii_case(name)) {
        let message = format!("{name} is a database of the server's own");
        return Err(Error::invalid("target", message).with_mend("restore into a database of your own"));
    }
    let lower = [name, &target.aside, &target.kept].map(str::to_lowercase);
    let distinct = lower[0] != lower[1] && lower[0] != lower[2] && lower[1] != lower[2];
    let fits = lower.iter().all(|name| !name.is_empty() && name.chars().count() <= super::LONGEST_NAME);
    let system = lower[1..].iter().any(|name| SYSTEM.contains(&name.as_str()));
    if !distinct || !fits || system {
        return Err(Error::internal("restore", format!("these names cannot be used: {lower:?}")));
    }
    Ok(())
}

/// The database that the dump is loaded into.
fn into(target: &Target) -> &str {
    match target.options.mode {
        RestoreMode::Swap => &target.aside,
        RestoreMode::InPlace => target.database_name(),
    }
}

/// Gives a child its whole input and waits for its end.
async fn write_all(mut child: Child, text: String) -> Result<Ended> {
    let mut pipe = File::from(child.take_stdin()?);
    let writing = tokio::task::spawn_blocking(move || pipe.write_all(text.as_bytes()));
    let written = writing.await.map_err(|e| Error::internal("give orders", e))?;
    match written {
        // It stopped reading: its last words say why.
        Err(e) if e.kind() != Io::BrokenPipe => Err(Error::internal("give orders", e)),
        _ => child.wait().await,
    }
}
