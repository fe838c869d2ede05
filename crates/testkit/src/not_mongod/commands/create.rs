//! `create`: collections, views, time series.

use bson::raw::cstr;
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal, Request, key, truth, whole_number};
use super::super::collation;
use super::super::collection::{Collection, Kind};
use super::super::index::Index;
use super::super::rights::Right;
use super::{Context, ok};

/// Options that `create` knows, in the order in which a mongod lists them.
const OPTIONS: [&str; 18] = [
    "capped",
    "size",
    "max",
    "viewOn",
    "pipeline",
    "timeseries",
    "expireAfterSeconds",
    "clusteredIndex",
    "changeStreamPreAndPostImages",
    "validator",
    "validationLevel",
    "validationAction",
    "collation",
    "storageEngine",
    "indexOptionDefaults",
    "idIndex",
    "temp",
    "encryptedFields",
];

pub(super) fn create(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&[&OPTIONS[..], &["flags"]].concat())?;
    context.demand(Right::Create)?;
    for absent in ["storageEngine", "indexOptionDefaults"] {
        let given = request.document(absent).is_some_and(|given| !given.is_empty());
        if given {
            return Err(Refusal::not_here(absent));
        }
    }
    let (database, name) = (request.database.clone(), request.required_collection()?.to_owned());
    if let Some(existing) = context.state.find(&database, &name) {
        let what = if existing.kind == Kind::View { "A view" } else { "Collection" };
        let message = format!("{what} already exists. NS: {database}.{name}");
        return Err(Refusal::new(48, "NamespaceExists", message));
    }
    let options = options(request)?;
    if request.get("viewOn").is_some() {
        view(context, &database, &name, options)?;
    } else if request.get("timeseries").is_some() {
        time_series(context, &database, &name, options)?;
    } else {
        context.state.add(&database, &name, Collection::new(Kind::Collection, options))?;
        clustered(context, &database, &name)?;
    }
    Ok(ok())
}

/// What was asked for, checked, with the defaults that a mongod writes down.
fn options(request: &Request) -> Answer<RawDocumentBuf> {
    check(request)?;
    let mut options = RawDocumentBuf::new();
    for name in OPTIONS {
        let default = match name {
            "validationLevel" => Some(RawBsonRef::String("strict")),
            "validationAction" => Some(RawBsonRef::String("error")),
            _ => None,
        };
        let default = default.filter(|_| request.get("validator").is_some());
        let Some(value) = request.get(name).or(default) else { continue };
        match (name, value) {
            ("idIndex" | "storageEngine" | "indexOptionDefaults", _) => {}
            ("capped" | "temp", flag) if !truth(flag) => {}
            ("collation", RawBsonRef::Document(given)) => {
                if let Some(full) = collation::complete(given)? {
                    options.append(cstr!("collation"), full);
                }
            }
            ("timeseries", RawBsonRef::Document(given)) => {
                options.append(cstr!("timeseries"), time_series_options(given)?);
            }
            ("clusteredIndex", RawBsonRef::Document(given)) => {
                options.append(cstr!("clusteredIndex"), clustered_options(given)?);
            }
            _ => options.append(key(name)?, value),
        }
    }
    Ok(options)
}

fn check(request: &Request) -> Answer<()> {
    let invalid = |message: &str| Err(Refusal::new(72, "InvalidOptions", message));
    let (capped, view) = (request.flag("capped"), request.get("viewOn").is_some());
    let size = request.number("size")?;
    if capped && size.is_none_or(|size| size < 1) {
        return invalid("the 'size' field is required when 'capped' is true");
    }
    if !capped && (size.is_some() || request.get("max").is_some()) {
        return invalid(
            "the 'capped' field needs to be true when either the 'size' or 'max' fields are present",
        );
    }
    if request.get("pipeline").is_some() && !view {
        return invalid("'pipeline' requires 'viewOn' to also be specified");
    }
    if view && (capped || request.get("validator").is_some() || request.get("timeseries").is_some()) {
        return invalid("a view can have neither 'capped' nor 'validator' nor 'timeseries'");
    }
    let expires = request.get("expireAfterSeconds").is_some();
    if expires && request.get("timeseries").is_none() && request.get("clusteredIndex").is_none() {
        return invalid("'expireAfterSeconds' requires 'timeseries' or 'clusteredIndex'");
    }
    let level = request.text("validationLevel").unwrap_or("strict");
    let action = request.text("validationAction").unwrap_or("error");
    if !matches!(level, "off" | "strict" | "moderate") || !matches!(action, "error" | "warn" | "errorAndLog")
    {
        return Err(Refusal::bad_value(format!(
            "validationLevel {level} or validationAction {action} is unknown"
        )));
    }
    Ok(())
}

fn view(context: &mut Context<'_>, database: &str, name: &str, mut options: RawDocumentBuf) -> Answer<()> {
    let on = options.get_str("viewOn").unwrap_or_default().to_owned();
    if options.get_array("pipeline").is_err() {
        options.append(cstr!("pipeline"), RawArrayBuf::new());
    }
    let pipeline = options.get_array("pipeline").map(ToOwned::to_owned).unwrap_or_default();
    refuse_circle(context, (database, name), &on)?;
    context.state.add(database, name, Collection::new(Kind::View, options))?;
    define(context, (database, name), &on, pipeline)
}

/// A view may not read itself, by whatever other views.
fn refuse_circle(context: &Context<'_>, (database, name): (&str, &str), on: &str) -> Answer<()> {
    let mut read = on.to_owned();
    loop {
        if read == name {
            let message = format!("View cycle detected: {database}.{name}");
            return Err(Refusal::new(5, "GraphContainsCycle", message));
        }
        let Some(view) = context.state.find(database, &read).filter(|found| found.kind == Kind::View) else {
            return Ok(());
        };
        read = view.options.get_str("viewOn").unwrap_or_default().to_owned();
    }
}

/// Writes a view's definition where a mongod keeps it.
fn define(
    context: &mut Context<'_>,
    (database, name): (&str, &str),
    on: &str,
    pipeline: RawArrayBuf,
) -> Answer<()> {
    let definition = rawdoc! { "_id": format!("{database}.{name}"), "viewOn": on, "pipeline": pipeline };
    let views = context.state.collection(database, "system.views")?;
    views.store(&format!("{database}.system.views"), definition)
}

fn clustered_options(given: &RawDocument) -> Answer<RawDocumentBuf> {
    let key = given.get_document("key").map_err(|_| Refusal::bad_value("clusteredIndex needs a key"))?;
    let name = given.get_str("name").unwrap_or("_id_");
    if key.as_bytes() != rawdoc! { "_id": 1 }.as_bytes() || !given.get_bool("unique").unwrap_or(false) {
        let message = "The clusteredIndex must have the key {_id: 1} and unique: true";
        return Err(Refusal::new(197, "InvalidIndexSpecificationOption", message));
    }
    Ok(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": name, "unique": true })
}

/// A clustered collection lists its cluster key among its indexes.
fn clustered(context: &mut Context<'_>, database: &str, name: &str) -> Answer<()> {
    let collection = context.state.required(database, name)?;
    let Some(given) = collection.option("clusteredIndex").and_then(RawBsonRef::as_document) else {
        return Ok(());
    };
    let index = Index::clustered(given);
    collection.indexes.push(index);
    Ok(())
}

fn time_series_options(given: &RawDocument) -> Answer<RawDocumentBuf> {
    const KNOWN: [&str; 5] =
        ["timeField", "metaField", "granularity", "bucketMaxSpanSeconds", "bucketRoundingSeconds"];
    if let Some((name, _)) = given.iter().flatten().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
        let message = format!("BSON field 'create.timeseries.{name}' is an unknown field.");
        return Err(Refusal::new(40415, "Location40415", message));
    }
    let time = given.get_str("timeField").map_err(|_| {
        Refusal::new(
            40414,
            "Location40414",
            "BSON field 'create.timeseries.timeField' is missing but a required field",
        )
    })?;
    let mut options = rawdoc! { "timeField": time };
    if let Ok(meta) = given.get_str("metaField") {
        options.append(cstr!("metaField"), meta);
    }
    let rounding = given.get("bucketRoundingSeconds").ok().flatten().and_then(whole_number);
    let span = given.get("bucketMaxSpanSeconds").ok().flatten().and_then(whole_number);
    let granularity = given.get_str("granularity").ok();
    if granularity.is_some() || rounding.is_none() {
        options.append(cstr!("granularity"), granularity.unwrap_or("seconds"));
    }
    let default = match granularity {
        Some("minutes") => 86_400,
        Some("hours") => 2_592_000,
        _ => 3600,
    };
    let seconds = |number: i64| i32::try_from(number).unwrap_or(i32::MAX);
    options.append(cstr!("bucketMaxSpanSeconds"), seconds(span.unwrap_or(default)));
    if let Some(rounding) = rounding {
        options.append(cstr!("bucketRoundingSeconds"), seconds(rounding));
    }
    Ok(options)
}

/// Two collections, as up to MongoDB 8: the buckets, and a view on them.
fn time_series(context: &mut Context<'_>, database: &str, name: &str, options: RawDocumentBuf) -> Answer<()> {
    let series = options.get_document("timeseries").map(ToOwned::to_owned).unwrap_or_default();
    let buckets_name = format!("system.buckets.{name}");
    let schema = rawdoc! { "$jsonSchema": {
        "bsonType": "object",
        "required": ["_id", "control", "data"],
        "properties": {
            "_id": { "bsonType": "objectId" },
            "control": { "bsonType": "object", "required": ["version", "min", "max"] },
            "data": { "bsonType": "object" },
        },
    } };
    let mut buckets = rawdoc! { "validator": schema, "clusteredIndex": true };
    for (option, value) in options.iter().flatten() {
        if option.as_str() != "collation" {
            buckets.append(option, value);
        }
    }
    context.state.add(database, &buckets_name, Collection::new(Kind::Collection, buckets))?;
    let mut view = Collection::new(Kind::Timeseries, options);
    if let Ok(meta) = series.get_str("metaField") {
        view.indexes.push(Index::of_time_series(meta, series.get_str("timeField").unwrap_or_default())?);
    }
    context.state.add(database, name, view)?;
    let mut pipeline = RawArrayBuf::new();
    pipeline.push(rawdoc! { "$_internalUnpackBucket": series });
    define(context, (database, name), &buckets_name, pipeline)
}
