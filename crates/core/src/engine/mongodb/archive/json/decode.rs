//! A document for a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bson::raw::RawDocumentBuf;
use bson::{Decimal128, oid::ObjectId};

use super::Json;

/// How a value begins in a document: its type.
mod tag {
    pub(super) const DOUBLE: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const DOCUMENT: u8 = 0x03;
    pub(super) const ARRAY: u8 = 0x04;
    pub(super) const BINARY: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const OBJECT_ID: u8 = 0x07;
    pub(super) const BOOLEAN: u8 = 0x08;
    pub(super) const DATE: u8 = 0x09;
    pub(super) const NULL: u8 = 0x0a;
    pub(super) const REGEX: u8 = 0x0b;
    pub(super) const DB_POINTER: u8 = 0x0c;
    pub(super) const CODE: u8 = 0x0d;
    pub(super) const SYMBOL: u8 = 0x0e;
    pub(super) const CODE_WITH_SCOPE: u8 = 0x0f;
    pub(super) const INT32: u8 = 0x10;
    pub(super) const TIMESTAMP: u8 = 0x11;
    pub(super) const INT64: u8 = 0x12;
    pub(super) const DECIMAL: u8 = 0x13;
    pub(super) const MAX_KEY: u8 = 0x7f;
    pub(super) const MIN_KEY: u8 = 0xff;
}

type Fields = [(String, Json)];
type Result<T, E = String> = std::result::Result<T, E>;

/// The document for the entries of an object.
pub(in super::super) fn to_document(fields: &Fields) -> Result<RawDocumentBuf> {
    let mut out = Vec::new();
    append_document(&mut out, fields)?;
    RawDocumentBuf::from_bytes(out).map_err(|e| e.to_string())
}

fn append_document(out: &mut Vec<u8>, fields: &Fields) -> Result<()> {
    framed(out, |out| fields.iter().try_for_each(|(key, value)| append_element(out, key, value)))
}

/// A length, what `write` writes, and a final NUL.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    out.push(0);
    set_length(out, start)
}

fn set_length(out: &mut [u8], start: usize) -> Result<()> {
    let length = i32::try_from(out.len() - start).map_err(|_| "it is too long".to_owned())?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn append_element(out: &mut Vec<u8>, key: &str, value: &Json) -> Result<()> {
    let at = out.len();
    out.push(0);
    append_c_string(out, key)?;
    out[at] = append_value(out, value).map_err(|e| format!("{key}: {e}"))?;
    Ok(())
}

/// Appends a value and answers its type.
fn append_value(out: &mut Vec<u8>, value: &Json) -> Result<u8> {
    match value {
        Json::Null => Ok(tag::NULL),
        Json::Bool(value) => {
            out.push(u8::from(*value));
            Ok(tag::BOOLEAN)
        }
        Json::Number(number) => append_number(out, number),
        Json::String(text) => {
            append_string(out, text)?;
            Ok(tag::STRING)
        }
        Json::Array(items) => {
            framed(out, |out| {
                items.iter().enumerate().try_for_each(|(at, item)| append_element(out, &at.to_string(), item))
            })?;
            Ok(tag::ARRAY)
        }
        Json::Object(fields) => match append_typed(out, fields)? {
            Some(tag) => Ok(tag),
            None => append_document(out, fields).map(|()| tag::DOCUMENT),
        },
    }
}

/// A bare number is of the smallest type that holds it.
fn append_number(out: &mut Vec<u8>, number: &serde_json::Number) -> Result<u8> {
    let Some(whole) = number.as_i64() else {
        let double = number.as_f64().ok_or("a number is beyond all types")?;
        out.extend_from_slice(&double.to_le_bytes());
        return Ok(tag::DOUBLE);
    };
    Ok(if let Ok(small) = i32::try_from(whole) {
        out.extend_from_slice(&small.to_le_bytes());
        tag::INT32
    } else {
        out.extend_from_slice(&whole.to_le_bytes());
        tag::INT64
    })
}

/// An object whose first key says that it stands for a value of some type; none if it is just an object.
fn append_typed(out: &mut Vec<u8>, fields: &Fields) -> Result<Option<u8>> {
    let Some((key, value)) = fields.first() else { return Ok(None) };
    let only = || if fields.len() == 1 { Ok(()) } else { Err(format!("{key} does not stand alone")) };
    let tag = match (key.as_str(), value) {
        ("$binary", Json::String(_)) => append_binary(out, fields, "$binary", "$type")?,
        ("$code", _) => return append_code(out, fields).map(Some),
        ("$scope", _) => return Err("$scope has no $code in front of it".to_owned()),
        ("$minKey" | "$maxKey", value) => {
            only()?;
            if number(value) != Some(1) {
                return Err(format!("{key} is not 1"));
            }
            if key == "$minKey" { tag::MIN_KEY } else { tag::MAX_KEY }
        }
        ("$undefined", Json::Bool(true)) => only().map(|()| tag::UNDEFINED)?,
        ("$date", Json::Object(inner)) => {
            only()?;
            out.extend_from_slice(&parsed::<i64>(text_of(inner, "$numberLong")?, "$date")?.to_le_bytes());
            tag::DATE
        }
        ("$date", Json::Number(millis)) => {
            only()?;
            out.extend_from_slice(&millis.as_i64().ok_or("$date is no whole number")?.to_le_bytes());
            tag::DATE
        }
        ("$binary" | "$regularExpression" | "$timestamp" | "$dbPointer", Json::Object(inner)) => {
            only()?;
            append_compound(out, key, inner)?
        }
        (
            "$numberInt" | "$numberLong" | "$numberDouble" | "$numberDecimal" | "$oid" | "$symbol" | "$uuid",
            Json::String(text),
        ) => {
            only()?;
            append_simple(out, key, text)?
        }
        (
            "$numberInt" | "$numberLong" | "$numberDouble" | "$numberDecimal" | "$oid" | "$symbol" | "$uuid"
            | "$date" | "$binary" | "$regularExpression" | "$timestamp" | "$dbPointer" | "$undefined",
            _,
        ) => return Err(format!("{key} has a value of a wrong type")),
        _ => return Ok(None),
    };
    Ok(Some(tag))
}

fn append_simple(out: &mut Vec<u8>, key: &str, text: &str) -> Result<u8> {
    Ok(match key {
        "$numberInt" => {
            out.extend_from_slice(&parsed::<i32>(text, key)?.to_le_bytes());
            tag::INT32
        }
        "$numberLong" => {
            out.extend_from_slice(&parsed::<i64>(text, key)?.to_le_bytes());
            tag::INT64
        }
        "$numberDouble" => {
            out.extend_from_slice(&parsed::<f64>(text, key)?.to_le_bytes());
            tag::DOUBLE
        }
        "$numberDecimal" => {
            out.extend_from_slice(&parsed::<Decimal128>(text, key)?.bytes());
            tag::DECIMAL
        }
        "$oid" => {
            out.extend_from_slice(&object_id(text)?);
            tag::OBJECT_ID
        }
        "$uuid" => {
            let bytes = hex::decode(text.replace('-', "")).ok().filter(|bytes| bytes.len() == 16);
            append_bytes(out, 4, &bytes.ok_or("$uuid is no UUID")?)?;
            tag::BINARY
        }
        _ => {
            append_string(out, text)?;
            tag::SYMBOL
        }
    })
}

fn append_compound(out: &mut Vec<u8>, key: &str, inner: &Fields) -> Result<u8> {
    if inner.len() != 2 {
        return Err(format!("{key} has {} fields instead of 2", inner.len()));
    }
    match key {
        "$binary" => append_binary(out, inner, "base64", "subType"),
        "$regularExpression" => {
            append_c_string(out, text_of(inner, "pattern")?)?;
            append_c_string(out, text_of(inner, "options")?)?;
            Ok(tag::REGEX)
        }
        "$timestamp" => {
            let part = |name: &str| {
                let part = number(field(inner, name)?).and_then(|part| u32::try_from(part).ok());
                part.ok_or_else(|| format!("$timestamp.{name} is no number from 0 to 4294967295"))
            };
            let (time, increment) = (part("t")?, part("i")?);
            out.extend_from_slice(&increment.to_le_bytes());
            out.extend_from_slice(&time.to_le_bytes());
            Ok(tag::TIMESTAMP)
        }
        _ => {
            append_string(out, text_of(inner, "$ref")?)?;
            let id = match field(inner, "$id")? {
                Json::String(id) => id,
                Json::Object(id) => text_of(id, "$oid")?,
                _ => return Err("$dbPointer.$id is no object id".to_owned()),
            };
            out.extend_from_slice(&object_id(id)?);
            Ok(tag::DB_POINTER)
        }
    }
}

fn append_binary(out: &mut Vec<u8>, fields: &Fields, bytes: &str, subtype: &str) -> Result<u8> {
    let bytes = STANDARD.decode(text_of(fields, bytes)?).map_err(|e| format!("$binary: {e}"))?;
    let subtype = u8::from_str_radix(text_of(fields, subtype)?, 16).map_err(|e| format!("$binary: {e}"))?;
    append_bytes(out, subtype, &bytes)?;
    Ok(tag::BINARY)
}

fn append_bytes(out: &mut Vec<u8>, subtype: u8, bytes: &[u8]) -> Result<()> {
    /// Its bytes have a length of their own within the value's.
    const OLD: u8 = 2;
    let length = |extra: usize| i32::try_from(bytes.len() + extra).map_err(|_| "it is too long".to_owned());
    if subtype == OLD {
        out.extend_from_slice(&length(4)?.to_le_bytes());
        out.push(subtype);
        out.extend_from_slice(&length(0)?.to_le_bytes());
    } else {
        out.extend_from_slice(&length(0)?.to_le_bytes());
        out.push(subtype);
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn append_code(out: &mut Vec<u8>, fields: &Fields) -> Result<u8> {
    let code = text_of(fields, "$code")?;
    match fields {
        [_] => {
            append_string(out, code)?;
            Ok(tag::CODE)
        }
        [_, (key, Json::Object(scope))] if key == "$scope" => {
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            append_string(out, code)?;
            append_document(out, scope)?;
            set_length(out, start)?;
            Ok(tag::CODE_WITH_SCOPE)
        }
        _ => Err("$code has something beside it that is no $scope".to_owned()),
    }
}

fn append_string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    let length = i32::try_from(text.len() + 1).map_err(|_| "a text is too long".to_owned())?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

fn append_c_string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    if text.contains('\0') {
        return Err("a name holds a NUL".to_owned());
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

fn field<'a>(fields: &'a Fields, name: &str) -> Result<&'a Json> {
    let found = fields.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value).ok_or_else(|| format!("{name} is missing"))
}

fn text_of<'a>(fields: &'a Fields, name: &str) -> Result<&'a str> {
    match field(fields, name)? {
        Json::String(text) => Ok(text),
        _ => Err(format!("{name} is no text")),
    }
}

/// A whole number, bare or in its canonical form.
fn number(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => number.as_i64(),
        Json::Object(fields) => match fields.as_slice() {
            [(key, Json::String(text))] if key == "$numberInt" || key == "$numberLong" => text.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn parsed<T: std::str::FromStr>(text: &str, key: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{key} holds no such number"))
}

fn object_id(text: &str) -> Result<[u8; 12]> {
    ObjectId::parse_str(text).map(|id| id.bytes()).map_err(|_| "$oid is not 24 hexadecimal digits".to_owned())
}
