//! `insert` and `delete`.

use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal, whole_number};
use super::super::collection::{Bypass, Kind};
use super::super::rights::Right;
use super::super::{matching, order};
use super::{Context, indexes};

/// As many documents as one command may carry.
const MOST: usize = 100_000;

pub(super) fn insert(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    let timestamps_may_stay = match context.shared.settings.version {
        (8.., _, _) => true,
        (7, 0, patch) => patch >= 13,
        (6, 0, patch) => patch >= 17,
        (5, 0, patch) => patch >= 29,
        _ => false,
    };
    let mut fields = vec!["documents", "ordered", "bypassDocumentValidation", "rawData"];
    if timestamps_may_stay {
        fields.push("bypassEmptyTsReplacement");
    }
    request.only(&fields)?;
    context.demand(Right::Insert)?;
    let bypass = Bypass {
        validation: request.flag("bypassDocumentValidation"),
        empty_timestamps: timestamps_may_stay && request.flag("bypassEmptyTsReplacement"),
    };
    if bypass.validation {
        context.demand(Right::Bypass)?;
    }
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    let documents = request.documents("documents")?;
    check_batch(documents.len())?;
    check_target(context, &database, &name)?;
    let namespace = format!("{database}.{name}");
    let ordered = request.get("ordered").is_none() || request.flag("ordered");
    let collection = context.state.collection(&database, &name)?;
    let (mut inserted, mut errors) = (0, RawArrayBuf::new());
    for (place, document) in documents.into_iter().enumerate() {
        match collection.insert(&namespace, document, bypass) {
            Ok(()) => inserted += 1,
            Err(refusal) => {
                errors.push(write_error(place, &refusal));
                if ordered {
                    break;
                }
            }
        }
    }
    Ok(reply(inserted, &errors))
}

fn check_batch(length: usize) -> Answer<()> {
    if length == 0 || length > MOST {
        let message = format!("Write batch sizes must be between 1 and {MOST}. Got {length} operations.");
        return Err(Refusal::new(16, "InvalidLength", message));
    }
    Ok(())
}

fn check_target(context: &Context<'_>, database: &str, name: &str) -> Answer<()> {
    if name.starts_with("system.") && !name.starts_with("system.buckets.") && name != "system.js" {
        let message = format!("cannot write to {database}.{name}");
        return Err(Refusal::new(73, "InvalidNamespace", message));
    }
    match context.state.find(database, name).map(|collection| collection.kind) {
        Some(Kind::View) => Err(indexes::on_view(database, name)),
        Some(Kind::Timeseries) => {
            Err(Refusal::not_here("insertion into a time series; load its buckets (system.buckets.*)"))
        }
        _ => Ok(()),
    }
}

fn write_error(place: usize, refusal: &Refusal) -> RawDocumentBuf {
    rawdoc! {
        "index": i32::try_from(place).unwrap_or(i32::MAX),
        "code": refusal.code,
        "errmsg": refusal.message.as_str(),
    }
}

fn reply(count: i32, errors: &RawArrayBuf) -> RawDocumentBuf {
    let mut reply = rawdoc! { "n": count };
    if !errors.is_empty() {
        reply.append(bson::raw::cstr!("writeErrors"), errors);
    }
    reply.append(bson::raw::cstr!("ok"), 1.0);
    reply
}

pub(super) fn delete(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["deletes", "ordered"])?;
    context.demand(Right::Remove)?;
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    check_target(context, &database, &name)?;
    let deletes = request.documents("deletes")?;
    check_batch(deletes.len())?;
    let Some(collection) = context.state.find_mut(&database, &name) else {
        return Ok(reply(0, &RawArrayBuf::new()));
    };
    let mut deleted = 0;
    for delete in deletes {
        let filter = delete.get_document("q").map_err(|error| Refusal::bad_value(error.to_string()))?;
        matching::check(filter)?;
        let one = delete.get("limit").ok().flatten().and_then(whole_number) == Some(1);
        let mut ids = Vec::new();
        for document in collection.documents() {
            if matching::matches(filter, document)? {
                ids.extend(document.get("_id").ok().flatten().map(order::key));
            }
        }
        for id in ids.into_iter().take(if one { 1 } else { usize::MAX }) {
            deleted += i32::from(collection.remove(&id));
        }
    }
    Ok(reply(deleted, &RawArrayBuf::new()))
}
