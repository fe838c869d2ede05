//! Options and indexes of a collection: the text of a `.metadata.json` file.

use bson::raw::RawDocumentBuf;

use super::json::{Json, to_document, to_text, write_text};
use crate::engine::wording::{invalid, one_line};
use crate::error::{Error, Result};

/// Options and indexes of a collection, byte by byte as the server told them.
///
/// They are kept as raw documents: the order of keys decides what an index is, and a document may hold a key
/// twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// What the collection was created with, without a name; for a view `viewOn` and `pipeline`.
    pub options: RawDocumentBuf,
    /// The indexes as the server lists them, that of `_id` included. Views have none.
    pub indexes: Vec<RawDocumentBuf>,
    /// The collection's UUID as 32 hexadecimal digits.
    pub uuid: Option<String>,
    /// The collection's name, which its file may hold only in part. Tools before 100.0 did not tell it.
    pub collection_name: Option<String>,
    /// The server's word for the kind of collection.
    pub kind: Option<String>,
    /// What else the text held.
    pub others: RawDocumentBuf,
}

impl Metadata {
    /// Neither options nor indexes.
    pub fn new() -> Self {
        Self {
            options: RawDocumentBuf::new(),
            indexes: Vec::new(),
            uuid: None,
            collection_name: None,
            kind: None,
            others: RawDocumentBuf::new(),
        }
    }

    /// Whether the options are those of a view.
    pub fn is_view(&self) -> bool {
        matches!(self.options.get("viewOn"), Ok(Some(_)))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// `Invalid` says what of it no server's answer can have been.
    pub fn from_json(text: &str) -> Result<Self> {
        let Json::Object(fields) = Json::parse(text).map_err(broken)? else {
            return Err(broken("it is no object"));
        };
        let (mut metadata, mut others) = (Self::new(), Vec::new());
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("options", Json::Object(fields)) => {
                    metadata.options = to_document(&fields).map_err(broken)?;
                }
                ("indexes", Json::Array(items)) => metadata.indexes = indexes(items)?,
                ("uuid", Json::String(text)) => metadata.uuid = Some(text).filter(|text| !text.is_empty()),
                ("collectionName", Json::String(text)) => metadata.collection_name = Some(text),
                ("type", Json::String(text)) => metadata.kind = Some(text),
                ("options" | "indexes", Json::Null) => {}
                ("options" | "indexes" | "uuid" | "collectionName" | "type", _) => {
                    return Err(broken(format!("{key} has a value of a wrong type")));
                }
                (_, value) => others.push((key, value)),
            }
        }
        metadata.others = to_document(&others).map_err(broken)?;
        Ok(metadata)
    }

    /// The text, in canonical extended JSON, its fields in the order of `mongodump`.
    ///
    /// # Errors
    /// `Invalid` for documents that are none.
    pub fn to_json(&self) -> Result<String> {
        let mut out = String::from("{");
        if !self.options.is_empty() {
            out.push_str("\"options\":");
            out.push_str(&to_text(&self.options).map_err(broken)?);
            out.push(',');
        }
        let indexes = self.indexes.iter().map(|index| to_text(index)).collect::<Result<Vec<_>, _>>();
        out.push_str("\"indexes\":[");
        out.push_str(&indexes.map_err(broken)?.join(","));
        out.push(']');
        let named = [("uuid", &self.uuid), ("collectionName", &self.collection_name), ("type", &self.kind)];
        for (key, value) in named {
            if let Some(value) = value {
                out.push_str(&format!(",\"{key}\":"));
                write_text(&mut out, value);
            }
        }
        let others = to_text(&self.others).map_err(broken)?;
        if !self.others.is_empty() {
            out.push(',');
            out.push_str(&others[1..others.len() - 1]);
        }
        out.push('}');
        Ok(out)
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Self::new()
    }
}

fn indexes(items: Vec<Json>) -> Result<Vec<RawDocumentBuf>> {
    let one = |item| match item {
        Json::Object(fields) => to_document(&fields).map_err(broken),
        _ => Err(broken("an index is no object")),
    };
    items.into_iter().map(one).collect()
}

fn broken(why: impl AsRef<str>) -> Error {
    invalid(format!("metadata: {}", one_line(why.as_ref())))
}
