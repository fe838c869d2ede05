//! Databases and collections: lists, statistics, removal.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal};
use super::super::collection::{self, Collection, Kind};
use super::super::cursor::{self, Cursor, FIRST_BATCH};
use super::super::rights::{self, Place, Right};
use super::super::{answer, matching};
use super::Context;

pub(super) fn list_databases(context: &mut Context<'_>) -> Answer {
    context.request.only(&["filter", "nameOnly", "authorizedDatabases"])?;
    if context.request.database != "admin" {
        return Err(Refusal::new(
            13,
            "Unauthorized",
            "listDatabases may only be run against the admin database.",
        ));
    }
    let filter = context.request.document("filter").map(ToOwned::to_owned).unwrap_or_default();
    let all = rights::may(context.state, context.session, Right::ListDatabases, Place::Server);
    let (mut databases, mut total) = (RawArrayBuf::new(), 0);
    for (name, collections) in &context.state.databases {
        let bytes: usize = collections.values().map(Collection::bytes).sum();
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut entry = rawdoc! { "name": name.as_str() };
        if !context.request.flag("nameOnly") {
            entry.append(cstr!("sizeOnDisk"), bytes);
            entry.append(cstr!("empty"), false);
        }
        if (all || rights::may_see(context.state, context.session, name))
            && matching::matches(&filter, &entry)?
        {
            total += bytes;
            databases.push(entry);
        }
    }
    Ok(rawdoc! { "databases": databases, "totalSize": total, "ok": 1.0 })
}

pub(super) fn list(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["filter", "nameOnly", "authorizedCollections", "cursor", "includePendingDrops"])?;
    let own_only = request.flag("nameOnly") && request.flag("authorizedCollections");
    let database = Place::Database(&request.database);
    let all = rights::may(context.state, context.session, Right::ListCollections, database);
    if !own_only {
        context.demand_in_database(Right::ListCollections)?;
    }
    let filter = request.document("filter").map(ToOwned::to_owned).unwrap_or_default();
    matching::check(&filter)?;
    let mut entries = Vec::new();
    for (name, collection) in context.state.databases.get(&request.database).into_iter().flatten() {
        let place = Place::Collection(&request.database, name);
        if !all && !rights::may(context.state, context.session, Right::Find, place) {
            continue;
        }
        let entry = entry(name, collection);
        if matching::matches(&filter, &entry)? {
            entries.push(if request.flag("nameOnly") { short(&entry) } else { entry });
        }
    }
    let mut cursor = Cursor::of(&request.database, "$cmd.listCollections", entries);
    cursor.owner.clone_from(&context.session.users);
    let first = first_batch(request)?;
    cursor::open(context.state, cursor, first, false)
}

/// The `batchSize` of a command's `cursor`.
pub(super) fn first_batch(request: &answer::Request) -> Answer<usize> {
    let given = request.document("cursor").and_then(|cursor| cursor.get("batchSize").ok().flatten());
    match given.map(answer::whole_number) {
        None => Ok(FIRST_BATCH),
        Some(size) => size
            .and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| Refusal::bad_value("cursor.batchSize must not be negative")),
    }
}

fn short(entry: &RawDocument) -> RawDocumentBuf {
    let mut short = RawDocumentBuf::new();
    entry
        .iter()
        .flatten()
        .filter(|(name, _)| matches!(name.as_str(), "name" | "type"))
        .for_each(|(name, value)| short.append(name, value));
    short
}

/// A collection as `listCollections` shows it.
pub(in super::super) fn entry(name: &str, collection: &Collection) -> RawDocumentBuf {
    let kind = match collection.kind {
        Kind::Collection => "collection",
        Kind::View => "view",
        Kind::Timeseries => "timeseries",
    };
    let mut entry = rawdoc! { "name": name, "type": kind, "options": collection.options.clone() };
    if collection.kind == Kind::Collection {
        entry.append(
            cstr!("info"),
            rawdoc! { "readOnly": false, "uuid": bson::Binary::from(collection.uuid) },
        );
        if let Some(index) = collection.indexes.iter().find(|index| index.name == "_id_") {
            entry.append(cstr!("idIndex"), index.spec.clone());
        }
    } else {
        entry.append(cstr!("info"), rawdoc! { "readOnly": collection.kind == Kind::View });
    }
    entry
}

pub(super) fn database_statistics(context: &mut Context<'_>) -> Answer {
    context.demand_in_database(Right::DbStats)?;
    let empty = super::super::state::Collections::new();
    let collections = context.state.databases.get(&context.request.database).unwrap_or(&empty);
    let count = |kind| {
        collections.values().filter(|collection| (collection.kind == Kind::Collection) == kind).count()
    };
    let size = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let bytes: usize = collections.values().map(Collection::bytes).sum();
    Ok(rawdoc! {
        "db": context.request.database.as_str(),
        "collections": size(count(true)),
        "views": size(count(false)),
        "objects": size(collections.values().map(Collection::len).sum()),
        "dataSize": size(bytes),
        "storageSize": size(bytes),
        "indexes": size(collections.values().map(|collection| collection.indexes.len()).sum()),
        "indexSize": 0_i64,
        "totalSize": size(bytes),
        "scaleFactor": 1_i64,
        "ok": 1.0,
    })
}

pub(super) fn statistics(context: &mut Context<'_>) -> Answer {
    context.demand(Right::CollStats)?;
    let namespace = context.namespace()?;
    let name = context.request.required_collection()?;
    let statistics = match context.state.find(&context.request.database, name) {
        Some(found) => collection::statistics(&namespace, found),
        None => collection::statistics(&namespace, &Collection::new(Kind::Collection, RawDocumentBuf::new())),
    };
    Ok(answer::with(statistics, cstr!("ok"), 1.0))
}

pub(super) fn drop(context: &mut Context<'_>) -> Answer {
    context.request.only(&["collectionUUID"])?;
    context.demand(Right::Drop)?;
    let namespace = context.namespace()?;
    let name = context.request.required_collection()?.to_owned();
    let database = &context.request.database;
    let indexes = context.state.required(database, &name)?.indexes.len();
    if name.starts_with("system.") && !name.starts_with("system.buckets.") && name != "system.js" {
        let message = format!("cannot drop system collection {namespace}");
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    remove(context.state, database, &name);
    Ok(rawdoc! { "nIndexesWas": i32::try_from(indexes).unwrap_or(0), "ns": namespace, "ok": 1.0 })
}

/// Removes a collection with what stands elsewhere of it: a view's definition, a time series' buckets.
pub(super) fn remove(state: &mut super::super::state::State, database: &str, name: &str) {
    let Some(removed) = state.remove(database, name) else { return };
    if removed.kind == Kind::Timeseries {
        state.remove(database, &format!("system.buckets.{name}"));
    }
    if removed.kind != Kind::Collection
        && let Some(views) = state.find_mut(database, "system.views")
    {
        let id = format!("{database}.{name}");
        views.remove(&super::super::order::key(bson::RawBsonRef::String(&id)));
    }
}

pub(super) fn drop_database(context: &mut Context<'_>) -> Answer {
    context.request.only(&[])?;
    context.demand_in_database(Right::DropDatabase)?;
    let database = context.request.database.as_str();
    if matches!(database, "admin" | "config" | "local") {
        let message = format!("Dropping the '{database}' database is prohibited.");
        return Err(Refusal::new(20, "IllegalOperation", message));
    }
    Ok(match context.state.databases.remove(database) {
        Some(_) => rawdoc! { "dropped": database, "ok": 1.0 },
        None => super::ok(),
    })
}
