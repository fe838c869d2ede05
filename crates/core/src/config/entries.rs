//! The list `databases`: each entry with what it inherits, under an id that no other entry has.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fields::{self, DATABASE};
use super::place::{Place, Section};
use super::{Entry, MAX_DATABASES};
use crate::Result;
use crate::model::{Credentials, EngineKind};

/// Reads the list; `inherited` is what an entry has unless it says otherwise.
pub(super) fn read(place: &Place<'_>, inherited: &Map<String, Value>) -> Result<Vec<Entry>> {
    let items = place.list()?;
    if items.len() > MAX_DATABASES {
        return Err(place.error(format!("has {} entries; at most {MAX_DATABASES} are read", items.len())));
    }
    let mut taken: HashMap<String, Place<'_>> = HashMap::new();
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        let section = item.section(&DATABASE)?;
        let entry = entry(&section, inherited)?;
        if let Some(other) = taken.get(&entry.config_id) {
            let field = section.get("id").unwrap_or(section.required("name")?);
            return Err(field
                .error(format!("{} is known by the same id", other.named()))
                .with_mend("an entry is known by its id, or else by its name; give each an id of its own"));
        }
        taken.insert(entry.config_id.clone(), item);
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(section: &Section<'_>, inherited: &Map<String, Value>) -> Result<Entry> {
    let name = section.required("name")?.text()?;
    let engine = fields::engine(section.required("engine")?)?;
    section.required("database_name")?;
    let id = section.get("id").map_or(Ok(name), Place::text)?;
    if id.bytes().all(|byte| byte.is_ascii_digit()) {
        let field = section.get("id").or_else(|| section.get("name"));
        let refusal =
            "is a number, which means a database's number elsewhere: give the entry an id with a letter";
        return Err(field.map_or_else(|| section.error(refusal), |field| field.error(refusal)));
    }
    let own = fields::settings(section)?;
    shape(section, engine)?;

    let mut settings = inherited.clone();
    if engine != EngineKind::Postgres {
        settings.remove("format");
    }
    settings.extend(own);
    Ok(Entry { config_id: id.to_owned(), settings, credentials: credentials(section)? })
}

/// What one kind of database has and another has not.
fn shape(section: &Section<'_>, engine: EngineKind) -> Result<()> {
    if engine == EngineKind::Sqlite {
        for name in ["host", "port", "username_var", "password_var", "tls"] {
            if let Some(field) = section.some(name) {
                return Err(field.error("a sqlite database is a file and has no server"));
            }
        }
    } else if section.some("host").is_none() {
        return Err(section.error(format!("host is missing: a {engine} database is on a server")));
    }
    for name in ["collections", "users_and_roles", "oplog", "auth_source", "replica_set"] {
        if let Some(field) = section.some(name).filter(|_| engine != EngineKind::Mongodb) {
            return Err(field.error(format!("only mongodb databases have it, and this one is {engine}")));
        }
    }
    match section.get("format") {
        Some(format) if engine != EngineKind::Postgres && format.choice(&["plain"]).is_err() => {
            Err(format.error(format!("a {engine} database has no format custom; only postgres has")))
        }
        _ => Ok(()),
    }
}

fn credentials(section: &Section<'_>) -> Result<Credentials> {
    let variable = |name| section.some(name).map(fields::variable).transpose();
    let (username_var, password_var) = (variable("username_var")?, variable("password_var")?);
    if username_var.is_none() && password_var.is_none() {
        return Ok(Credentials::None);
    }
    Ok(Credentials::Reference { username_var, password_var })
}
