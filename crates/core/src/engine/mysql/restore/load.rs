//! Loading a dump.

use std::sync::atomic::Ordering;

use super::account::{self, Loader};
use super::filter::{DumpFilter, Rules};
use super::session::{self, Session};
use super::state::{Schema, quoted};
use super::{explain, swap};
use crate::engine::feed::{Feed, feed};
use crate::engine::mysql::{DumpObserver, names};
use crate::engine::process::Invocation;
use crate::engine::wording::grouped;
use crate::engine::{DumpSource, Loaded, Observed};
use crate::fingerprint::Fingerprint;
use crate::model::{BackupKind, Ownership, RestoreMode};
use crate::{Error, ErrorKind, Result};

/// Comments stay in routines, bytes stay as they are, and lines are no commands to the client.
const OPTIONS: [&str; 3] = ["--comments", "--binary-mode", "--max-allowed-packet=1G"];

/// Loads aside or into the target, whose objects are dropped first.
pub(super) async fn load(session: &mut Session<'_>, dump: &DumpSource) -> Result<Loaded> {
    let target = session.target;
    if !target.options.tables.is_empty() {
        let message = "single tables cannot be restored from a dump of MySQL or MariaDB";
        return Err(Error::invalid("tables", message).with_mend("leave tables out"));
    }
    session.loader()?;
    let into = super::into(target);
    let loader = account::prepare(session, into).await?;
    let loaded = load_as(session, &loader, into, dump).await;
    if loaded.is_err() {
        account::give_up(session, &loader, into).await;
    }
    loaded
}

async fn load_as(
    session: &mut Session<'_>,
    loader: &Loader,
    into: &str,
    dump: &DumpSource,
) -> Result<Loaded> {
    let swaps = session.target.options.mode == RestoreMode::Swap;
    if swaps {
        make_aside(session).await?;
    } else {
        empty_target(session).await?;
    }
    let observed = run(session, loader, into, dump).await?;
    session.refresh().await?;
    check_tables(session, into, &observed.fingerprint)?;
    if swaps {
        refuse_bound(session).await?;
    }
    let warnings = account::close(session, loader, into).await?.into_iter().collect();
    Ok(Loaded { observed, warnings })
}

/// The aside database, empty, as the target would be made.
async fn make_aside(session: &Session<'_>) -> Result<()> {
    let target = session.target;
    let defaults = session.state.schema(target.database_name()).map(Schema::defaults).unwrap_or_default();
    let aside = quoted(&target.aside);
    let orders = [format!("DROP DATABASE IF EXISTS {aside}"), format!("CREATE DATABASE {aside} {defaults}")];
    session.order("make a database aside", &orders).await
}

/// The target, made where it is not there, and without its objects where it is.
async fn empty_target(session: &Session<'_>) -> Result<()> {
    let target = session.target;
    let name = quoted(target.database_name());
    let Some(schema) = session.state.schema(target.database_name()) else {
        return session.order("make the target", &[format!("CREATE DATABASE IF NOT EXISTS {name}")]).await;
    };
    if target.options.force {
        session.end_connections().await?;
    }
    session.order("empty the target", &drops(schema)).await
}

/// Everything but the database itself, whose grants stay. Tables go by themselves: those that one statement
/// names are looked for in all of them first.
fn drops(schema: &Schema) -> Vec<String> {
    let at = |name: &str| format!("{}.{}", quoted(&schema.name), quoted(name));
    let mut orders = vec!["SET SESSION foreign_key_checks = 0".to_owned()];
    orders.extend(schema.events.iter().map(|name| format!("DROP EVENT IF EXISTS {}", at(name))));
    for table in &schema.tables {
        let kind = match table {
            table if table.is_view() => "VIEW",
            table if table.is_sequence() => "SEQUENCE",
            _ => "TABLE",
        };
        orders.push(format!("DROP {kind} IF EXISTS {}", at(&table.name)));
    }
    // A package's body goes with it.
    let routines = schema.routines.iter().filter(|(kind, _)| kind != "PACKAGE BODY");
    orders.extend(routines.map(|(kind, name)| format!("DROP {kind} IF EXISTS {}", at(name))));
    orders
}

async fn run(session: &Session<'_>, loader: &Loader, into: &str, dump: &DumpSource) -> Result<Observed> {
    let target = session.target;
    let (source, limited) = match loader {
        Loader::Login => (&target.at, !target.dump.trusted),
        Loader::Limited(source) => (source.as_ref(), true),
    };
    let dump = dump.open().await?;
    let mut database = std::ffi::OsString::from("--database=");
    database.push(into);
    let mut invocation: Invocation =
        session::client(source, session.loader()?)?.args(OPTIONS).arg(database).fed();
    if session.loader_has_sandbox().await? {
        invocation = invocation.arg("--sandbox");
    }
    let uploaded = target.dump.kind == BackupKind::Uploaded;
    let observer = if uploaded { DumpObserver::foreign() } else { DumpObserver::new() };
    let longest = observer.longest_statement();
    let child = invocation.start(source.login.redactor(), Some(target.at.log.clone()))?;
    let fed = Feed {
        dump,
        most: target.dump.raw_bytes,
        observer: Box::new(observer),
        filter: filter(session, into),
        meter: std::sync::Arc::clone(&target.meter),
    };
    let max_packet = session.state.max_packet;
    feed(child, fed, |ended| match longest.load(Ordering::Relaxed) {
        // Such a server hangs up while the client still sends, which then knows no reason.
        bytes if bytes >= max_packet => too_long(bytes, max_packet),
        _ => explain::ended("load the dump", &ended, limited),
    })
    .await
}

fn too_long(bytes: u64, max_packet: u64) -> Error {
    let message = format!(
        "the dump has a statement of {} bytes, and this server accepts {}",
        grouped(bytes),
        grouped(max_packet)
    );
    Error::new(ErrorKind::Config, "load the dump", message)
        .with_mend("raise the server's max_allowed_packet above that, up to 1G")
}

/// None where the dump can go in as it is, which spares reading it twice.
fn filter(session: &Session<'_>, into: &str) -> Option<Box<dyn crate::engine::feed::Filter>> {
    let (options, dump) = (&session.target.options, &session.target.dump);
    let strict = !dump.trusted;
    // On a scratch server nobody asks who would have owned it.
    let disown = options.ownership == Ownership::None || strict && session.target.scratch;
    if !strict && !disown && dump.database_name == into {
        return None;
    }
    Some(Box::new(DumpFilter::new(Rules { into: into.to_owned(), strict, disown })))
}

/// Every table of the dump must be there.
fn check_tables(session: &Session<'_>, into: &str, fingerprint: &Fingerprint) -> Result<()> {
    let state = &session.state;
    let there = |name: &String| {
        let tables = state.schema(into).map(|schema| schema.tables.as_slice()).unwrap_or_default();
        tables.iter().any(|table| state.same(&table.name, name))
    };
    let missing: Vec<String> = fingerprint.0.keys().filter(|name| !there(name)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("the dump was loaded, and these tables are not there: {}", names(&missing));
    Err(Error::new(ErrorKind::Incomplete, "load the dump", message)
        .with_mend("look at the job's log and at what else changes this database"))
}

/// What cannot be moved into the target's place is known of a dump only now.
async fn refuse_bound(session: &Session<'_>) -> Result<()> {
    let aside = &session.target.aside;
    let bound = session.state.schema(aside).map(Schema::bound).unwrap_or_default();
    if bound.is_empty() {
        return Ok(());
    }
    swap::drop(session, aside).await?;
    let message =
        format!("the dump holds {}, which cannot be swapped in; nothing was changed", bound.join(", "));
    Err(Error::conflict("load the dump", message).with_mend("restore with mode in_place"))
}
