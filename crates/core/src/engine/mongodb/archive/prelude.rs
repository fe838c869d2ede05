//! What stands in front of an archive's documents.

use bson::raw::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};

use super::metadata::Metadata;
use super::namespace::Namespace;
use super::{FORMAT_VERSION, MAX_METADATA};
use crate::engine::wording::{invalid, one_line};
use crate::error::{Error, Result};

/// Since this version a server keeps a time series' documents under the series' own name.
const WITHOUT_BUCKETS: [u32; 3] = [8, 3, 0];

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many collections were dumped at once.
    pub concurrent_collections: i32,
    /// The format's version: [`FORMAT_VERSION`].
    pub format_version: String,
    /// The version of the server that was dumped, such as `7.0.14`. It decides where the documents of time
    /// series stand.
    pub server_version: String,
    /// The version of the tool that dumped it, such as `100.10.0`.
    pub tool_version: String,
}

/// What kind of collection a namespace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One that holds documents of its own.
    Collection,
    /// A view. It is declared and ended like a collection, without documents.
    View,
    /// A time series. Its documents are the server's buckets.
    TimeSeries,
}

/// A namespace as the prelude declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    namespace: Namespace,
    kind: Kind,
    size: u64,
    kind_name: Option<String>,
    json: String,
}

impl Header {
    /// A header for an archive that is written here, one collection at a time.
    pub fn new(server_version: impl Into<String>, tool_version: impl Into<String>) -> Self {
        Self {
            concurrent_collections: 1,
            format_version: FORMAT_VERSION.to_owned(),
            server_version: server_version.into(),
            tool_version: tool_version.into(),
        }
    }

    /// Where the documents of a declared namespace stand: for a time series of a server before 8.3 in
    /// `system.buckets.NAME`, else under its own name.
    ///
    /// # Errors
    /// `Invalid` when a bucket's name would be longer than names may be.
    pub fn data_namespace(&self, declared: &Declared) -> Result<Namespace> {
        if declared.kind == Kind::TimeSeries && self.keeps_buckets() {
            return declared.namespace.buckets();
        }
        Ok(declared.namespace.clone())
    }

    /// Like `mongorestore`, which takes a version that it cannot read for an old one.
    fn keeps_buckets(&self) -> bool {
        let bare = self.server_version.split(['-', '+']).next().unwrap_or_default();
        let parts: Option<Vec<u32>> = bare.splitn(3, '.').map(|part| part.parse().ok()).collect();
        parts
            .filter(|parts| parts.len() == 3)
            .is_none_or(|parts| parts.as_slice() < WITHOUT_BUCKETS.as_slice())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut header =
            Self { concurrent_collections: 1, format_version: String::new(), ..Self::new("", "") };
        for field in Fields::of("header", bytes)? {
            match field? {
                ("concurrent_collections", value) => {
                    let number = whole_number(value).and_then(|number| i32::try_from(number).ok());
                    header.concurrent_collections =
                        number.ok_or_else(|| wrong("header", "concurrent_collections"))?;
                }
                ("version", value) => header.format_version = text("header", "version", value)?,
                ("server_version", value) => header.server_version = text("header", "server_version", value)?,
                ("tool_version", value) => header.tool_version = text("header", "tool_version", value)?,
                _ => {}
            }
        }
        if header.format_version != FORMAT_VERSION {
            let found = one_line(&header.format_version);
            return Err(invalid(format!("the archive is of format {found:?}, and only \"0.1\" is known"))
                .with_mend(
                    "upgrade Respaldo, or restore it with the mongorestore that belongs to its mongodump",
                ));
        }
        Ok(header)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("concurrent_collections"), self.concurrent_collections);
        document.append(cstr!("version"), self.format_version.as_str());
        document.append(cstr!("server_version"), self.server_version.as_str());
        document.append(cstr!("tool_version"), self.tool_version.as_str());
        document.into_bytes()
    }
}

impl Kind {
    /// The server's word for it, which is also the archive's.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::View => "view",
            Self::TimeSeries => "timeseries",
        }
    }
}

impl Declared {
    /// A collection with its options and indexes.
    ///
    /// # Errors
    /// `Invalid` when the metadata cannot be written as JSON, or only as more than [`MAX_METADATA`].
    pub fn new(namespace: Namespace, kind: Kind, metadata: &Metadata) -> Result<Self> {
        let json = metadata.to_json()?;
        short_enough(&namespace, &json)?;
        Ok(Self { namespace, kind, size: 0, kind_name: Some(kind.as_str().to_owned()), json })
    }

    /// A namespace that has neither options nor indexes: the oplog, and users and roles of one database.
    pub fn bare(namespace: Namespace) -> Self {
        Self {
            namespace,
            kind: Kind::Collection,
            size: 0,
            kind_name: Some(String::new()),
            json: String::new(),
        }
    }

    /// Its names.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What kind of collection it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The size in bytes that the dump tool told; `mongodump` always writes 0.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The metadata as the archive holds it, the text of a `.metadata.json` file; empty where there is none.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Options and indexes; none for the oplog, users, roles, and a collection that was dropped while it was dumped.
    ///
    /// # Errors
    /// Never for what came out of a [`Parser`](super::Parser): that has read it before.
    pub fn metadata(&self) -> Result<Option<Metadata>> {
        if self.json.is_empty() {
            return Ok(None);
        }
        let named = |e: Error| {
            let collection = one_line(&self.namespace.to_string());
            invalid(format!("the metadata of {collection} cannot be read: {}", e.message()))
        };
        Metadata::from_json(&self.json).map(Some).map_err(named)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "declaration of a collection";
        let (mut database, mut collection, mut json, mut size, mut kind_name) = (None, None, None, 0, None);
        for field in Fields::of(WHAT, bytes)? {
            match field? {
                ("db", value) => database = Some(text(WHAT, "db", value)?),
                ("collection", value) => collection = Some(text(WHAT, "collection", value)?),
                ("metadata", value) => json = Some(text(WHAT, "metadata", value)?),
                ("type", value) => kind_name = Some(text(WHAT, "type", value)?),
                ("size", value) => {
                    let number = whole_number(value).and_then(|number| u64::try_from(number).ok());
                    size = number.ok_or_else(|| wrong(WHAT, "size"))?;
                }
                _ => {}
            }
        }
        let database = database.ok_or_else(|| missing(WHAT, "db"))?;
        let collection = collection.ok_or_else(|| missing(WHAT, "collection"))?;
        let namespace = Namespace::new(database, collection)?;
        let mut declared =
            Self { namespace, kind: Kind::Collection, size, kind_name, json: json.unwrap_or_default() };
        short_enough(&declared.namespace, &declared.json)?;
        let metadata = declared.metadata()?;
        declared.kind = match declared.kind_name.as_deref() {
            Some("view") => Kind::View,
            Some("timeseries") => Kind::TimeSeries,
            // Tools before 100.0 told no type.
            None | Some("") if metadata.as_ref().is_some_and(Metadata::is_view) => Kind::View,
            _ => Kind::Collection,
        };
        Ok(declared)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut document = RawDocumentBuf::new();
        document.append(cstr!("db"), self.namespace.database());
        document.append(cstr!("collection"), self.namespace.collection());
        document.append(cstr!("metadata"), self.json.as_str());
        match i32::try_from(self.size) {
            Ok(size) => document.append(cstr!("size"), size),
            Err(_) => document.append(cstr!("size"), i64::try_from(self.size).unwrap_or(i64::MAX)),
        }
        if let Some(kind) = &self.kind_name {
            document.append(cstr!("type"), kind.as_str());
        }
        document.into_bytes()
    }
}

fn short_enough(namespace: &Namespace, json: &str) -> Result<()> {
    if json.len() <= MAX_METADATA {
        return Ok(());
    }
    let (collection, most) = (one_line(&namespace.to_string()), MAX_METADATA / 1024 / 1024);
    Err(invalid(format!("the metadata of {collection} has more than {most} MiB, which is not supported"))
        .with_mend("make its validator shorter"))
}

/// The fields of a flat document of the prelude.
struct Fields<'a> {
    what: &'static str,
    fields: <&'a RawDocument as IntoIterator>::IntoIter,
}

impl<'a> Fields<'a> {
    fn of(what: &'static str, bytes: &'a [u8]) -> Result<Self> {
        let document = RawDocument::from_bytes(bytes).map_err(|e| unreadable(what, &e.to_string()))?;
        Ok(Self { what, fields: document.iter() })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a str, RawBsonRef<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.fields.next()?;
        Some(
            field
                .map(|(key, value)| (key.as_str(), value))
                .map_err(|e| unreadable(self.what, &e.to_string())),
        )
    }
}

fn text(what: &str, name: &str, value: RawBsonRef<'_>) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(what, name))
}

/// A number that a tool may have written in any type.
fn whole_number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is far from the limits")]
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
        _ => None,
    }
}

fn unreadable(what: &str, why: &str) -> Error {
    invalid(format!("the archive's {what} cannot be read: {}", one_line(why)))
}

fn wrong(what: &str, name: &str) -> Error {
    unreadable(what, &format!("its field {name} has a wrong type or value"))
}

fn missing(what: &str, name: &str) -> Error {
    unreadable(what, &format!("it has no field {name}"))
}
