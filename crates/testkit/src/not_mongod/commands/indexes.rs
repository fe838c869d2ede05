//! `listIndexes`, `createIndexes`, `dropIndexes`.

use bson::raw::cstr;
use bson::{RawBsonRef, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal};
use super::super::collection::{Collection, Kind};
use super::super::cursor::{self, Cursor};
use super::super::index::Index;
use super::super::rights::Right;
use super::{Context, collections};

/// As many as a collection can have.
const MOST: usize = 64;

pub(super) fn list(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&[
        "cursor",
        "includeBuildUUIDs",
        "includeIndexBuildInfo",
        "isTimeseriesNamespace",
        "rawData",
    ])?;
    context.demand(Right::ListIndexes)?;
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    let missing = || Refusal::new(26, "NamespaceNotFound", format!("ns does not exist: {database}.{name}"));
    let collection = context.state.find(&database, &name).ok_or_else(missing)?;
    if collection.kind == Kind::View {
        return Err(on_view(&database, &name));
    }
    let specs = collection.indexes.iter().map(|index| index.spec.clone()).collect();
    let mut cursor = Cursor::of(&database, &name, specs);
    cursor.owner.clone_from(&context.session.users);
    let first = collections::first_batch(request)?;
    cursor::open(context.state, cursor, first, false)
}

pub(super) fn on_view(database: &str, name: &str) -> Refusal {
    let message = format!("Namespace {database}.{name} is a view, not a collection");
    Refusal::new(166, "CommandNotSupportedOnView", message)
}

pub(super) fn create(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["indexes", "commitQuorum", "ignoreUnknownIndexOptions", "v", "rawData"])?;
    context.demand(Right::CreateIndex)?;
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    let namespace = format!("{database}.{name}");
    let given = request.documents("indexes")?;
    if given.is_empty() {
        return Err(Refusal::bad_value("Must specify at least one index to create"));
    }
    let made = context.state.find(&database, &name).is_none();
    let collection = context.state.collection(&database, &name)?;
    if collection.kind == Kind::View {
        return Err(on_view(&database, &name));
    }
    let before = collection.indexes.len();
    if let Err(refusal) = build_all(collection, &namespace, &given) {
        // All or none of one command's indexes.
        collection.indexes.truncate(before);
        return Err(refusal);
    }
    let after = collection.indexes.len();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let mut reply = rawdoc! {
        "numIndexesBefore": count(before),
        "numIndexesAfter": count(after),
        "createdCollectionAutomatically": made,
    };
    if before == after {
        reply.append(cstr!("note"), "all indexes already exist");
    }
    reply.append(cstr!("ok"), 1.0);
    Ok(reply)
}

fn build_all(collection: &mut Collection, namespace: &str, given: &[RawDocumentBuf]) -> Answer<()> {
    for spec in given {
        let index = Index::parse(spec, &collection.options)?;
        if is_new(collection, &index)? {
            collection.build(namespace, index)?;
        }
    }
    Ok(())
}

/// Whether there is no such index yet; what contradicts one that there is, is refused.
fn is_new(collection: &Collection, index: &Index) -> Answer<bool> {
    if index.key() == rawdoc! { "_id": 1 }.as_bytes() {
        return Ok(false);
    }
    let conflict = |code, name, message: String| Err(Refusal::new(code, name, message));
    if let Some(twin) = collection.indexes.iter().find(|other| other.name == index.name) {
        if twin.is_same(index) {
            return Ok(false);
        }
        let message = format!("An existing index has the same name as the requested index: {}", index.name);
        return if twin.signature() == index.signature() {
            conflict(85, "IndexOptionsConflict", message)
        } else {
            conflict(86, "IndexKeySpecsConflict", message)
        };
    }
    if let Some(twin) = collection.indexes.iter().find(|other| other.signature() == index.signature()) {
        let message = format!("Index already exists with a different name: {}", twin.name);
        return conflict(85, "IndexOptionsConflict", message);
    }
    let is_text = |index: &Index| index.spec.get("textIndexVersion").is_ok_and(|version| version.is_some());
    if is_text(index) && collection.indexes.iter().any(is_text) {
        return conflict(67, "CannotCreateIndex", "only one text index per collection allowed".to_owned());
    }
    if collection.indexes.len() >= MOST {
        return conflict(67, "CannotCreateIndex", format!("add index fails, too many indexes: {MOST}"));
    }
    Ok(true)
}

pub(super) fn drop(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["index"])?;
    context.demand(Right::DropIndex)?;
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    let collection = context.state.required(&database, &name)?;
    let before = collection.indexes.len();
    match request.get("index") {
        Some(RawBsonRef::String("*")) => collection.indexes.retain(|index| index.name == "_id_"),
        Some(RawBsonRef::String("_id_")) => {
            return Err(Refusal::new(72, "InvalidOptions", "cannot drop _id index"));
        }
        Some(RawBsonRef::String(wanted)) => collection.indexes.retain(|index| index.name != wanted),
        Some(RawBsonRef::Document(key)) => collection.indexes.retain(|index| index.key() != key.as_bytes()),
        _ => return Err(Refusal::not_here("dropIndexes by a list of names")),
    }
    if before == collection.indexes.len() && request.text("index") != Some("*") {
        return Err(Refusal::new(27, "IndexNotFound", "index not found"));
    }
    Ok(rawdoc! { "nIndexesWas": i32::try_from(before).unwrap_or(0), "ok": 1.0 })
}
