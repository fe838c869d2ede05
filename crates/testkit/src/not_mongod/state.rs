//! All that the server holds: databases by name, cursors, and the answers of writes that may be repeated.

use std::collections::BTreeMap;

use bson::{RawDocumentBuf, Timestamp, rawdoc};

use super::answer::{Answer, Refusal};
use super::collection::{Collection, Kind, Stored};
use super::cursor::Cursor;

/// The longest `database.collection`, in bytes.
const MAX_NAMESPACE_BYTES: usize = 255;
/// How many snapshots are kept for reads at an earlier time.
const SNAPSHOTS: usize = 8;

pub(super) type Collections = BTreeMap<String, Collection>;
type Frozen = BTreeMap<String, Vec<Stored>>;

#[derive(Default)]
pub(super) struct State {
    pub(super) databases: BTreeMap<String, Collections>,
    pub(super) cursors: BTreeMap<i64, Cursor>,
    /// Answers by session and transaction number.
    pub(super) answered: BTreeMap<(Vec<u8>, i64), RawDocumentBuf>,
    snapshots: BTreeMap<u64, Frozen>,
    last_cursor: i64,
    clock: u32,
}

impl State {
    /// What a server holds that was just installed.
    pub(super) fn install(&mut self, version: &str) -> Answer<()> {
        let compatible = rawdoc! { "_id": "featureCompatibilityVersion", "version": version };
        self.collection("admin", "system.version")?.store("admin.system.version", compatible)?;
        self.add("config", "system.sessions", Collection::new(Kind::Collection, RawDocumentBuf::new()))?;
        let capped = rawdoc! { "capped": true, "size": 10_485_760 };
        self.add("local", "startup_log", Collection::new(Kind::Collection, capped))
    }

    pub(super) fn find(&self, database: &str, collection: &str) -> Option<&Collection> {
        self.databases.get(database)?.get(collection)
    }

    pub(super) fn find_mut(&mut self, database: &str, collection: &str) -> Option<&mut Collection> {
        self.databases.get_mut(database)?.get_mut(collection)
    }

    pub(super) fn required(&mut self, database: &str, collection: &str) -> Answer<&mut Collection> {
        let namespace = format!("{database}.{collection}");
        self.find_mut(database, collection).ok_or_else(|| Refusal::not_found(&namespace))
    }

    /// The collection, made as a first insertion makes it if it is missing.
    pub(super) fn collection(&mut self, database: &str, name: &str) -> Answer<&mut Collection> {
        if self.find(database, name).is_none() {
            if name.starts_with("system.buckets.") {
                let message = format!("{name} has no time-series collection; create that first");
                return Err(Refusal::new(73, "InvalidNamespace", message));
            }
            self.add(database, name, Collection::new(Kind::Collection, RawDocumentBuf::new()))?;
        }
        self.required(database, name)
    }

    pub(super) fn add(&mut self, database: &str, name: &str, collection: Collection) -> Answer<()> {
        check_database(database)?;
        check_collection(database, name)?;
        let folded = database.to_lowercase();
        let twin = self.databases.keys().find(|other| *other != database && other.to_lowercase() == folded);
        if let Some(twin) = twin {
            let message = format!(
                "db already exists with different case already have: [{twin}] trying to create [{database}]"
            );
            return Err(Refusal::new(13297, "DatabaseDifferCase", message));
        }
        self.databases.entry(database.to_owned()).or_default().insert(name.to_owned(), collection);
        Ok(())
    }

    pub(super) fn remove(&mut self, database: &str, name: &str) -> Option<Collection> {
        let collections = self.databases.get_mut(database)?;
        let removed = collections.remove(name);
        if collections.is_empty() {
            self.databases.remove(database);
        }
        removed
    }

    pub(super) fn keep_cursor(&mut self, cursor: Cursor) -> i64 {
        // Large numbers, so that nobody mistakes them for 32 bits.
        self.last_cursor += 0x1_0000_0001;
        self.cursors.insert(self.last_cursor, cursor);
        self.last_cursor
    }

    /// The cluster's time, a moment later than ever before.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        let seconds = bson::DateTime::now().timestamp_millis() / 1000;
        Timestamp { time: u32::try_from(seconds).unwrap_or(u32::MAX), increment: self.clock }
    }

    /// Keeps what all collections hold now, to be read at that time.
    pub(super) fn freeze(&mut self) -> Timestamp {
        let at = self.tick();
        let mut frozen = Frozen::new();
        for (database, collections) in &self.databases {
            for (name, collection) in collections {
                frozen.insert(format!("{database}.{name}"), collection.documents().cloned().collect());
            }
        }
        self.snapshots.insert(number(at), frozen);
        while self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_first();
        }
        at
    }

    /// What a collection held at a time that [`Self::freeze`] answered.
    pub(super) fn frozen(&self, at: Timestamp, namespace: &str) -> Answer<Vec<Stored>> {
        let message = "Read timestamp is older than the oldest available timestamp";
        let frozen =
            self.snapshots.get(&number(at)).ok_or_else(|| Refusal::new(239, "SnapshotTooOld", message))?;
        Ok(frozen.get(namespace).cloned().unwrap_or_default())
    }

    /// What a restart of the server forgets.
    pub(super) fn restart(&mut self) {
        self.cursors.clear();
        self.snapshots.clear();
    }
}

fn number(at: Timestamp) -> u64 {
    u64::from(at.time) << 32 | u64::from(at.increment)
}

pub(super) fn check_database(name: &str) -> Answer<()> {
    if name.is_empty() || name.len() > 63 || name.contains(['/', '\\', '.', ' ', '"', '$', '\0']) {
        return Err(Refusal::new(73, "InvalidNamespace", format!("Invalid database name: '{name}'")));
    }
    Ok(())
}

pub(super) fn check_collection(database: &str, name: &str) -> Answer<()> {
    const SYSTEM: [&str; 8] =
        ["js", "views", "users", "roles", "version", "profile", "healthlog", "sessions"];
    let wrong = |why: &str| {
        Err(Refusal::new(
            73,
            "InvalidNamespace",
            format!("Invalid namespace specified '{database}.{name}': {why}"),
        ))
    };
    if name.is_empty() || name.starts_with('.') || name.contains(['$', '\0']) {
        return wrong("a collection's name must not be empty, begin with a dot, or contain $ or NUL");
    }
    if database.len() + 1 + name.len() > MAX_NAMESPACE_BYTES {
        return wrong("the namespace is longer than 255 bytes");
    }
    if name.contains(".system.") {
        return Err(Refusal::bad_value(format!("Invalid namespace: {database}.{name}")));
    }
    match name.strip_prefix("system.") {
        Some(rest) if !SYSTEM.contains(&rest) && !rest.starts_with("buckets.") => {
            wrong("that name is the system's")
        }
        _ => Ok(()),
    }
}
