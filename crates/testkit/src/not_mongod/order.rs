//! MongoDB's order of values, as bytes that compare in the same way.
//!
//! Two values are equal in an index exactly when their bytes are: `1`, `1.0` and `NumberLong(1)` are, `0.1` and
//! `NumberDecimal("0.1")` are not. Text is compared byte by byte; a collation is stored and not applied.

use bson::spec::BinarySubtype;
use bson::{RawArray, RawBsonRef, RawDocument};

/// The bytes of a value.
pub(super) fn key(value: RawBsonRef<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, value);
    bytes
}

fn append(out: &mut Vec<u8>, value: RawBsonRef<'_>) {
    out.push(rank(value));
    match value {
        RawBsonRef::Double(number) => double(out, number, 0),
        RawBsonRef::Int32(number) => integer(out, number.into()),
        RawBsonRef::Int64(number) => integer(out, number),
        RawBsonRef::Decimal128(number) => decimal(out, &number.to_string()),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => {
            escaped(out, text.as_bytes());
        }
        RawBsonRef::Document(document) => elements(out, document),
        RawBsonRef::Array(array) => items(out, array),
        RawBsonRef::Binary(binary) => {
            out.extend(u32::try_from(binary.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.push(subtype(binary.subtype));
            out.extend(binary.bytes);
        }
        RawBsonRef::ObjectId(id) => out.extend(id.bytes()),
        RawBsonRef::Boolean(yes) => out.push(u8::from(yes)),
        RawBsonRef::DateTime(date) => out.extend(signed(date.timestamp_millis())),
        RawBsonRef::Timestamp(stamp) => {
            out.extend(stamp.time.to_be_bytes());
            out.extend(stamp.increment.to_be_bytes());
        }
        RawBsonRef::RegularExpression(regex) => {
            escaped(out, regex.pattern.as_str().as_bytes());
            escaped(out, regex.options.as_str().as_bytes());
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => {
            escaped(out, code.code.as_bytes());
            elements(out, code.scope);
        }
        // Their parts are private to the crate; the text form has them all.
        RawBsonRef::DbPointer(pointer) => escaped(out, format!("{pointer:?}").as_bytes()),
        RawBsonRef::Null | RawBsonRef::Undefined | RawBsonRef::MinKey | RawBsonRef::MaxKey => {}
    }
}

fn rank(value: RawBsonRef<'_>) -> u8 {
    match value {
        RawBsonRef::MinKey => 1,
        RawBsonRef::Undefined => 2,
        RawBsonRef::Null => 3,
        RawBsonRef::Double(_) | RawBsonRef::Int32(_) | RawBsonRef::Int64(_) | RawBsonRef::Decimal128(_) => 4,
        RawBsonRef::String(_) | RawBsonRef::Symbol(_) => 5,
        RawBsonRef::Document(_) => 6,
        RawBsonRef::Array(_) => 7,
        RawBsonRef::Binary(_) => 8,
        RawBsonRef::ObjectId(_) => 9,
        RawBsonRef::Boolean(_) => 10,
        RawBsonRef::DateTime(_) => 11,
        RawBsonRef::Timestamp(_) => 12,
        RawBsonRef::RegularExpression(_) => 13,
        RawBsonRef::DbPointer(_) => 14,
        RawBsonRef::JavaScriptCode(_) => 15,
        RawBsonRef::JavaScriptCodeWithScope(_) => 16,
        RawBsonRef::MaxKey => 255,
    }
}

pub(super) fn subtype(subtype: BinarySubtype) -> u8 {
    subtype.into()
}

fn elements(out: &mut Vec<u8>, document: &RawDocument) {
    for (name, value) in document.iter().flatten() {
        // The type comes before the name in MongoDB's order, too.
        out.push(rank(value));
        escaped(out, name.as_str().as_bytes());
        append(out, value);
    }
    out.push(0);
}

fn items(out: &mut Vec<u8>, array: &RawArray) {
    for value in array.into_iter().flatten() {
        append(out, value);
    }
    out.push(0);
}

/// Ends below whatever could follow, so that a prefix comes before what it begins.
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 1]);
}

fn signed(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the rest follows")]
fn integer(out: &mut Vec<u8>, number: i64) {
    let near = number as f64;
    double(out, near, (i128::from(number) - near as i128) as i64);
}

/// The nearest double, then what the number is beyond it.
fn double(out: &mut Vec<u8>, number: f64, beyond: i64) {
    let bits = if number.is_nan() {
        0
    } else {
        let bits = (number + 0.0).to_bits();
        if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
    };
    out.extend(bits.to_be_bytes());
    out.extend(signed(beyond));
    out.push(0);
}

fn decimal(out: &mut Vec<u8>, text: &str) {
    if let Ok(whole) = text.parse() {
        return integer(out, whole);
    }
    let near = text.parse::<f64>().unwrap_or(f64::NAN);
    double(out, near, 0);
    if near.is_finite() && near.fract() != 0.0 && !is_dyadic(near, text) {
        // No double equals this decimal: it is itself alone.
        out.pop();
        out.push(1);
        escaped(out, text.as_bytes());
    }
}

/// Whether the double is what the text says, digit by digit.
fn is_dyadic(near: f64, text: &str) -> bool {
    let exact = format!("{near:.1074}");
    let trim = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    !text.contains(['E', 'e']) && trim(&exact) == trim(text)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, RawBson, doc};

    use super::key;

    fn of(value: impl Into<Bson>) -> Vec<u8> {
        let raw = RawBson::try_from(value.into()).unwrap();
        key(raw.as_raw_bson_ref())
    }

    #[test]
    fn numbers_are_equal_whatever_their_type_and_in_order() {
        assert_eq!(of(1), of(1.0));
        assert_eq!(of(1_i64), of(1.0));
        assert_eq!(of(0.0), of(-0.0));
        assert_eq!(of(1), of("1".parse::<bson::Decimal128>().unwrap()));
        assert_eq!(of(0.5), of("0.5".parse::<bson::Decimal128>().unwrap()));
        assert_ne!(of(0.1), of("0.1".parse::<bson::Decimal128>().unwrap()));
        let rising = [
            of(f64::NAN),
            of(f64::NEG_INFINITY),
            of(i64::MIN),
            of(i64::MIN + 1),
            of(-1.5),
            of(-1),
            of(0),
            of(0.5),
            of(9_007_199_254_740_992_i64),
            of(9_007_199_254_740_993_i64),
            of(i64::MAX - 1),
            of(i64::MAX),
            of(f64::INFINITY),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn types_come_in_mongodb_s_order_and_prefixes_first() {
        let rising = [
            of(Bson::MinKey),
            of(Bson::Null),
            of(5),
            of("a"),
            of("a\0"),
            of("ab"),
            of(doc! {}),
            of(doc! { "a": 1 }),
            of(doc! { "a": 1, "b": 1 }),
            of(doc! { "a": 2 }),
            of(Bson::Array(vec![])),
            of(bson::oid::ObjectId::new()),
            of(false),
            of(true),
            of(bson::DateTime::from_millis(-1)),
            of(bson::DateTime::from_millis(1)),
            of(Bson::MaxKey),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b));
    }
}
