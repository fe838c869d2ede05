//! The document that begins a block.

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use super::namespace::Namespace;
use crate::engine::wording::{invalid, one_line};
use crate::error::Result;

/// Whose documents follow, or that no more will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) namespace: Namespace,
    /// The checksum of all documents of the namespace, if this block ends it.
    pub(super) end: Option<u64>,
}

impl BlockHeader {
    /// Reads what stands in front of a block. Like `mongorestore`, it takes no field that it does not know.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let document = RawDocument::from_bytes(bytes).map_err(|e| broken(&e.to_string()))?;
        let (mut database, mut collection, mut end, mut crc) = (None, None, None, None);
        for element in document {
            let (key, value) = element.map_err(|e| broken(&e.to_string()))?;
            match (key.as_str(), value) {
                ("db", RawBsonRef::String(name)) => database = Some(name),
                ("collection", RawBsonRef::String(name)) => collection = Some(name),
                ("EOF", RawBsonRef::Boolean(is_end)) => end = Some(is_end),
                ("CRC", RawBsonRef::Int64(sum)) => crc = Some(sum.cast_unsigned()),
                ("db" | "collection" | "EOF" | "CRC", _) => {
                    return Err(broken(&format!("its field {} is of a wrong type", key.as_str())));
                }
                (other, _) => return Err(broken(&format!("it has a field {:?}", one_line(other)))),
            }
        }
        let missing = |name: &str| broken(&format!("it has no field {name}"));
        let database = database.ok_or_else(|| missing("db"))?;
        let collection = collection.ok_or_else(|| missing("collection"))?;
        let namespace = Namespace::new(database, collection)?;
        let ends = end.ok_or_else(|| missing("EOF"))?;
        let end = if ends { Some(crc.ok_or_else(|| missing("CRC"))?) } else { None };
        Ok(Self { namespace, end })
    }

    /// The same bytes as `mongodump` writes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("db"), self.namespace.database());
        document.append(cstr!("collection"), self.namespace.collection());
        document.append(cstr!("EOF"), self.end.is_some());
        document.append(cstr!("CRC"), self.end.unwrap_or(0).cast_signed());
        document.into_bytes()
    }
}

fn broken(why: &str) -> crate::Error {
    invalid(format!("the archive has a block whose beginning cannot be read: {}", one_line(why)))
}
