//! Filters and validators, as far as they are evaluated here: comparisons, `$in`, `$exists`, `$type`, `$and`, `$or`,
//! `$nor`, `$not`, and of `$jsonSchema` the words `required`, `bsonType`, `properties`, `enum`, `minimum`, `maximum`,
//! `minLength`, `maxLength`, `title` and `description`. Whatever else is asked for is refused as not implemented.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::answer::{Answer, Refusal, truth, whole_number};
use super::order;

/// Refuses a filter that is not evaluated here, also where there is nothing to filter.
pub(super) fn check(filter: &RawDocument) -> Answer<()> {
    matches(filter, &RawDocumentBuf::new()).map(drop)
}

/// Whether the document passes the filter.
pub(super) fn matches(filter: &RawDocument, document: &RawDocument) -> Answer<bool> {
    for element in filter {
        let (name, wanted) = element.map_err(|error| Refusal::bad_value(error.to_string()))?;
        let passes = match name.as_str() {
            "$and" => all(wanted, |part| matches(part, document))?,
            "$or" => any(wanted, |part| matches(part, document))?,
            "$nor" => !any(wanted, |part| matches(part, document))?,
            "$comment" => true,
            "$jsonSchema" => schema(part(wanted)?, Some(RawBsonRef::Document(document)))?,
            other if other.starts_with('$') => return Err(Refusal::not_here(other)),
            path => field(wanted, &values(document, path))?,
        };
        if !passes {
            return Ok(false);
        }
    }
    Ok(true)
}

fn part(value: RawBsonRef<'_>) -> Answer<&RawDocument> {
    value.as_document().ok_or_else(|| Refusal::bad_value("a document was expected in the filter"))
}

fn parts(value: RawBsonRef<'_>) -> Answer<Vec<RawBsonRef<'_>>> {
    let array = value.as_array().ok_or_else(|| Refusal::bad_value("an array was expected in the filter"))?;
    array.into_iter().map(|item| item.map_err(|error| Refusal::bad_value(error.to_string()))).collect()
}

fn all<'a>(value: RawBsonRef<'a>, mut passes: impl FnMut(&'a RawDocument) -> Answer<bool>) -> Answer<bool> {
    for item in parts(value)? {
        if !passes(part(item)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any<'a>(value: RawBsonRef<'a>, mut passes: impl FnMut(&'a RawDocument) -> Answer<bool>) -> Answer<bool> {
    for item in parts(value)? {
        if passes(part(item)?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What stands at a dotted path: through arrays it may be several values. None at all: the field is missing.
pub(super) fn values<'a>(document: &'a RawDocument, path: &str) -> Vec<RawBsonRef<'a>> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let found = document.iter().flatten().find(|(key, _)| key.as_str() == name).map(|(_, value)| value);
    let (Some(value), Some(rest)) = (found, rest) else { return found.into_iter().collect() };
    match value {
        RawBsonRef::Document(inner) => values(inner, rest),
        RawBsonRef::Array(items) => {
            let documents = items.into_iter().flatten().filter_map(RawBsonRef::as_document);
            documents.flat_map(|inner| values(inner, rest)).collect()
        }
        _ => Vec::new(),
    }
}

fn field(wanted: RawBsonRef<'_>, found: &[RawBsonRef<'_>]) -> Answer<bool> {
    let operators = wanted.as_document().filter(|document| {
        document.iter().flatten().next().is_some_and(|(name, _)| name.as_str().starts_with('$'))
    });
    let Some(operators) = operators else {
        if matches!(wanted, RawBsonRef::RegularExpression(_)) {
            return Err(Refusal::not_here("a regular expression in a filter"));
        }
        return Ok(equals(wanted, found));
    };
    for element in operators {
        let (name, operand) = element.map_err(|error| Refusal::bad_value(error.to_string()))?;
        if !operator(name.as_str(), operand, found)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn operator(name: &str, operand: RawBsonRef<'_>, found: &[RawBsonRef<'_>]) -> Answer<bool> {
    Ok(match name {
        "$eq" => equals(operand, found),
        "$ne" => !equals(operand, found),
        "$gt" => compares(operand, found, std::cmp::Ordering::is_gt),
        "$gte" => compares(operand, found, std::cmp::Ordering::is_ge),
        "$lt" => compares(operand, found, std::cmp::Ordering::is_lt),
        "$lte" => compares(operand, found, std::cmp::Ordering::is_le),
        "$in" => parts(operand)?.into_iter().any(|one| equals(one, found)),
        "$nin" => !parts(operand)?.into_iter().any(|one| equals(one, found)),
        "$exists" => truth(operand) != found.is_empty(),
        "$not" => !field(operand, found)?,
        "$type" => {
            let kinds = if operand.as_array().is_some() { parts(operand)? } else { vec![operand] };
            let mut yes = false;
            for kind in kinds {
                for value in candidates(found) {
                    yes |= is_of_type(kind, value)?;
                }
            }
            yes
        }
        other => return Err(Refusal::not_here(other)),
    })
}

/// The values, and what stands in those that are arrays.
fn candidates<'a>(found: &[RawBsonRef<'a>]) -> Vec<RawBsonRef<'a>> {
    let inner =
        |value: &RawBsonRef<'a>| value.as_array().into_iter().flat_map(|array| array.into_iter().flatten());
    found.iter().copied().chain(found.iter().flat_map(inner)).collect()
}

fn equals(wanted: RawBsonRef<'_>, found: &[RawBsonRef<'_>]) -> bool {
    if found.is_empty() {
        return matches!(wanted, RawBsonRef::Null);
    }
    let wanted = order::key(wanted);
    candidates(found).into_iter().any(|value| order::key(value) == wanted)
}

/// Compares with values of the same kind alone, as MongoDB does.
fn compares(wanted: RawBsonRef<'_>, found: &[RawBsonRef<'_>], holds: fn(std::cmp::Ordering) -> bool) -> bool {
    let wanted = order::key(wanted);
    let same_kind = |key: &Vec<u8>| key.first() == wanted.first();
    candidates(found).into_iter().map(order::key).filter(same_kind).any(|key| holds(key.cmp(&wanted)))
}

fn is_of_type(kind: RawBsonRef<'_>, value: RawBsonRef<'_>) -> Answer<bool> {
    let actual = value.element_type();
    if let Some(number) = whole_number(kind) {
        return Ok(i64::from((actual as u8).cast_signed()) == number);
    }
    let name = kind.as_str().ok_or_else(|| Refusal::bad_value("$type takes numbers and names"))?;
    Ok(name == type_name(value) || name == "number" && is_number(value))
}

fn is_number(value: RawBsonRef<'_>) -> bool {
    matches!(type_name(value), "double" | "int" | "long" | "decimal")
}

fn type_name(value: RawBsonRef<'_>) -> &'static str {
    match value {
        RawBsonRef::Double(_) => "double",
        RawBsonRef::String(_) => "string",
        RawBsonRef::Array(_) => "array",
        RawBsonRef::Document(_) => "object",
        RawBsonRef::Boolean(_) => "bool",
        RawBsonRef::Null => "null",
        RawBsonRef::RegularExpression(_) => "regex",
        RawBsonRef::JavaScriptCode(_) => "javascript",
        RawBsonRef::JavaScriptCodeWithScope(_) => "javascriptWithScope",
        RawBsonRef::Int32(_) => "int",
        RawBsonRef::Int64(_) => "long",
        RawBsonRef::Timestamp(_) => "timestamp",
        RawBsonRef::Binary(_) => "binData",
        RawBsonRef::ObjectId(_) => "objectId",
        RawBsonRef::DateTime(_) => "date",
        RawBsonRef::Symbol(_) => "symbol",
        RawBsonRef::Decimal128(_) => "decimal",
        RawBsonRef::Undefined => "undefined",
        RawBsonRef::MaxKey => "maxKey",
        RawBsonRef::MinKey => "minKey",
        RawBsonRef::DbPointer(_) => "dbPointer",
    }
}

/// Whether a value, or its absence, keeps to a `$jsonSchema`.
fn schema(schema_: &RawDocument, value: Option<RawBsonRef<'_>>) -> Answer<bool> {
    let Some(value) = value else { return Ok(true) };
    for element in schema_ {
        let (word, operand) = element.map_err(|error| Refusal::bad_value(error.to_string()))?;
        let holds = match word.as_str() {
            "title" | "description" => true,
            "bsonType" => {
                let kinds = if operand.as_array().is_some() { parts(operand)? } else { vec![operand] };
                let mut yes = false;
                for kind in kinds {
                    yes |= is_of_type(kind, value)?;
                }
                yes
            }
            "required" => {
                let present =
                    |name: &str| value.as_document().is_none_or(|inner| !values_of(inner, name).is_empty());
                parts(operand)?.into_iter().filter_map(RawBsonRef::as_str).all(present)
            }
            "properties" => properties(part(operand)?, value)?,
            "enum" => parts(operand)?.into_iter().any(|one| order::key(one) == order::key(value)),
            "minimum" => !is_number(value) || order::key(value) >= order::key(operand),
            "maximum" => !is_number(value) || order::key(value) <= order::key(operand),
            "minLength" | "maxLength" => length(word.as_str(), operand, value),
            other => return Err(Refusal::not_here(&format!("$jsonSchema with {other}"))),
        };
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn length(word: &str, operand: RawBsonRef<'_>, value: RawBsonRef<'_>) -> bool {
    let (Some(text), Some(limit)) = (value.as_str(), whole_number(operand)) else { return true };
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if word == "minLength" { length >= limit } else { length <= limit }
}

fn properties(properties: &RawDocument, value: RawBsonRef<'_>) -> Answer<bool> {
    let Some(document) = value.as_document() else { return Ok(true) };
    for element in properties {
        let (name, inner) = element.map_err(|error| Refusal::bad_value(error.to_string()))?;
        if !schema(part(inner)?, values_of(document, name.as_str()).first().copied())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The field of exactly this name, dots and all.
fn values_of<'a>(document: &'a RawDocument, name: &str) -> Vec<RawBsonRef<'a>> {
    document.iter().flatten().filter(|(key, _)| key.as_str() == name).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::matches;

    fn document() -> RawDocumentBuf {
        rawdoc! { "_id": 1, "n": 5_i64, "t": "x", "in": { "a": [{ "b": 1 }, { "b": 2 }] }, "none": bson::RawBson::Null }
    }

    #[test]
    fn filters_pass_what_mongodb_lets_pass() {
        for filter in [
            rawdoc! {},
            rawdoc! { "n": 5.0 },
            rawdoc! { "n": { "$gt": 4, "$lte": 5, "$ne": 6 } },
            rawdoc! { "in.a.b": 2 },
            rawdoc! { "in.a.b": { "$nin": [3, 4] } },
            rawdoc! { "none": bson::RawBson::Null },
            rawdoc! { "missing": bson::RawBson::Null },
            rawdoc! { "missing": { "$exists": false } },
            rawdoc! { "n": { "$type": "long" } },
            rawdoc! { "n": { "$type": ["string", "number"] } },
            rawdoc! { "n": { "$type": 18 } },
            rawdoc! { "t": { "$not": { "$gt": 1 } } },
            rawdoc! { "$nor": [{ "n": 1 }, { "t": "y" }] },
            rawdoc! { "$and": [{ "n": 5 }, { "$or": [{ "t": "y" }, { "_id": 1 }] }] },
            rawdoc! { "$jsonSchema": { "required": ["n"], "properties": { "n": { "minimum": 5, "maximum": 5 } } } },
        ] {
            assert!(matches(&filter, &document()).unwrap(), "{filter:?}");
        }
    }

    #[test]
    fn filters_keep_back_what_does_not_fit() {
        for filter in [
            rawdoc! { "n": "5" },
            rawdoc! { "t": { "$gt": 1 } },
            rawdoc! { "in.a.b": 3 },
            rawdoc! { "in.a": 1 },
            rawdoc! { "n": bson::RawBson::Null },
            rawdoc! { "none": { "$exists": false } },
            rawdoc! { "n": { "$type": "int" } },
            rawdoc! { "$or": [{ "n": 1 }, { "t": "y" }] },
            rawdoc! { "$jsonSchema": { "required": ["missing"] } },
            rawdoc! { "$jsonSchema": { "properties": { "t": { "enum": ["y", "z"] } } } },
        ] {
            assert!(!matches(&filter, &document()).unwrap(), "{filter:?}");
        }
    }

    #[test]
    fn what_is_not_evaluated_is_refused() {
        for filter in [
            rawdoc! { "$expr": { "$eq": [1, 1] } },
            rawdoc! { "n": { "$mod": [2, 1] } },
            rawdoc! { "$where": "true" },
            rawdoc! { "$jsonSchema": { "patternProperties": {} } },
        ] {
            assert_eq!(matches(&filter, &document()).unwrap_err().code, 238, "{filter:?}");
        }
    }
}
