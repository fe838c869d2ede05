//! `count`, and of `aggregate` what counts: `$match`, `$limit`, `$skip`, `$count`, `$group` that only sums ones,
//! and `$collStats`.

use bson::raw::cstr;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::super::answer::{Answer, Refusal, key, whole_number};
use super::super::collection::{self, Kind, Stored};
use super::super::cursor::{self, Cursor};
use super::super::matching;
use super::super::rights::Right;
use super::{Context, collections, indexes};

pub(super) fn count(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&["query", "limit", "skip", "hint", "fields", "collation"])?;
    context.demand(Right::Find)?;
    let filter = request.document("query").map(ToOwned::to_owned).unwrap_or_default();
    matching::check(&filter)?;
    let mut count = 0;
    for document in source(context)? {
        count += usize::from(matching::matches(&filter, &document)?);
    }
    let bound = |name| Ok(request.number(name)?.and_then(|n| usize::try_from(n.unsigned_abs()).ok()));
    let count = count.saturating_sub(bound("skip")?.unwrap_or(0));
    let count = bound("limit")?.filter(|limit| *limit > 0).map_or(count, |limit| count.min(limit));
    Ok(rawdoc! { "n": i32::try_from(count).unwrap_or(i32::MAX), "ok": 1.0 })
}

/// The documents of the request's collection.
fn source(context: &Context<'_>) -> Answer<Vec<Stored>> {
    let (database, name) = (&context.request.database, context.request.required_collection()?);
    match context.state.find(database, name) {
        None => Ok(Vec::new()),
        Some(found) if found.kind == Kind::Collection => Ok(found.documents().cloned().collect()),
        Some(_) => Err(Refusal::not_here("what a view or a time series shows")),
    }
}

pub(super) fn aggregate(context: &mut Context<'_>) -> Answer {
    let request = context.request;
    request.only(&[
        "pipeline",
        "cursor",
        "explain",
        "allowDiskUse",
        "hint",
        "collation",
        "bypassDocumentValidation",
        "let",
        "fromMongos",
    ])?;
    if request.get("explain").is_some() || request.document("cursor").is_none() {
        let message = "The 'cursor' option is required, except for aggregate with the explain argument";
        return Err(Refusal::new(9, "FailedToParse", message));
    }
    let stages = request.documents("pipeline")?;
    let name = request.required_collection()?.to_owned();
    let asked = stages.first().and_then(|stage| stage.get_document("$collStats").ok());
    let documents = if let Some(asked) = asked {
        let statistics = statistics(context, &name, asked)?;
        through(vec![Stored::new(statistics)], &stages[1..])?
    } else {
        context.demand(Right::Find)?;
        through(source(context)?, &stages)?
    };
    let documents = documents.iter().map(|document| document.as_ref().clone()).collect();
    let mut cursor = Cursor::of(&request.database, &name, documents);
    cursor.owner.clone_from(&context.session.users);
    let first = collections::first_batch(request)?;
    cursor::open(context.state, cursor, first, false)
}

fn statistics(context: &Context<'_>, name: &str, asked: &RawDocument) -> Answer {
    context.demand(Right::CollStats)?;
    let database = &context.request.database;
    let namespace = format!("{database}.{name}");
    let collection = context.state.find(database, name).ok_or_else(|| Refusal::not_found(&namespace))?;
    if collection.kind == Kind::View {
        return Err(indexes::on_view(database, name));
    }
    let mut statistics = rawdoc! { "ns": namespace.as_str() };
    for (part, _) in asked.iter().flatten() {
        match part.as_str() {
            "count" => {
                statistics.append(cstr!("count"), i64::try_from(collection.len()).unwrap_or(i64::MAX));
            }
            "storageStats" => {
                statistics.append(cstr!("storageStats"), collection::statistics(&namespace, collection));
            }
            other => return Err(Refusal::not_here(&format!("$collStats with {other}"))),
        }
    }
    Ok(statistics)
}

fn through(mut documents: Vec<Stored>, stages: &[RawDocumentBuf]) -> Answer<Vec<Stored>> {
    for stage in stages {
        let first = stage.iter().next().and_then(Result::ok);
        let (name, operand) = first.ok_or_else(|| Refusal::bad_value("a stage must have one field"))?;
        let number = || {
            let number = whole_number(operand).and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| Refusal::bad_value("a number was expected"))
        };
        documents = match name.as_str() {
            "$match" => {
                let filter =
                    operand.as_document().ok_or_else(|| Refusal::bad_value("$match takes a document"))?;
                matching::check(filter)?;
                let mut passing = Vec::new();
                for document in documents {
                    if matching::matches(filter, &document)? {
                        passing.push(document);
                    }
                }
                passing
            }
            "$limit" => documents.into_iter().take(number()?).collect(),
            "$skip" => documents.into_iter().skip(number()?).collect(),
            "$count" => counted(documents.len(), operand.as_str().unwrap_or_default(), None)?,
            "$group" => group(documents.len(), operand)?,
            other => return Err(Refusal::not_here(other)),
        };
    }
    Ok(documents)
}

/// Nothing at all is not counted as zero: a mongod answers no document.
fn counted(count: usize, field: &str, id: Option<RawBsonRef<'_>>) -> Answer<Vec<Stored>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut document = RawDocumentBuf::new();
    if let Some(id) = id {
        document.append(cstr!("_id"), id);
    }
    document.append(key(field)?, i32::try_from(count).unwrap_or(i32::MAX));
    Ok(vec![Stored::new(document)])
}

fn group(count: usize, operand: RawBsonRef<'_>) -> Answer<Vec<Stored>> {
    let wrong = || Refusal::not_here("$group that does more than sum ones over all");
    let operand = operand.as_document().ok_or_else(wrong)?;
    let mut fields = operand.iter().flatten();
    let (Some((id_name, id)), Some((field, sum)), None) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(wrong());
    };
    let ones = sum.as_document().and_then(|sum| sum.get("$sum").ok().flatten()).and_then(whole_number);
    let constant = id.as_document().is_none() && id.as_str().is_none();
    if id_name.as_str() != "_id" || !constant || ones != Some(1) {
        return Err(wrong());
    }
    counted(count, field.as_str(), Some(id))
}
