//! `find`, `getMore`, `killCursors`.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Timestamp, rawdoc};

use super::super::answer::{Answer, Refusal, Request, whole_number};
use super::super::collection::{Collection, Kind};
use super::super::cursor::{self, Cursor, FIRST_BATCH, Plan};
use super::super::matching;
use super::super::rights::Right;
use super::Context;

const FIELDS: [&str; 14] = [
    "filter",
    "projection",
    "sort",
    "hint",
    "skip",
    "limit",
    "batchSize",
    "singleBatch",
    "noCursorTimeout",
    "allowDiskUse",
    "allowPartialResults",
    "showRecordId",
    "collation",
    "rawData",
];

pub(super) fn find(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&FIELDS)?;
    let database = request.database.clone();
    let name = request.required_collection()?.to_owned();
    context.demand(Right::Find)?;
    for absent in ["projection", "collation"] {
        if request.document(absent).is_some_and(|given| !given.is_empty()) {
            return Err(Refusal::not_here(&format!("find with {absent}")));
        }
    }
    if request.number("skip")?.is_some_and(|skip| skip != 0) || request.flag("showRecordId") {
        return Err(Refusal::not_here("find with skip or showRecordId"));
    }
    let filter = request.document("filter").map(ToOwned::to_owned).unwrap_or_default();
    matching::check(&filter)?;
    let limit = request.number("limit")?.unwrap_or(0);
    let single = request.flag("singleBatch") || limit < 0;
    let limit = usize::try_from(limit.unsigned_abs()).unwrap_or(usize::MAX);
    let size = |size: i64| {
        usize::try_from(size)
            .map_err(|_| Refusal::new(51024, "Location51024", "BSON field 'batchSize' value must be >= 0"))
    };
    let batch = request.number("batchSize")?.map(size).transpose()?;
    let (collection, plan) = target(context, &database, &name)?;
    let at = snapshot(context)?;
    let mut cursor = Cursor {
        database: database.clone(),
        collection: name,
        uuid: collection.map(|collection| collection.1),
        plan,
        filter,
        left: if limit == 0 { usize::MAX } else { limit },
        batch,
        owner: context.session.users.clone(),
    };
    if let Some(at) = at {
        freeze(context, &mut cursor, at)?;
    }
    let mut reply = cursor::open(context.state, cursor, batch.unwrap_or(FIRST_BATCH), single)?;
    if let Some(at) = at {
        reply = stamped(&reply, at);
    }
    Ok(reply)
}

type Target = (Option<(String, bson::Uuid)>, Plan);

/// What is read and in which order; nothing at all of a collection that is not there.
fn target(context: &Context<'_>, database: &str, name: &str) -> Answer<Target> {
    let Some(collection) = context.state.find(database, name) else {
        return Ok((None, Plan::Fixed(std::collections::VecDeque::new())));
    };
    match collection.kind {
        Kind::Collection => {}
        Kind::View => {
            let empty = collection.options.get_array("pipeline").is_ok_and(bson::RawArray::is_empty);
            if !empty {
                return Err(Refusal::not_here("a view's pipeline"));
            }
            let on = collection.options.get_str("viewOn").unwrap_or_default().to_owned();
            return target(context, database, &on);
        }
        Kind::Timeseries => return Err(Refusal::not_here("measurements; read system.buckets.*")),
    }
    let plan = plan(context.request, collection)?;
    Ok((Some((name.to_owned(), collection.uuid)), plan))
}

fn plan(request: &Request, collection: &Collection) -> Answer<Plan> {
    let by_sort = match request.document("sort") {
        Some(sort) if !sort.is_empty() => Some(order_of(sort)?),
        _ => None,
    };
    let by_hint = match request.get("hint") {
        None => None,
        Some(RawBsonRef::Document(hint)) if hint.is_empty() => None,
        Some(RawBsonRef::Document(hint)) => Some(order_of(hint)?),
        Some(RawBsonRef::String("_id_")) => Some((true, false)),
        Some(hint) => {
            let known =
                hint.as_str().is_some_and(|name| collection.indexes.iter().any(|index| index.name == name));
            return Err(if known {
                Refusal::not_here("a hint at an index other than _id_")
            } else {
                Refusal::bad_value("hint provided does not correspond to an existing index")
            });
        }
    };
    let clustered = collection.option("clusteredIndex").is_some();
    let (by_id, backwards) = by_sort.or(by_hint).unwrap_or((clustered, false));
    Ok(if by_id || clustered {
        Plan::ById { last: None, backwards }
    } else {
        Plan::Natural { last: None, backwards }
    })
}

/// `{_id: ±1}` or `{$natural: ±1}`: whether it is the former, and whether backwards.
fn order_of(order: &RawDocument) -> Answer<(bool, bool)> {
    let mut fields = order.iter().flatten();
    let (Some((name, direction)), None) = (fields.next(), fields.next()) else {
        return Err(Refusal::not_here("an order by several fields"));
    };
    let backwards = whole_number(direction).is_some_and(i64::is_negative);
    match name.as_str() {
        "_id" => Ok((true, backwards)),
        "$natural" => Ok((false, backwards)),
        other => Err(Refusal::not_here(&format!("an order by {other}"))),
    }
}

/// The time that a read concern `snapshot` reads at.
fn snapshot(context: &mut Context<'_>) -> Answer<Option<Timestamp>> {
    let Some(concern) = context.request.document("readConcern").map(ToOwned::to_owned) else {
        return Ok(None);
    };
    let level = concern.get_str("level").unwrap_or("local");
    match level {
        "local" | "available" | "majority" | "linearizable" => return Ok(None),
        "snapshot" => {}
        other => {
            let message =
                format!("Enumeration value '{other}' for field 'readConcern.level' is not a valid value.");
            return Err(Refusal::bad_value(message));
        }
    }
    if context.shared.settings.replica_set.is_none() {
        let message = "node needs to be a replica set member to use read concern";
        return Err(Refusal::new(123, "NotAReplicaSet", message));
    }
    if context.shared.settings.version.0 < 5 {
        let message = "readConcern level snapshot is only valid in a transaction";
        return Err(Refusal::new(72, "InvalidOptions", message));
    }
    Ok(Some(concern.get_timestamp("atClusterTime").unwrap_or_else(|_| context.state.freeze())))
}

/// Reads what was there at that time, instead of what is.
fn freeze(context: &Context<'_>, cursor: &mut Cursor, at: Timestamp) -> Answer<()> {
    let mut documents = context.state.frozen(at, &cursor.namespace())?;
    if let Plan::ById { backwards, .. } = cursor.plan {
        documents
            .sort_by_cached_key(|document| document.get("_id").ok().flatten().map(super::super::order::key));
        if backwards {
            documents.reverse();
        }
    }
    let mut passing = std::collections::VecDeque::new();
    for document in documents {
        if matching::matches(&cursor.filter, &document)? {
            passing.push_back(document);
        }
    }
    cursor.plan = Plan::Fixed(passing);
    cursor.uuid = None;
    Ok(())
}

fn stamped(reply: &RawDocument, at: Timestamp) -> RawDocumentBuf {
    let mut cursor = reply.get_document("cursor").map(ToOwned::to_owned).unwrap_or_default();
    cursor.append(cstr!("atClusterTime"), at);
    rawdoc! { "cursor": cursor, "ok": 1.0 }
}

pub(super) fn get_more(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["collection", "batchSize", "term", "lastKnownCommittedOpTime"])?;
    let id = request.subject().and_then(whole_number).unwrap_or_default();
    let missing = || Refusal::new(43, "CursorNotFound", format!("cursor id {id} not found"));
    let mut cursor = context.state.cursors.remove(&id).ok_or_else(missing)?;
    let mine = cursor.owner == context.session.users;
    let same =
        cursor.database == request.database && Some(cursor.collection.as_str()) == request.text("collection");
    if !mine || !same {
        let refusal = if same { "was not created by this user" } else { "belongs to a different namespace" };
        context.state.cursors.insert(id, cursor);
        return Err(Refusal::new(13, "Unauthorized", format!("cursor id {id} {refusal}")));
    }
    let most = request.number("batchSize")?.and_then(|size| usize::try_from(size).ok());
    let most = most.filter(|most| *most > 0).or(cursor.batch.filter(|most| *most > 0)).unwrap_or(usize::MAX);
    let (batch, more) = cursor.take(context.state, most)?;
    let namespace = cursor.namespace();
    if more {
        context.state.cursors.insert(id, cursor);
    }
    let id = if more { id } else { 0 };
    Ok(rawdoc! { "cursor": cursor::batch_of(&batch, "nextBatch", id, &namespace), "ok": 1.0 })
}

pub(super) fn kill(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["cursors"])?;
    let wrong = || Refusal::new(14, "TypeMismatch", "cursors must be an array of numbers");
    let ids = request.get("cursors").and_then(RawBsonRef::as_array).ok_or_else(wrong)?;
    let (mut killed, mut missing) = (RawArrayBuf::new(), RawArrayBuf::new());
    for id in ids.into_iter().flatten().filter_map(whole_number) {
        match context.state.cursors.remove(&id) {
            Some(_) => killed.push(id),
            None => missing.push(id),
        }
    }
    Ok(rawdoc! {
        "cursorsKilled": killed,
        "cursorsNotFound": missing,
        "cursorsAlive": RawArrayBuf::new(),
        "cursorsUnknown": RawArrayBuf::new(),
        "ok": 1.0,
    })
}
