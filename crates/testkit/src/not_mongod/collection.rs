//! One collection: its documents as bytes, in the order in which they came, and its indexes.

use std::collections::BTreeMap;
use std::sync::Arc;

use bson::raw::cstr;
use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, Uuid, oid::ObjectId, rawdoc};

use super::answer::{Answer, Refusal, whole_number};
use super::index::Index;
use super::{matching, order};

/// The largest document that clients may store, in bytes.
pub(super) const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// How deep documents may be nested.
const MAX_DEPTH: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Collection,
    View,
    /// The view that a time-series collection is on its buckets.
    Timeseries,
}

pub(super) type Stored = Arc<RawDocumentBuf>;

pub(super) struct Collection {
    pub(super) uuid: Uuid,
    pub(super) kind: Kind,
    /// What `create` was told, without its name.
    pub(super) options: RawDocumentBuf,
    pub(super) indexes: Vec<Index>,
    documents: BTreeMap<u64, Stored>,
    ids: BTreeMap<Vec<u8>, u64>,
    next: u64,
    bytes: usize,
}

/// What an insertion may be spared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bypass {
    /// The validator.
    pub(super) validation: bool,
    /// That an empty timestamp on the top level becomes the time.
    pub(super) empty_timestamps: bool,
}

impl Collection {
    pub(super) fn new(kind: Kind, options: RawDocumentBuf) -> Self {
        let clustered = options.get("clusteredIndex").is_ok_and(|value| value.is_some());
        let indexes =
            if kind == Kind::Collection && !clustered { vec![Index::of_ids(&options)] } else { Vec::new() };
        Self {
            uuid: Uuid::new(),
            kind,
            options,
            indexes,
            documents: BTreeMap::new(),
            ids: BTreeMap::new(),
            next: 0,
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    /// The length of all documents, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn documents(&self) -> impl DoubleEndedIterator<Item = &Stored> {
        self.documents.values()
    }

    pub(super) fn option(&self, name: &str) -> Option<RawBsonRef<'_>> {
        self.options.get(name).ok().flatten()
    }

    pub(super) fn is_capped(&self) -> bool {
        self.option("capped").is_some_and(super::answer::truth)
    }

    /// The document after a place in the order of insertion, with its own place.
    pub(super) fn after(&self, place: Option<u64>) -> Option<(u64, &Stored)> {
        let from = place.map_or(0, |place| place + 1);
        self.documents.range(from..).next().map(|(place, document)| (*place, document))
    }

    /// The same, backwards.
    pub(super) fn before(&self, place: Option<u64>) -> Option<(u64, &Stored)> {
        let to = place.unwrap_or(u64::MAX);
        self.documents.range(..to).next_back().map(|(place, document)| (*place, document))
    }

    /// The document after an `_id`, in the order of values.
    pub(super) fn after_id(&self, id: Option<&[u8]>) -> Option<(Vec<u8>, &Stored)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = id.map_or(Unbounded, Excluded);
        let (id, place) = self.ids.range::<[u8], _>((from, Unbounded)).next()?;
        Some((id.clone(), self.documents.get(place)?))
    }

    /// The same, backwards.
    pub(super) fn before_id(&self, id: Option<&[u8]>) -> Option<(Vec<u8>, &Stored)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let to = id.map_or(Unbounded, Excluded);
        let (id, place) = self.ids.range::<[u8], _>((Unbounded, to)).next_back()?;
        Some((id.clone(), self.documents.get(place)?))
    }

    /// Stores a document as a mongod would: checked, with its `_id` in front.
    pub(super) fn insert(&mut self, namespace: &str, document: RawDocumentBuf, bypass: Bypass) -> Answer<()> {
        let document = fit(document, bypass.empty_timestamps)?;
        if !bypass.validation && self.option("validationLevel").and_then(RawBsonRef::as_str) != Some("off") {
            self.validate(&document)?;
        }
        self.store(namespace, document)
    }

    fn validate(&self, document: &RawDocument) -> Answer<()> {
        let Some(validator) = self.option("validator").and_then(RawBsonRef::as_document) else {
            return Ok(());
        };
        let only_warns = self.option("validationAction").and_then(RawBsonRef::as_str) == Some("warn");
        if only_warns || matching::matches(validator, document)? {
            return Ok(());
        }
        Err(Refusal::new(121, "DocumentValidationFailure", "Document failed validation"))
    }

    /// Stores the bytes as they are; only what an index forbids is refused.
    pub(super) fn store(&mut self, namespace: &str, document: RawDocumentBuf) -> Answer<()> {
        let id = document.get("_id").ok().flatten().map(order::key);
        if id.as_ref().is_some_and(|id| self.ids.contains_key(id)) {
            return Err(duplicate(namespace, "_id_", "_id"));
        }
        for index in &self.indexes {
            index.check(namespace, &document)?;
        }
        let place = self.next;
        self.next += 1;
        self.bytes += document.as_bytes().len();
        for index in &mut self.indexes {
            index.add(&document, place);
        }
        if let Some(id) = id {
            self.ids.insert(id, place);
        }
        self.documents.insert(place, Arc::new(document));
        self.keep_to_cap();
        Ok(())
    }

    fn keep_to_cap(&mut self) {
        if !self.is_capped() {
            return;
        }
        let limit =
            |name| self.option(name).and_then(whole_number).and_then(|limit| usize::try_from(limit).ok());
        let (bytes, most) = (limit("size").unwrap_or(usize::MAX), limit("max").filter(|most| *most > 0));
        while self.documents.len() > 1 && (self.bytes > bytes || most.is_some_and(|most| self.len() > most)) {
            let Some((_, oldest)) = self.documents.pop_first() else { return };
            self.bytes -= oldest.as_bytes().len();
            if let Some(id) = oldest.get("_id").ok().flatten() {
                self.ids.remove(&order::key(id));
            }
            self.indexes.iter_mut().for_each(|index| index.remove(&oldest));
        }
    }

    /// Removes a document by its `_id`; whether it was there.
    pub(super) fn remove(&mut self, id: &[u8]) -> bool {
        let Some(document) = self.ids.remove(id).and_then(|place| self.documents.remove(&place)) else {
            return false;
        };
        self.bytes -= document.as_bytes().len();
        self.indexes.iter_mut().for_each(|index| index.remove(&document));
        true
    }

    /// Builds an index over what is there.
    pub(super) fn build(&mut self, namespace: &str, mut index: Index) -> Answer<()> {
        for (place, document) in &self.documents {
            index.check(namespace, document)?;
            index.add(document, *place);
        }
        self.indexes.push(index);
        Ok(())
    }
}

pub(super) fn duplicate(namespace: &str, index: &str, keys: &str) -> Refusal {
    let message =
        format!("E11000 duplicate key error collection: {namespace} index: {index} dup key: {{ {keys} }}");
    Refusal::new(11000, "DuplicateKey", message)
}

/// What a mongod does to a document before it stores it.
fn fit(document: RawDocumentBuf, keep_empty_timestamps: bool) -> Answer<RawDocumentBuf> {
    let size = document.as_bytes().len();
    if size > MAX_DOCUMENT_BYTES {
        let message =
            format!("object to insert too large. size in bytes: {size}, max size: {MAX_DOCUMENT_BYTES}");
        return Err(Refusal::new(10334, "BSONObjectTooLarge", message));
    }
    walk(&document, 1)?;
    let mut first = true;
    let (mut id, mut id_leads, mut empty_stamp) = (None, false, false);
    for (name, value) in document.iter().flatten() {
        if name.as_str() == "_id" {
            check_id(value)?;
            if id.is_some() {
                return Err(Refusal::bad_value("can't have multiple _id fields in one document"));
            }
            id_leads = first;
            id = Some(bson::RawBson::from(value));
        } else if let RawBsonRef::Timestamp(stamp) = value {
            empty_stamp |= stamp.time == 0 && stamp.increment == 0;
        }
        first = false;
    }
    let empty_stamp = empty_stamp && !keep_empty_timestamps;
    if id_leads && !empty_stamp {
        return Ok(document);
    }
    let mut fitted = RawDocumentBuf::new();
    match &id {
        Some(id) => fitted.append(cstr!("_id"), id.as_raw_bson_ref()),
        None => fitted.append(cstr!("_id"), ObjectId::new()),
    }
    rewrite(&document, empty_stamp, &fitted)
}

/// Appends the elements, byte for byte, but for `_id` and, where asked, empty timestamps.
fn rewrite(document: &RawDocument, fill_stamps: bool, fitted: &RawDocumentBuf) -> Answer<RawDocumentBuf> {
    const EMPTY_STAMP: [u8; 8] = [0; 8];
    let wrong = |error: bson::error::Error| Refusal::new(22, "InvalidBSON", error.to_string());
    let mut bytes = fitted.as_bytes()[..fitted.as_bytes().len() - 1].to_vec();
    let (mut at, mut increment, mut id) = (4, 0_u32, false);
    for element in document.iter_elements() {
        let element = element.map_err(wrong)?;
        let value = at + 1 + element.key().len() + 1;
        let whole = &document.as_bytes()[at..value + element.size()];
        at = value + element.size();
        if element.key().as_str() == "_id" && !id {
            id = true;
            continue;
        }
        bytes.extend(whole);
        let stamp = element.element_type() == ElementType::Timestamp;
        if fill_stamps && stamp && whole.ends_with(&EMPTY_STAMP) {
            increment += 1;
            let seconds = u32::try_from(bson::DateTime::now().timestamp_millis() / 1000).unwrap_or(u32::MAX);
            bytes.truncate(bytes.len() - EMPTY_STAMP.len());
            bytes.extend([increment.to_le_bytes(), seconds.to_le_bytes()].concat());
        }
    }
    bytes.push(0);
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    RawDocumentBuf::from_bytes(bytes).map_err(wrong)
}

fn check_id(value: RawBsonRef<'_>) -> Answer<()> {
    let kind = match value {
        RawBsonRef::Array(_) => "array",
        RawBsonRef::RegularExpression(_) => "regex",
        RawBsonRef::Undefined => "undefined",
        RawBsonRef::Document(document) => {
            let dollar = document.iter().flatten().find(|(name, _)| name.as_str().starts_with('$'));
            return dollar.map_or(Ok(()), |(name, _)| {
                let message =
                    format!("_id fields may not contain '$'-prefixed fields: {name:?} is not valid");
                Err(Refusal::new(52, "DollarPrefixedFieldName", message))
            });
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(53, "InvalidIdField", format!("The '_id' value cannot be of type {kind}")))
}

/// Looks at every length in the document.
fn walk(document: &RawDocument, depth: usize) -> Answer<()> {
    if depth > MAX_DEPTH {
        let message = format!("Document exceeds maximum nested object depth {MAX_DEPTH}");
        return Err(Refusal::new(15, "Overflow", message));
    }
    let wrong = |error: bson::error::Error| Refusal::new(22, "InvalidBSON", error.to_string());
    for element in document.iter_elements() {
        let element = element.map_err(wrong)?;
        match element.element_type() {
            ElementType::EmbeddedDocument => {
                let value = element.value().map_err(wrong)?;
                value.as_document().map_or(Ok(()), |inner| walk(inner, depth + 1))?;
            }
            ElementType::Array => {
                let bytes = element.value().map_err(wrong)?;
                let array = bytes.as_array().map(bson::RawArray::as_bytes).unwrap_or_default();
                walk(RawDocument::from_bytes(array).map_err(wrong)?, depth + 1)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The statistics of a collection, as `collStats` has them.
pub(super) fn statistics(namespace: &str, collection: &Collection) -> RawDocumentBuf {
    let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    rawdoc! {
        "ns": namespace,
        "count": size(collection.len()),
        "size": size(collection.bytes()),
        "avgObjSize": size(collection.bytes().checked_div(collection.len()).unwrap_or(0)),
        "storageSize": size(collection.bytes()),
        "capped": collection.is_capped(),
        "nindexes": size(collection.indexes.len()),
        "totalIndexSize": 0_i64,
        "totalSize": size(collection.bytes()),
        "scaleFactor": 1,
    }
}
