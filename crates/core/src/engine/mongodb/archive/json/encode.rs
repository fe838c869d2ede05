//! Text for a document.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::raw::{RawArray, RawBsonRef, RawDocument};

use super::write_text;

/// Servers store nothing that is nested deeper.
const DEEPEST: usize = 200;

/// Appends the canonical text of a document.
pub(in super::super) fn write_document(out: &mut String, document: &RawDocument) -> Result<(), String> {
    document_within(out, document, 0)
}

fn document_within(out: &mut String, document: &RawDocument, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("it is nested deeper than {DEEPEST} levels"));
    }
    out.push('{');
    for (at, element) in document.iter().enumerate() {
        let (key, value) = element.map_err(|e| e.to_string())?;
        if at > 0 {
            out.push(',');
        }
        write_text(out, key.as_str());
        out.push(':');
        write_value(out, value, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

fn array_within(out: &mut String, array: &RawArray, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("it is nested deeper than {DEEPEST} levels"));
    }
    out.push('[');
    for (at, value) in array.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_value(out, value.map_err(|e| e.to_string())?, depth + 1)?;
    }
    out.push(']');
    Ok(())
}

fn write_value(out: &mut String, value: RawBsonRef<'_>, depth: usize) -> Result<(), String> {
    match value {
        RawBsonRef::Document(document) => return document_within(out, document, depth),
        RawBsonRef::Array(array) => return array_within(out, array, depth),
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            out.push_str("{\"$code\":");
            write_text(out, code.code);
            out.push_str(",\"$scope\":");
            document_within(out, code.scope, depth + 1)?;
            out.push('}');
        }
        RawBsonRef::Null => out.push_str("null"),
        RawBsonRef::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
        RawBsonRef::String(text) => write_text(out, text),
        RawBsonRef::JavaScriptCode(code) => wrapped(out, "$code", code),
        RawBsonRef::Symbol(symbol) => wrapped(out, "$symbol", symbol),
        RawBsonRef::Int32(number) => wrapped(out, "$numberInt", &number.to_string()),
        RawBsonRef::Int64(number) => wrapped(out, "$numberLong", &number.to_string()),
        RawBsonRef::Double(number) => wrapped(out, "$numberDouble", &double(number)),
        RawBsonRef::Decimal128(number) => wrapped(out, "$numberDecimal", &number.to_string()),
        RawBsonRef::ObjectId(id) => wrapped(out, "$oid", &id.to_hex()),
        RawBsonRef::Undefined => out.push_str("{\"$undefined\":true}"),
        RawBsonRef::MinKey => out.push_str("{\"$minKey\":1}"),
        RawBsonRef::MaxKey => out.push_str("{\"$maxKey\":1}"),
        RawBsonRef::DateTime(at) => {
            let _ = write!(out, "{{\"$date\":{{\"$numberLong\":\"{}\"}}}}", at.timestamp_millis());
        }
        RawBsonRef::Timestamp(at) => {
            let _ = write!(out, "{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", at.time, at.increment);
        }
        RawBsonRef::Binary(binary) => {
            let (bytes, subtype) = (STANDARD.encode(binary.bytes), u8::from(binary.subtype));
            let _ = write!(out, "{{\"$binary\":{{\"base64\":\"{bytes}\",\"subType\":\"{subtype:02x}\"}}}}");
        }
        RawBsonRef::RegularExpression(regex) => {
            out.push_str("{\"$regularExpression\":{\"pattern\":");
            write_text(out, regex.pattern.as_str());
            out.push_str(",\"options\":");
            write_text(out, regex.options.as_str());
            out.push_str("}}");
        }
        // Its parts cannot be reached otherwise; this is the one type whose own text is canonical.
        pointer @ RawBsonRef::DbPointer(_) => {
            out.push_str(&serde_json::to_string(&pointer).map_err(|e| e.to_string())?);
        }
    }
    Ok(())
}

fn wrapped(out: &mut String, key: &str, text: &str) {
    let _ = write!(out, "{{\"{key}\":");
    write_text(out, text);
    out.push('}');
}

fn double(number: f64) -> String {
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else {
        format!("{number:?}")
    }
}
