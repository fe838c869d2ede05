//! Chosen tables of a custom dump: what belongs to them, and what they need.

use std::collections::{BTreeMap, BTreeSet};

use super::super::contents::{Contents, Listed};
use super::super::name::{identifier, one_line};
use super::clear;
use super::survey::never;
use crate::config::suggest::nearest;
use crate::engine::restore::{Refusal, Target};
use crate::model::{DumpFormat, RestoreMode};

/// Entries about any other one.
const NOTES: [&str; 4] = ["COMMENT", "ACL", "SECURITY LABEL", "STATISTICS DATA"];
/// Entries that belong to the table that they need, beside its schema and functions.
const PARTS: [&str; 3] = ["INDEX", "STATISTICS", "SEQUENCE"];
/// Entries that are called as what they belong to.
const SAME: [&str; 5] =
    ["ROW SECURITY", "TABLE DATA", "MATERIALIZED VIEW DATA", "SEQUENCE OWNED BY", "SEQUENCE SET"];
/// Entries that are called by their table's name and their own, and may lean on other tables too.
const NAMED: [&str; 7] =
    ["DEFAULT", "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "RULE", "POLICY"];
const TABLES: [&str; 3] = ["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"];

/// What is restored of a dump.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    /// The entries' numbers, in the archive's order.
    pub(super) entries: Vec<i64>,
    /// The chosen tables, with their schemas.
    pub(super) tables: Vec<(String, String)>,
    /// The schemas that were chosen whole.
    pub(super) schemas: Vec<String>,
    /// The first name that the dump does not know.
    pub(super) unknown: Option<String>,
    /// What is left out, or comes along.
    pub(super) warnings: Vec<String>,
}

impl Choice {
    /// SQL that drops what the choice replaces.
    pub(super) fn clear(&self) -> String {
        let schemas: String = self.schemas.iter().map(|schema| clear::schema(schema)).collect();
        clear::tables(&self.tables) + &schemas
    }
}

/// `schema.table`, or `schema.*` which is a schema and no table; as SQL spells them.
fn parts(name: &str) -> Option<(String, Option<String>)> {
    let bytes = name.as_bytes();
    let schema = identifier(bytes)?;
    let rest = bytes[schema.len()..].strip_prefix(b".")?;
    if rest == b"*" {
        return Some((unquoted(schema), None));
    }
    let table = identifier(rest)?;
    (table.len() == rest.len()).then(|| (unquoted(schema), Some(unquoted(table))))
}

fn unquoted(identifier: &[u8]) -> String {
    let text = String::from_utf8_lossy(identifier);
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.into_owned(),
    }
}

/// Why a choice of tables cannot be made.
pub(super) fn refusals(target: &Target, exists: bool) -> Vec<Refusal> {
    let tables = &target.options.tables;
    if tables.is_empty() {
        return Vec::new();
    }
    if target.dump.format == DumpFormat::Plain {
        let mend =
            "restore all of it into a new database, and make custom dumps from now on (format: custom)";
        return vec![never("a plain dump cannot be taken apart", mend)];
    }
    let mut refusals: Vec<Refusal> = tables.iter().filter_map(|name| unknown(target, name)).collect();
    if exists && target.options.mode == RestoreMode::Swap {
        refusals.push(never(
            "a swap would put the chosen tables alone into the whole database's place",
            "restore them with mode in_place, or into a new database",
        ));
    }
    refusals
}

fn unknown(target: &Target, name: &str) -> Option<Refusal> {
    let Some((schema, table)) = parts(name) else {
        let mend = "write schema.table, or schema.* for a whole schema, with quotes where SQL wants them";
        return Some(never(format!("tables: {name:?} is no table's name"), mend));
    };
    let known: Vec<&str> = target.dump.fingerprint.as_ref()?.0.keys().map(String::as_str).collect();
    let is = |other: &&str| match (parts(other), &table) {
        (Some((other, _)), None) => other == schema,
        (Some(other), Some(_)) => other == (schema.clone(), table.clone()),
        (None, _) => false,
    };
    if known.iter().any(is) {
        return None;
    }
    let mend = match nearest(name, &known) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            "the backup's fingerprint names its tables; a partitioned one, which has no rows of its own, \
                 needs force"
                .to_owned()
        }
    };
    let reason = format!("the dump holds no rows of a table {name}");
    Some(Refusal { reason, mend, forceable: true })
}

/// The choice of `names` among a dump's entries; `alone` in a database that holds nothing else, so that
/// what they need comes along.
pub(super) fn choose(contents: Contents, names: &[String], alone: bool) -> Choice {
    let entries = contents.listed();
    let mut choosing = Choosing { by_id: entries.iter().map(|e| (e.id, e)).collect(), ..Choosing::default() };
    let wanted: Vec<_> = names.iter().filter_map(|name| parts(name)).collect();
    for entry in &entries {
        if wanted.iter().any(|(schema, table)| asked_for(entry, schema, table.as_deref())) {
            choosing.picked.insert(entry.id);
        }
    }
    let asked = choosing.picked.clone();
    let known = |name: &&String| {
        let held = |(schema, table): &(String, Option<String>)| {
            entries.iter().any(|entry| asked_for(entry, schema, table.as_deref()))
        };
        parts(name).as_ref().is_some_and(held)
    };
    let unknown = names.iter().find(|name| !known(name)).cloned();
    // An entry may belong to one that is picked after it.
    let mut before = usize::MAX;
    while before != choosing.picked.len() {
        before = choosing.picked.len();
        for entry in &entries {
            choosing.look_at(entry, alone);
        }
    }
    choosing.leave_out(&entries);
    choosing.tell_of_company(&asked);
    let tables = wanted.iter().filter_map(|(schema, table)| Some((schema.clone(), table.clone()?)));
    let schemas = wanted.iter().filter(|(_, table)| table.is_none()).map(|(schema, _)| schema.clone());
    Choice {
        entries: entries.iter().map(|e| e.id).filter(|id| choosing.picked.contains(id)).collect(),
        tables: tables.collect(),
        schemas: schemas.collect(),
        unknown,
        warnings: choosing.warnings,
    }
}

fn asked_for(entry: &Listed, schema: &str, table: Option<&str>) -> bool {
    match table {
        Some(table) => TABLES.contains(&&*entry.kind) && entry.schema == schema && entry.tag == table,
        None => entry.schema == schema || (entry.kind == "SCHEMA" && entry.tag == schema),
    }
}

#[derive(Default)]
struct Choosing<'a> {
    by_id: BTreeMap<i64, &'a Listed>,
    picked: BTreeSet<i64>,
    warnings: Vec<String>,
}

impl<'a> Choosing<'a> {
    fn look_at(&mut self, entry: &'a Listed, alone: bool) {
        if !self.picked.contains(&entry.id) && self.belongs(entry) {
            self.picked.insert(entry.id);
        }
        if !self.picked.contains(&entry.id) {
            return;
        }
        if entry.kind == "TABLE ATTACH" {
            let tables: Vec<i64> = entry.needs.iter().copied().filter(|id| self.is_table(*id)).collect();
            self.picked.extend(tables);
        }
        if alone && entry.kind != "FK CONSTRAINT" {
            self.picked.extend(entry.needs.iter().filter(|id| self.by_id.contains_key(id)));
        }
    }

    fn belongs(&self, entry: &Listed) -> bool {
        let picked = |id: &&i64| self.picked.contains(id);
        let mut needed = entry.needs.iter().filter(picked).filter_map(|id| self.by_id.get(id));
        match entry.kind.as_str() {
            kind if NOTES.contains(&kind) => needed.next().is_some(),
            kind if PARTS.contains(&kind) => needed.any(|table| is_table(table)),
            kind if SAME.contains(&kind) => {
                needed.any(|other| other.schema == entry.schema && other.tag == entry.tag)
            }
            kind if NAMED.contains(&kind) => needed.any(|table| is_of(entry, table)),
            // Called as the partition; a chosen parent brings its partitions along.
            "TABLE ATTACH" => needed.any(|table| is_table(table) && table.tag != entry.tag),
            "INDEX ATTACH" => entry.needs.iter().all(|id| self.picked.contains(id)),
            _ => false,
        }
    }

    fn is_table(&self, id: i64) -> bool {
        self.by_id.get(&id).is_some_and(|entry| is_table(entry))
    }

    /// Foreign keys to tables that stay away, and their comments, cannot be made.
    fn leave_out(&mut self, entries: &[Listed]) {
        let mut left = BTreeSet::new();
        for entry in entries.iter().filter(|entry| self.picked.contains(&entry.id)) {
            let misses =
                entry.needs.iter().any(|id| self.by_id.contains_key(id) && !self.picked.contains(id));
            let away = match entry.kind.as_str() {
                "FK CONSTRAINT" => misses,
                "COMMENT" => entry.needs.iter().any(|id| left.contains(id)),
                _ => false,
            };
            if away {
                left.insert(entry.id);
            }
            if away && entry.kind == "FK CONSTRAINT" {
                self.warnings.push(format!(
                    "the foreign key {} in {} is left out: it refers to a table that was not chosen",
                    one_line(&entry.tag),
                    one_line(&entry.schema)
                ));
            }
        }
        self.picked.retain(|id| !left.contains(id));
    }

    fn tell_of_company(&mut self, asked: &BTreeSet<i64>) {
        let company = self.picked.difference(asked).filter(|id| self.is_table(**id));
        let told: Vec<String> = company
            .map(|id| {
                let entry = self.by_id[id];
                format!("the table {}.{} comes along", one_line(&entry.schema), one_line(&entry.tag))
            })
            .collect();
        self.warnings.extend(told);
    }
}

fn is_table(entry: &Listed) -> bool {
    TABLES.contains(&&*entry.kind)
}

/// Whether an entry that bears its table's name before its own is of this table.
fn is_of(entry: &Listed, table: &Listed) -> bool {
    entry.schema == table.schema
        && entry.tag.strip_prefix(&table.tag).is_some_and(|rest| rest.starts_with(' '))
}
