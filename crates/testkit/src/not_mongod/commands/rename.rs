//! `renameCollection`.

use super::super::answer::{Answer, Refusal};
use super::super::collection::Kind;
use super::super::rights::{Place, Right};
use super::super::state;
use super::{Context, ok};

pub(super) fn rename(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["to", "dropTarget", "stayTemp", "collectionUUID"])?;
    if request.database != "admin" {
        let message = "renameCollection may only be run against the admin database.";
        return Err(Refusal::new(13, "Unauthorized", message));
    }
    let wrong = || Refusal::new(73, "InvalidNamespace", "Invalid source or target namespace");
    let from = request.collection().and_then(|name| name.split_once('.')).ok_or_else(wrong)?;
    let to = request.text("to").and_then(|name| name.split_once('.')).ok_or_else(wrong)?;
    demand(context, from, to)?;
    state::check_database(to.0)?;
    state::check_collection(to.0, to.1)?;
    check_source(context, from)?;
    check_target(context, from, to)?;
    let mut moved = context.state.remove(from.0, from.1).ok_or_else(|| Refusal::not_found(from.1))?;
    if from.0 != to.0 {
        // A mongod copies it: that is another collection.
        moved.uuid = bson::Uuid::new();
    }
    context.state.remove(to.0, to.1);
    context.state.add(to.0, to.1, moved)?;
    Ok(ok())
}

fn demand(context: &Context<'_>, from: (&str, &str), to: (&str, &str)) -> Answer<()> {
    let (source, target) = (Place::Collection(from.0, from.1), Place::Collection(to.0, to.1));
    if from.0 == to.0 {
        context.demand_at(Right::Rename, Place::Database(from.0))?;
    } else {
        context.demand_at(Right::Find, source)?;
        context.demand_at(Right::Drop, source)?;
        context.demand_at(Right::Insert, target)?;
        context.demand_at(Right::CreateIndex, target)?;
    }
    // The right to rename is not yet the right to drop what is in the way.
    if context.request.flag("dropTarget") { context.demand_at(Right::Drop, target) } else { Ok(()) }
}

fn check_source(context: &Context<'_>, (database, name): (&str, &str)) -> Answer<()> {
    let source = context.state.find(database, name);
    let missing = || {
        let message = format!("Source collection {database}.{name} does not exist");
        Refusal::new(26, "NamespaceNotFound", message)
    };
    match source.ok_or_else(missing)?.kind {
        Kind::View => {
            let message = format!("cannot rename view: {database}.{name}");
            Err(Refusal::new(166, "CommandNotSupportedOnView", message))
        }
        Kind::Timeseries => {
            let message = format!("Renaming time-series collection {database}.{name} is not allowed");
            Err(Refusal::new(20, "IllegalOperation", message))
        }
        Kind::Collection if name.starts_with("system.") => Err(Refusal::new(
            20,
            "IllegalOperation",
            format!("cannot rename system collection {database}.{name}"),
        )),
        Kind::Collection => {
            refuse_encrypted(context, (database, name), "Cannot rename an encrypted collection")
        }
    }
}

fn refuse_encrypted(context: &Context<'_>, (database, name): (&str, &str), message: &str) -> Answer<()> {
    let collection = context.state.find(database, name);
    if collection.is_some_and(|found| found.options.get_document("encryptedFields").is_ok()) {
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    Ok(())
}

fn check_target(context: &Context<'_>, from: (&str, &str), (database, name): (&str, &str)) -> Answer<()> {
    if from == (database, name) {
        return Err(Refusal::new(20, "IllegalOperation", "Can't rename a collection to itself"));
    }
    if name.starts_with("system.") {
        return Err(Refusal::new(20, "IllegalOperation", "can't rename a collection to a system namespace"));
    }
    refuse_encrypted(context, (database, name), "Cannot rename to an existing encrypted collection")?;
    let Some(target) = context.state.find(database, name) else { return Ok(()) };
    let refused = |message: String| Err(Refusal::new(48, "NamespaceExists", message));
    if target.kind != Kind::Collection {
        return refused(format!("a view already exists with that name: {database}.{name}"));
    }
    if !context.request.flag("dropTarget") {
        return refused("target namespace exists".to_owned());
    }
    Ok(())
}
