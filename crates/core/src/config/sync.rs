//! How the file's databases meet the catalog's: a three-way merge, one field at a time.
//!
//! A record remembers the fields as the file last had them ([`Database::synced`]). What the file
//! changed since then is applied; everything else is left as the API made it. [`plan`] is pure and
//! [`Step::merge`] applies one step to a record in memory; who calls them validates, stamps and stores.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::Entry;
use crate::model::{Credentials, Database, DatabaseId, EngineKind, Settings};
use crate::{Error, Result};

const USERNAME_VAR: &str = "username_var";
const PASSWORD_VAR: &str = "password_var";
/// Credentials merge as one field: half of a user and half of another open nothing.
const CREDENTIALS: &str = "credentials";
const ENABLED: &str = "enabled";

/// What becomes of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The entry is new.
    Create,
    /// The file changed since it was last applied.
    Update {
        /// The fields whose values change in the record, sorted. None, when the record has them
        /// already: then only the base of the next merge moves.
        changed: Vec<String>,
        /// Those of them that the API had changed too; the file wins.
        overridden: Vec<String>,
    },
    /// The entry left the file: schedules stop, backups stay.
    Disable,
    /// The entry came back: the record that it left is used again.
    Reenable {
        /// The fields whose values change in the record, sorted; `enabled` among them.
        changed: Vec<String>,
    },
    /// There is nothing to do.
    Unchanged,
}

/// One database's part of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What ties the entry to its record.
    pub config_id: String,
    /// The record; none when it is to be created.
    pub database_id: Option<DatabaseId>,
    /// What becomes of it.
    pub action: Action,
    /// Why, in one line.
    pub reason: String,
    settings: Map<String, Value>,
    credentials: Option<Credentials>,
    synced: Option<Map<String, Value>>,
}

/// What applying the file would do; nothing is done yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncPlan {
    /// One step for each entry in the file's order, then one for each record that has left the file.
    /// Records made by API are in none.
    pub steps: Vec<Step>,
}

impl SyncPlan {
    /// The steps that have something to do.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != Action::Unchanged)
    }
}

/// Compares the file's entries with the catalog's databases.
pub fn plan(entries: &[Entry], catalog: &[Database]) -> SyncPlan {
    let mut records: BTreeMap<&str, &Database> = BTreeMap::new();
    let mut by_number: Vec<&Database> = catalog.iter().collect();
    by_number.sort_by_key(|database| database.id);
    for database in &by_number {
        if let Some(config_id) = &database.config_id {
            records.entry(config_id).or_insert(database);
        }
    }
    let listed: HashMap<&str, &Entry> = entries.iter().map(|e| (e.config_id.as_str(), e)).collect();
    let of_file = entries.iter().map(|entry| match records.get(entry.config_id.as_str()) {
        Some(record) => met(entry, record),
        None => created(entry),
    });
    let left = by_number.iter().filter_map(|database| {
        let config_id = database.config_id.as_deref()?;
        (!listed.contains_key(config_id)).then(|| left_file(config_id, database))
    });
    SyncPlan { steps: of_file.chain(left).collect() }
}

impl Step {
    /// The settings and credentials of the record to create.
    ///
    /// # Errors
    /// `Invalid` with the field, when the entry does not make whole settings.
    pub fn new_settings(&self) -> Result<(Settings, Credentials)> {
        let settings = serde_json::from_value(Value::Object(self.settings.clone()))
            .map_err(|error| Error::invalid(format!("databases.{}", self.config_id), error.to_string()))?;
        Ok((settings, self.credentials.clone().unwrap_or_default()))
    }

    /// The fields as the file has them now, to be kept as [`Database::synced`]; none when the entry
    /// has left the file.
    pub fn synced(&self) -> Option<&Map<String, Value>> {
        self.synced.as_ref()
    }

    /// The record with this step applied: its settings, credentials and base of the next merge.
    /// Revision, times and the due index are its keeper's.
    ///
    /// # Errors
    /// `Invalid` with the field that settings refuse.
    pub fn merge(&self, database: &Database) -> Result<Database> {
        let mut merged = database.clone();
        merged.settings = database.settings.patched(&self.settings)?;
        if let Some(credentials) = &self.credentials {
            merged.credentials = credentials.clone();
        }
        merged.synced.clone_from(&self.synced);
        Ok(merged)
    }
}

fn created(entry: &Entry) -> Step {
    Step {
        config_id: entry.config_id.clone(),
        database_id: None,
        action: Action::Create,
        reason: "new in the file".to_owned(),
        settings: entry.settings.clone(),
        credentials: Some(entry.credentials.clone()),
        synced: Some(base(entry)),
    }
}

/// An entry and its record.
fn met(entry: &Entry, record: &Database) -> Step {
    let file = base(entry);
    let mut step = step(&entry.config_id, record);
    match &record.synced {
        Some(synced) if *synced == file => "the file has not changed".clone_into(&mut step.reason),
        Some(synced) => {
            let mut merge = Merge::new(record, &file, synced);
            merge.every_field();
            step.take(merge);
        }
        None => step.take_without_base(entry, record, &file),
    }
    step.synced = Some(file);
    step
}

fn left_file(config_id: &str, record: &Database) -> Step {
    let mut step = step(config_id, record);
    step.synced = None;
    if record.synced.is_some() {
        step.action = Action::Disable;
        step.settings.insert(ENABLED.to_owned(), false.into());
        "it left the file; its backups stay".clone_into(&mut step.reason);
    } else {
        "it is not in the file, and the record was left alone since".clone_into(&mut step.reason);
    }
    step
}

/// A step that does nothing yet.
fn step(config_id: &str, record: &Database) -> Step {
    Step {
        config_id: config_id.to_owned(),
        database_id: Some(record.id),
        action: Action::Unchanged,
        reason: String::new(),
        settings: Map::new(),
        credentials: None,
        synced: record.synced.clone(),
    }
}

impl Step {
    fn take(&mut self, merge: Merge<'_>) {
        self.reason = merge.reason();
        self.settings = merge.settings;
        self.credentials = merge.credentials;
        self.action = Action::Update { changed: merge.changed, overridden: merge.overridden };
    }

    /// Without a base nobody knows who changed what: the file's own fields win, the rest is kept.
    fn take_without_base(&mut self, entry: &Entry, record: &Database, file: &Map<String, Value>) {
        let came_back = !record.settings.enabled && file.get(ENABLED) != Some(&false.into());
        let mut file = file.clone();
        if came_back {
            file.entry(ENABLED).or_insert(true.into());
        }
        let nothing = Map::new();
        let mut merge = Merge::new(record, &file, &nothing);
        for field in entry.settings.keys().map(String::as_str).chain(came_back.then_some(ENABLED)) {
            merge.set(field);
        }
        if entry.credentials != Credentials::None {
            merge.set(CREDENTIALS);
        }
        merge.finish();
        merge.overridden.clear();
        self.take(merge);
        if came_back {
            let Action::Update { changed, .. } = std::mem::replace(&mut self.action, Action::Unchanged)
            else {
                return;
            };
            self.action = Action::Reenable { changed };
            "it is in the file again".clone_into(&mut self.reason);
        } else {
            self.reason = format!("the file was never applied to this record: {}", self.reason);
        }
    }
}

/// The merge of one record.
struct Merge<'a> {
    record: &'a Database,
    current: Map<String, Value>,
    file: &'a Map<String, Value>,
    base: &'a Map<String, Value>,
    engine: EngineKind,
    settings: Map<String, Value>,
    credentials: Option<Credentials>,
    changed: Vec<String>,
    overridden: Vec<String>,
}

impl<'a> Merge<'a> {
    fn new(record: &'a Database, file: &'a Map<String, Value>, base: &'a Map<String, Value>) -> Self {
        let engine = file.get("engine").and_then(|engine| serde_json::from_value(engine.clone()).ok());
        Self {
            record,
            current: record.settings.to_map(),
            file,
            base,
            engine: engine.unwrap_or(record.settings.engine),
            settings: Map::new(),
            credentials: None,
            changed: Vec::new(),
            overridden: Vec::new(),
        }
    }

    /// Sets what differs between the file now and the file then.
    fn every_field(&mut self) {
        let (file, base) = (self.file, self.base);
        let fields = file.keys().chain(base.keys().filter(|field| !file.contains_key(*field)));
        for field in fields.filter(|field| !is_variable(field)) {
            if file.get(field) != base.get(field) {
                self.set(field);
            }
        }
        if [USERNAME_VAR, PASSWORD_VAR].iter().any(|field| file.get(*field) != base.get(*field)) {
            self.set(CREDENTIALS);
        }
        self.finish();
    }

    /// Sets one field to what the file has, or to its default where the file has it no more.
    fn set(&mut self, field: &str) {
        let (differs, edited) = if field == CREDENTIALS {
            let ours = credentials(self.file);
            let both = (self.record.credentials != ours, self.record.credentials != credentials(self.base));
            if both.0 {
                self.credentials = Some(ours);
            }
            both
        } else {
            // A field that has no default is one that the file always has.
            let Some(ours) = self.file.get(field).cloned().or_else(|| default(field, self.engine)) else {
                return;
            };
            let before =
                self.base.get(field).cloned().or_else(|| default(field, self.record.settings.engine));
            let current = self.current.get(field);
            let both = (current != Some(&ours), current != before.as_ref());
            if both.0 {
                self.settings.insert(field.to_owned(), ours);
            }
            both
        };
        if differs {
            self.changed.push(field.to_owned());
            if edited {
                self.overridden.push(field.to_owned());
            }
        }
    }

    fn finish(&mut self) {
        self.changed.sort();
        self.changed.dedup();
        self.overridden.sort();
    }

    fn reason(&self) -> String {
        if self.changed.is_empty() {
            return "the record is already as the file says".to_owned();
        }
        let mut reason = format!("changed in the file: {}", self.changed.join(", "));
        if !self.overridden.is_empty() {
            reason.push_str("; changed by API too, the file wins: ");
            reason.push_str(&self.overridden.join(", "));
        }
        reason
    }
}

/// An entry as the base of the next merge: its settings and the names of its variables.
fn base(entry: &Entry) -> Map<String, Value> {
    let mut base = entry.settings.clone();
    if let Credentials::Reference { username_var, password_var } = &entry.credentials {
        for (field, name) in [(USERNAME_VAR, username_var), (PASSWORD_VAR, password_var)] {
            if let Some(name) = name {
                base.insert(field.to_owned(), name.clone().into());
            }
        }
    }
    base
}

fn credentials(base: &Map<String, Value>) -> Credentials {
    let name = |field| base.get(field).and_then(Value::as_str).map(str::to_owned);
    match (name(USERNAME_VAR), name(PASSWORD_VAR)) {
        (None, None) => Credentials::None,
        (username_var, password_var) => Credentials::Reference { username_var, password_var },
    }
}

fn is_variable(field: &str) -> bool {
    field == USERNAME_VAR || field == PASSWORD_VAR
}

/// What a field has when neither an entry nor `global` sets it; none for a field without a default.
fn default(field: &str, engine: EngineKind) -> Option<Value> {
    if matches!(field, "name" | "engine" | "database_name") {
        return None;
    }
    if field == "port" {
        return Some(engine.default_port().into());
    }
    let least = serde_json::json!({ "name": "", "engine": engine, "database_name": "" });
    serde_json::from_value::<Settings>(least).ok()?.to_map().remove(field)
}
