//! Exchanging collections by renaming.
//!
//! # Why within one database
//! Between databases `renameCollection` copies every document and every index, for as long as that takes; within
//! one it is a change of the catalog, atomic for the collection. So a dump is loaded beside the target's
//! collections, under names of its own. `dropTarget` takes what was there away in the same step: nobody meets a
//! moment without the collection, in which a write would make an empty one. That is why nothing is kept.
//!
//! # What has been done
//! A collection called like all that was loaded aside, the *mark*, lists it. It is made last by the load and
//! dropped last by the swap: while it is there, what of its list is still aside was not exchanged yet, and an entry of
//! its own says whether the exchange was begun. Without it the contents tell: the target holds what was restored, or
//! what it held before, or somebody has written to it.

use std::collections::BTreeSet;

use bson::doc;
use bson::raw::RawDocument;

use super::load::check;
use super::places::{is_chosen, is_encrypted, is_partial, mark};
use super::{aside, create, drop_one};
use crate::engine::mongodb::archive::Kind;
use crate::engine::mongodb::connect::Session;
use crate::engine::mongodb::dump;
use crate::engine::mongodb::server::{self, Listed};
use crate::engine::wording::one_line;
use crate::engine::{Target, WasSwapped};
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

const OPERATION: &str = "exchange the collections";
/// The mark's entry that says that the exchange was begun. No collection is called so.
const BEGUN: &str = "$begun";

/// What was loaded aside.
struct Loaded {
    /// Collections by their own names.
    collections: BTreeSet<String>,
    views: BTreeSet<String>,
    /// Whether the exchange was begun: from then on something of the target may be gone.
    begun: bool,
}

/// Whether the exchange was made. One that stopped half-way is finished: its list is whole.
pub(super) async fn was_taken(
    session: &Session<'_>,
    target: &Target,
    before: Option<&Fingerprint>,
) -> Result<WasSwapped> {
    let there = server::list(session).await?;
    if !there.iter().any(|listed| listed.name == mark(target)) {
        return by_contents(target, before).await;
    }
    let Some(loaded) = read_mark(session, target).await? else { return Ok(WasSwapped::No) };
    if !loaded.begun {
        return Ok(WasSwapped::No);
    }
    match swap(session, target).await {
        Ok(()) => Ok(WasSwapped::Yes),
        Err(e) if e.is_retryable() => Err(e),
        Err(_) => Ok(WasSwapped::Unknown),
    }
}

/// Without the mark the exchange was made, or what was aside was dropped before it: the contents tell.
async fn by_contents(target: &Target, before: Option<&Fingerprint>) -> Result<WasSwapped> {
    let now = dump::fingerprint(&target.at).await?;
    let among = |fingerprint: &Fingerprint| {
        let own = |(name, _): &(&String, _)| !name.starts_with("$admin.") && is_chosen(target, name);
        let tables = fingerprint.0.iter().filter(own);
        Fingerprint(tables.map(|(name, table)| (name.clone(), *table)).collect())
    };
    let is_now = |expected: &Fingerprint| {
        let (expected, now) = (among(expected), among(&now));
        // A part of the dump leaves the target's other collections in place.
        let same = expected.0.iter().all(|(name, table)| now.0.get(name) == Some(table));
        same && (is_partial(target) || expected.0.len() == now.0.len())
    };
    Ok(match (&target.dump.fingerprint, before) {
        (Some(dumped), _) if is_now(dumped) => WasSwapped::Yes,
        (_, Some(before)) if is_now(before) => WasSwapped::No,
        (_, None) if !target.replaces && now.0.is_empty() => WasSwapped::No,
        _ => WasSwapped::Unknown,
    })
}

/// Puts what is aside into the target's place.
pub(super) async fn swap(session: &Session<'_>, target: &Target) -> Result<()> {
    let there = server::list(session).await?;
    if !there.iter().any(|listed| listed.name == mark(target)) {
        return Ok(());
    }
    let loaded = read_mark(session, target).await?;
    let loaded = loaded.ok_or_else(|| Error::internal(OPERATION, "what was loaded aside is not whole"))?;
    if !loaded.begun {
        let entry = doc! { "insert": mark(target), "documents": [{ "_id": BEGUN }] };
        check(OPERATION, &session.run(OPERATION, entry).await?, 1)?;
    }
    let mut exchanged = 0;
    for name in &loaded.collections {
        exchange(session, target, &there, name).await.map_err(|e| half(e, exchanged, &loaded))?;
        exchanged += 1;
    }
    if !is_partial(target) {
        drop_others(session, &there, &loaded).await.map_err(|e| half(e, exchanged, &loaded))?;
    }
    let views = views(session, target, &there, &loaded).await;
    views.map_err(|e| half(e, exchanged, &loaded))?;
    drop_one(session, &mark(target)).await
}

/// One that is not aside any more was exchanged by an earlier try.
async fn exchange(session: &Session<'_>, target: &Target, there: &[Listed], name: &str) -> Result<()> {
    let from = aside(target, name);
    if !there.iter().any(|listed| listed.name == from) {
        return Ok(());
    }
    // Only a collection gives way to one, and none with encrypted fields.
    let stays = |listed: &Listed| listed.kind != Kind::Collection || is_encrypted(&listed.options);
    if there.iter().any(|listed| listed.name == name && stays(listed)) {
        drop_one(session, name).await?;
    }
    let database = target.database_name();
    let command = doc! {
        "renameCollection": format!("{database}.{from}"),
        "to": format!("{database}.{name}"),
        "dropTarget": true,
    };
    session.admin(&format!("{OPERATION}: {}", one_line(name)), command).await.map(drop)
}

/// What the target held and the dump does not.
async fn drop_others(session: &Session<'_>, there: &[Listed], loaded: &Loaded) -> Result<()> {
    for listed in there {
        let name = &listed.name;
        let kept = loaded.collections.contains(name) || loaded.views.contains(name);
        if !kept && !server::is_systems(name) && !server::is_restores(name) && name != "system.js" {
            drop_one(session, name).await?;
        }
    }
    Ok(())
}

/// A view cannot be renamed: it is made anew, as the one aside is described. All old ones go first: one of them could
/// make a circle with a new one, or differ from it in its collation, and then the new one would be refused for ever.
async fn views(session: &Session<'_>, target: &Target, there: &[Listed], loaded: &Loaded) -> Result<()> {
    let waiting = |name: &String| {
        let from = aside(target, name);
        there.iter().find(|listed| listed.name == from)
    };
    let waiting: Vec<_> = loaded.views.iter().filter_map(|name| Some((name, waiting(name)?))).collect();
    for (name, _) in &waiting {
        drop_one(session, name).await?;
    }
    for (name, listed) in waiting {
        create::collection(session, name, &listed.options, true).await?;
        drop_one(session, &listed.name).await?;
    }
    Ok(())
}

/// The mark's list; none where it is not whole.
async fn read_mark(session: &Session<'_>, target: &Target) -> Result<Option<Loaded>> {
    let listed = session.all(OPERATION, doc! { "find": mark(target) }).await?;
    let mut loaded = Loaded { collections: BTreeSet::new(), views: BTreeSet::new(), begun: false };
    let mut count = None;
    for entry in &listed {
        let entry: &RawDocument = entry;
        match (entry.get_str("_id"), entry.get_bool("view")) {
            (Ok(name), Ok(true)) => loaded.views.insert(name.to_owned()),
            (Ok(name), Ok(false)) => loaded.collections.insert(name.to_owned()),
            (Ok(BEGUN), _) => {
                loaded.begun = true;
                true
            }
            _ => {
                count = entry.get_i64("count").ok();
                true
            }
        };
    }
    let found = loaded.collections.len() + loaded.views.len();
    Ok((count == i64::try_from(found).ok()).then_some(loaded))
}

/// An error in the middle says how far it came.
fn half(error: Error, exchanged: usize, loaded: &Loaded) -> Error {
    if exchanged == 0 {
        return error;
    }
    let all = loaded.collections.len();
    let first = error.mend().map(|mend| format!("{mend}; ")).unwrap_or_default();
    error.with_mend(format!(
        "{first}{exchanged} of {all} collections were exchanged: restore again, or undo, which restores the safety \
         backup"
    ))
}
