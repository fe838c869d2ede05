//! What a test sees behind the server's back.

use std::collections::BTreeMap;

use bson::{RawDocument, RawDocumentBuf};

use super::NotMongod;
use super::answer::{Refusal, Request};
use super::collection::{Collection, Kind};
use super::commands::{self, Session, entry};

/// All that a database holds and that a restore must bring back, comparable with `==`; no uuid.
#[derive(Clone, PartialEq, Default)]
pub struct Snapshot(pub BTreeMap<String, Content>);

/// What a collection, view or time series holds.
#[derive(Clone, PartialEq)]
pub struct Content {
    /// `collection`, `view` or `timeseries`.
    pub kind: String,
    /// As `listCollections` shows them.
    pub options: RawDocumentBuf,
    /// As `listIndexes` shows them, in the order of their names.
    pub indexes: Vec<RawDocumentBuf>,
    /// The documents' bytes, in the order of insertion.
    pub documents: Vec<RawDocumentBuf>,
}

impl Snapshot {
    /// What is different, in words; empty if nothing is.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        let mut found = Vec::new();
        for name in names {
            match (self.0.get(name), other.0.get(name)) {
                (Some(a), Some(b)) => a.differences(b, name, &mut found),
                (Some(_), None) => found.push(format!("{name}: only in the first")),
                _ => found.push(format!("{name}: only in the second")),
            }
        }
        found
    }
}

impl std::fmt::Debug for Snapshot {
    /// Names and numbers: documents may be large.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |content: &Content| format!("{}, {} documents", content.kind, content.documents.len());
        f.debug_map().entries(self.0.iter().map(|(name, content)| (name, short(content)))).finish()
    }
}

impl Content {
    fn differences(&self, other: &Self, name: &str, found: &mut Vec<String>) {
        if self.kind != other.kind {
            found.push(format!("{name}: {} and {}", self.kind, other.kind));
        }
        if self.options != other.options {
            found.push(format!("{name}: options {} and {}", shown(&self.options), shown(&other.options)));
        }
        if self.indexes != other.indexes {
            let list = |specs: &[RawDocumentBuf]| specs.iter().map(shown).collect::<Vec<_>>().join(", ");
            found.push(format!("{name}: indexes [{}] and [{}]", list(&self.indexes), list(&other.indexes)));
        }
        if self.documents.len() != other.documents.len() {
            found.push(format!("{name}: {} and {} documents", self.documents.len(), other.documents.len()));
        }
        let differing = self.documents.iter().zip(&other.documents).position(|(a, b)| a != b);
        if let Some(place) = differing {
            let id = self.documents[place].get("_id");
            found.push(format!("{name}: document {place} ({id:?}) is another"));
        }
    }
}

/// For people; what cannot be read is shown as bytes.
fn shown(document: &RawDocumentBuf) -> String {
    bson::Document::try_from(document.as_ref())
        .map_or_else(|_| format!("{document:?}"), |document| document.to_string())
}

impl NotMongod {
    /// All collections of a database, but for those that only mirror others (`system.views`).
    pub fn snapshot(&self, database: &str) -> Snapshot {
        let state = self.shared.state();
        let collections = state.databases.get(database).into_iter().flatten();
        let kept = collections.filter(|(name, _)| name.as_str() != "system.views");
        Snapshot(kept.map(|(name, collection)| (name.clone(), content(name, collection))).collect())
    }

    /// The names of all databases but for the server's own: `admin`, `config` and `local`.
    pub fn databases(&self) -> Vec<String> {
        let state = self.shared.state();
        let names =
            state.databases.keys().filter(|name| !matches!(name.as_str(), "admin" | "config" | "local"));
        names.cloned().collect()
    }

    /// The documents of a collection in the order of insertion; none if there is no such collection.
    pub fn documents(&self, database: &str, collection: &str) -> Vec<RawDocumentBuf> {
        let state = self.shared.state();
        let found = state.find(database, collection);
        found.into_iter().flat_map(Collection::documents).map(|document| document.as_ref().clone()).collect()
    }

    /// Puts documents into a collection as they are, made if it is missing, unchecked but for unique indexes.
    pub fn load(
        &self,
        database: &str,
        collection: &str,
        documents: impl IntoIterator<Item = RawDocumentBuf>,
    ) {
        let mut state = self.shared.state();
        let namespace = format!("{database}.{collection}");
        if state.find(database, collection).is_none() {
            let made = Collection::new(Kind::Collection, RawDocumentBuf::new());
            state
                .add(database, collection, made)
                .unwrap_or_else(|refusal| panic!("{namespace}: {}", refusal.message));
        }
        let found = state.find_mut(database, collection).expect("it was made if it was missing");
        for document in documents {
            found
                .store(&namespace, document)
                .unwrap_or_else(|refusal| panic!("{namespace}: {}", refusal.message));
        }
    }

    /// Runs a command as if a logged-in administrator had sent it, without the wire.
    ///
    /// Panics when it is refused.
    pub fn run(&self, database: &str, command: &RawDocument) -> RawDocumentBuf {
        self.try_run(database, command).unwrap_or_else(|refusal| panic!("{command:?}: {}", refusal.message))
    }

    /// The same; the refusal is the answer.
    pub fn try_run(&self, database: &str, command: &RawDocument) -> Result<RawDocumentBuf, Refusal> {
        commands::run(&self.shared, &mut Session::unchecked(), &Request::of(database, command))
    }
}

fn content(name: &str, collection: &Collection) -> Content {
    let entry = entry(name, collection);
    let mut indexes: Vec<_> = collection.indexes.iter().map(|index| index.spec.clone()).collect();
    indexes.sort_by_key(|spec| spec.get_str("name").unwrap_or_default().to_owned());
    Content {
        kind: entry.get_str("type").unwrap_or_default().to_owned(),
        options: collection.options.clone(),
        indexes,
        documents: collection.documents().map(|document| document.as_ref().clone()).collect(),
    }
}
