//! Documents as attributes: text as long as it is short, compressed when it is not.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use respaldo_core::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text longer than this is compressed: an item is billed by the kilobyte.
const COMPRESSED_FROM_BYTES: usize = 2 * 1024;
/// An attribute may have this many bytes: an item may have 400 KB in all.
pub(super) const LARGEST_BYTES: usize = 300 * 1024;
/// Quick, and good enough for JSON.
const LEVEL: i32 = 3;

/// Text, in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packed {
    /// As it is.
    Text(String),
    /// Compressed (zstd).
    Bytes(Vec<u8>),
}

impl Packed {
    pub(super) fn of(text: String) -> Result<Self> {
        if text.len() <= COMPRESSED_FROM_BYTES {
            return Ok(Self::Text(text));
        }
        let packed = zstd::bulk::compress(text.as_bytes(), LEVEL);
        packed.map(Self::Bytes).map_err(|error| Error::internal("compress a record", error))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether it fits into an item.
    pub(super) fn fits(&self) -> bool {
        self.len() <= LARGEST_BYTES
    }

    pub(super) fn into_attribute(self) -> AttributeValue {
        match self {
            Self::Text(text) => AttributeValue::S(text),
            Self::Bytes(bytes) => AttributeValue::B(Blob::new(bytes)),
        }
    }
}

/// The text of an attribute that [`Packed`] made.
pub(super) fn unpack(attribute: &AttributeValue) -> Result<String> {
    match attribute {
        AttributeValue::S(text) => Ok(text.clone()),
        AttributeValue::B(bytes) => inflate(bytes.as_ref()),
        _ => Err(corrupt("neither text nor bytes")),
    }
}

/// The text that was compressed into these bytes.
pub(super) fn inflate(bytes: &[u8]) -> Result<String> {
    let bytes = zstd::stream::decode_all(bytes).map_err(corrupt)?;
    String::from_utf8(bytes).map_err(corrupt)
}

/// A record as JSON.
pub(super) fn write(record: &impl Serialize) -> Result<String> {
    serde_json::to_string(record).map_err(|error| Error::internal("write a record", error))
}

/// A record from JSON.
pub(super) fn read<T: DeserializeOwned>(document: &str) -> Result<T> {
    serde_json::from_str(document).map_err(corrupt)
}

fn corrupt(why: impl std::fmt::Display) -> Error {
    let why = format!("it is not what this version writes: {why}");
    Error::new(ErrorKind::Corrupt, "read a record of the catalog", why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_comes_back_whether_or_not_it_is_compressed(text in "\\PC{0,4000}") {
            let packed = Packed::of(text.clone()).unwrap();
            prop_assert_eq!(matches!(packed, Packed::Text(_)), text.len() <= COMPRESSED_FROM_BYTES);
            prop_assert_eq!(unpack(&packed.into_attribute()).unwrap(), text);
        }
    }

    #[test]
    fn bytes_that_nobody_packed_are_told_as_corrupt() {
        let error = unpack(&AttributeValue::B(Blob::new("no zstd"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}
