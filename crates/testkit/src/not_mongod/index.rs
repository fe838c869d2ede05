//! Indexes: their specifications as they were given, and what unique ones forbid.

use std::collections::{BTreeMap, HashMap};

use bson::raw::cstr;
use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::answer::{Answer, Refusal, truth, whole_number};
use super::{collection, matching, order};

/// What `createIndexes` knows. Others are refused, as a mongod does.
const OPTIONS: [&str; 24] = [
    "key",
    "name",
    "v",
    "unique",
    "sparse",
    "background",
    "hidden",
    "expireAfterSeconds",
    "partialFilterExpression",
    "collation",
    "storageEngine",
    "weights",
    "default_language",
    "language_override",
    "textIndexVersion",
    "2dsphereIndexVersion",
    "bits",
    "min",
    "max",
    "wildcardProjection",
    "prepareUnique",
    "clustered",
    "ns",
    "dropDups",
];

#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) name: String,
    /// As `listIndexes` shows it.
    pub(super) spec: RawDocumentBuf,
    unique: bool,
    sparse: bool,
    paths: Vec<String>,
    partial: Option<RawDocumentBuf>,
    taken: HashMap<Vec<u8>, u64>,
}

impl Index {
    /// The index that every collection has; under the collection's own collation.
    pub(super) fn of_ids(options: &RawDocument) -> Self {
        let mut spec = rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" };
        if let Ok(Some(collation)) = options.get("collation") {
            spec.append(cstr!("collation"), collation);
        }
        // Uniqueness is the collection's own affair.
        Self {
            name: "_id_".to_owned(),
            spec,
            unique: false,
            sparse: false,
            paths: vec!["_id".to_owned()],
            partial: None,
            taken: HashMap::new(),
        }
    }

    /// The key of a clustered collection, which the collection itself watches over.
    pub(super) fn clustered(given: &RawDocument) -> Self {
        let mut spec = given.to_owned();
        spec.append(cstr!("clustered"), true);
        let name = given.get_str("name").unwrap_or("_id_").to_owned();
        Self { name, spec, ..Self::of_ids(&RawDocumentBuf::new()) }
    }

    /// The index that a mongod gives a time series by itself.
    pub(super) fn of_time_series(meta: &str, time: &str) -> Answer<Self> {
        let mut key = RawDocumentBuf::new();
        key.append(super::answer::key(meta)?, 1);
        key.append(super::answer::key(time)?, 1);
        let spec = rawdoc! { "key": key, "name": format!("{meta}_1_{time}_1") };
        Self::parse(&spec, &RawDocumentBuf::new())
    }

    /// Reads a specification, completes it as a mongod does, and refuses what that refuses.
    pub(super) fn parse(given: &RawDocument, collection: &RawDocument) -> Answer<Self> {
        for (option, _) in given.iter().flatten() {
            if !OPTIONS.contains(&option.as_str()) {
                let message = format!("The field '{option}' is not valid for an index specification.");
                return Err(Refusal::new(197, "InvalidIndexSpecificationOption", message));
            }
        }
        let failed = |message: &str| Refusal::new(67, "CannotCreateIndex", message);
        let key = given.get_document("key").map_err(|_| failed("the 'key' field is required"))?;
        let name = given.get_str("name").map_err(|_| failed("the 'name' field is required"))?;
        if name.is_empty() || key.is_empty() {
            return Err(failed("index name and index keys cannot be empty"));
        }
        check_keys(key)?;
        let flag = |option| given.get(option).ok().flatten().is_some_and(truth);
        let spec = complete(given, key, collection)?;
        let partial = given.get_document("partialFilterExpression").ok().map(ToOwned::to_owned);
        if partial.is_some() && flag("sparse") {
            return Err(failed("cannot mix \"partialFilterExpression\" and \"sparse\" options"));
        }
        let paths = key.iter().flatten().map(|(path, _)| path.as_str().to_owned()).collect();
        let (unique, sparse) = (flag("unique"), flag("sparse"));
        Ok(Self { name: name.to_owned(), spec, unique, sparse, paths, partial, taken: HashMap::new() })
    }

    pub(super) fn key(&self) -> Vec<u8> {
        self.spec.get_document("key").map(|key| key.as_bytes().to_vec()).unwrap_or_default()
    }

    /// What makes two indexes on the same keys different ones.
    pub(super) fn signature(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let part = |name| {
            let value = self.spec.get(name).ok().flatten();
            value.map(order::key).unwrap_or_default()
        };
        (self.key(), part("collation"), part("partialFilterExpression"))
    }

    /// Whether the same specification was given once more, however it was put.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let sorted = |spec: &RawDocument| {
            let mut options: Vec<(String, Vec<u8>)> = spec
                .iter()
                .flatten()
                .filter(|(name, _)| !matches!(name.as_str(), "name" | "v" | "background" | "ns"))
                .map(|(name, value)| (name.as_str().to_owned(), order::key(value)))
                .collect();
            options.sort();
            options
        };
        sorted(&self.spec) == sorted(&other.spec)
    }

    /// Whether a unique index lets the document in.
    pub(super) fn check(&self, namespace: &str, document: &RawDocument) -> Answer<()> {
        let taken = self.entries(document)?.iter().any(|entry| self.taken.contains_key(entry));
        if taken {
            return Err(collection::duplicate(namespace, &self.name, &self.paths.join(", ")));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, document: &RawDocument, place: u64) {
        for entry in self.entries(document).unwrap_or_default() {
            self.taken.insert(entry, place);
        }
    }

    pub(super) fn remove(&mut self, document: &RawDocument) {
        for entry in self.entries(document).unwrap_or_default() {
            self.taken.remove(&entry);
        }
    }

    /// The entries of a unique index; others hold none.
    fn entries(&self, document: &RawDocument) -> Answer<Vec<Vec<u8>>> {
        if !self.unique {
            return Ok(Vec::new());
        }
        if let Some(partial) = &self.partial
            && !matching::matches(partial, document)?
        {
            return Ok(Vec::new());
        }
        let mut entries = vec![Vec::new()];
        let mut missing = 0;
        for path in &self.paths {
            let found = matching::values(document, path);
            missing += usize::from(found.is_empty());
            let mut keys: Vec<Vec<u8>> = found.iter().flat_map(|value| each(*value)).collect();
            if keys.is_empty() {
                keys.push(order::key(RawBsonRef::Null));
            }
            keys.sort();
            keys.dedup();
            let joined =
                |entry: &Vec<u8>| keys.iter().map(|key| [entry.as_slice(), key].concat()).collect::<Vec<_>>();
            entries = entries.iter().flat_map(joined).collect();
        }
        if self.sparse && missing == self.paths.len() {
            return Ok(Vec::new());
        }
        Ok(entries)
    }
}

fn each(value: RawBsonRef<'_>) -> Vec<Vec<u8>> {
    match value.as_array() {
        Some(array) if !array.is_empty() => array.into_iter().flatten().map(order::key).collect(),
        _ => vec![order::key(value)],
    }
}

fn check_keys(key: &RawDocument) -> Answer<()> {
    const PLUGINS: [&str; 5] = ["2d", "2dsphere", "text", "hashed", "wildcard"];
    for (path, direction) in key.iter().flatten() {
        let known = match direction {
            RawBsonRef::String(plugin) => PLUGINS.contains(&plugin),
            number => whole_number(number).is_some_and(|number| number != 0),
        };
        if !known {
            let message =
                format!("Values in v:2 index key pattern must be numbers or plugin names: '{path}'");
            return Err(Refusal::new(67, "CannotCreateIndex", message));
        }
        let dollar = path.as_str().split('.').any(|part| part.starts_with('$') && part != "$**");
        if path.as_str().is_empty() || path.as_str().split('.').any(str::is_empty) || dollar {
            let message = format!("Index keys cannot be empty fields or $-prefixed: '{path}'");
            return Err(Refusal::new(67, "CannotCreateIndex", message));
        }
    }
    Ok(())
}

/// The specification as it is stored: `v` first, with what a mongod adds by itself.
fn complete(given: &RawDocument, key: &RawDocument, collection: &RawDocument) -> Answer<RawDocumentBuf> {
    let version = given.get("v").ok().flatten().and_then(whole_number).unwrap_or(2);
    if !matches!(version, 1 | 2) {
        let message = format!("Invalid index specification: v: {version} is not supported");
        return Err(Refusal::new(67, "CannotCreateIndex", message));
    }
    let mut spec = rawdoc! { "v": i32::try_from(version).unwrap_or(2) };
    let has = |option| given.get(option).is_ok_and(|value: Option<RawBsonRef<'_>>| value.is_some());
    let kinds = || key.iter().flatten().filter_map(|(_, direction)| direction.as_str());
    let is_text = kinds().any(|kind| kind == "text");
    spec.append(cstr!("key"), if is_text { text_key(key) } else { key.to_owned() });
    for (option, value) in given.iter().flatten() {
        match (option.as_str(), value) {
            ("v" | "key" | "ns" | "dropDups" | "weights" | "textIndexVersion", _) => {}
            ("collation", RawBsonRef::Document(collation)) => {
                if let Some(full) = super::collation::complete(collation)? {
                    spec.append(option, full);
                }
            }
            _ => spec.append(option, value),
        }
    }
    if is_text {
        text_defaults(&mut spec, given, key)?;
    }
    if kinds().any(|kind| kind == "2dsphere") && !has("2dsphereIndexVersion") {
        spec.append(cstr!("2dsphereIndexVersion"), 3);
    }
    // The collection's own collation holds where none was given; `simple` is how to be without.
    if !has("collation")
        && let Ok(Some(own)) = collection.get("collation")
    {
        spec.append(cstr!("collation"), own);
    }
    Ok(spec)
}

/// A mongod keeps the fields of a text index in its weights.
fn text_key(key: &RawDocument) -> RawDocumentBuf {
    let mut kept = RawDocumentBuf::new();
    let mut words = false;
    for (path, kind) in key.iter().flatten().filter(|(path, _)| path.as_str() != "_ftsx") {
        if kind.as_str() != Some("text") {
            kept.append(path, kind);
        } else if !words {
            words = true;
            kept.append(cstr!("_fts"), "text");
            kept.append(cstr!("_ftsx"), 1);
        }
    }
    kept
}

/// What a text index says of itself beside its key, weights in the order of their names.
fn text_defaults(spec: &mut RawDocumentBuf, given: &RawDocument, key: &RawDocument) -> Answer<()> {
    let mut weights: BTreeMap<String, RawBson> = BTreeMap::new();
    for (path, _) in key.iter().flatten().filter(|(_, kind)| kind.as_str() == Some("text")) {
        if path.as_str() != "_fts" {
            weights.insert(path.as_str().to_owned(), RawBson::Int32(1));
        }
    }
    for (path, weight) in given.get_document("weights").into_iter().flatten().flatten() {
        weights.insert(path.as_str().to_owned(), weight.into());
    }
    let mut kept = RawDocumentBuf::new();
    for (path, weight) in &weights {
        kept.append(super::answer::key(path)?, weight.as_raw_bson_ref());
    }
    for (option, value) in [("default_language", "english"), ("language_override", "language")] {
        if given.get(option).ok().flatten().is_none() {
            spec.append(super::answer::key(option)?, value);
        }
    }
    spec.append(cstr!("weights"), kept);
    let version = given.get("textIndexVersion").ok().flatten();
    spec.append(cstr!("textIndexVersion"), version.unwrap_or(RawBsonRef::Int32(3)));
    Ok(())
}
