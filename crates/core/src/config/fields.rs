//! The fields of a database: what each may hold, and which of them `global` hands down.

use serde_json::{Map, Value};

use super::place::{Known, Place, Section};
use crate::model::EngineKind;
use crate::ports::SecretName;
use crate::schedule::{MAX_JITTER_SECONDS, Schedule, zone};
use crate::{Error, Result};

/// A hundred years: beyond it, date arithmetic ends before a backup does.
pub(super) const MAX_DAYS: u32 = 36_500;
pub(super) const MAX_KEPT: u32 = 1_000_000;

/// What an entry of `databases` may hold.
pub(super) const DATABASE: Known = Known {
    fields: &[
        "id",
        "name",
        "engine",
        "host",
        "port",
        "database_name",
        "username_var",
        "password_var",
        "schedule",
        "timezone",
        "jitter_seconds",
        "retention_days",
        "max_backups",
        "compression",
        "format",
        "encryption",
        "enabled",
        "package",
        "verify",
        "runner",
        "tls",
        "collections",
        "users_and_roles",
        "oplog",
        "auth_source",
        "replica_set",
    ],
    later: &["default", "use_apoc"],
};

/// What `global` may hold: its own `max_parallel_jobs`, and what databases inherit.
pub(super) const GLOBAL: Known = Known {
    fields: &[
        "schedule",
        "timezone",
        "jitter_seconds",
        "retention_days",
        "max_backups",
        "compression",
        "format",
        "encryption",
        "package",
        "verify",
        "runner",
        "max_parallel_jobs",
    ],
    later: &[],
};

/// The settings among a section's fields.
pub(super) fn settings(section: &Section<'_>) -> Result<Map<String, Value>> {
    let mut settings = Map::new();
    for (name, place) in section.fields() {
        if let Some(value) = setting(name, place)? {
            settings.insert(name.to_owned(), value);
        }
    }
    Ok(settings)
}

/// The value of one field as [`Settings`](crate::model::Settings) holds it; none for a field that is
/// none of them.
fn setting(name: &str, place: &Place<'_>) -> Result<Option<Value>> {
    let nullable = matches!(
        name,
        "host"
            | "port"
            | "schedule"
            | "timezone"
            | "retention_days"
            | "max_backups"
            | "tls"
            | "auth_source"
            | "replica_set"
    );
    if nullable && place.is_null() {
        return Ok(Some(Value::Null));
    }
    let value = match name {
        "name" | "host" | "database_name" | "tls" | "auth_source" | "replica_set" => place.text()?.into(),
        "engine" => engine(place)?.as_str().into(),
        "port" => place.number(1, u32::from(u16::MAX))?.into(),
        "schedule" => schedule(place)?.into(),
        "timezone" => timezone(place)?.into(),
        "jitter_seconds" => place.number(0, MAX_JITTER_SECONDS)?.into(),
        "retention_days" => place.number(1, MAX_DAYS).map_err(no_limit)?.into(),
        "max_backups" => place.number(1, MAX_KEPT).map_err(no_limit)?.into(),
        "compression" => place.choice(&["gzip", "zstd", "none"])?.into(),
        "format" => place.choice(&["plain", "custom"])?.into(),
        "encryption" => recipients(place, false)?.into(),
        "enabled" | "package" | "users_and_roles" | "oplog" => place.boolean()?.into(),
        "collections" => texts(place)?.into(),
        "verify" => verify(place)?.into(),
        "runner" => place.choice(&["auto", "lambda", "fargate"])?.into(),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

fn texts(place: &Place<'_>) -> Result<Vec<String>> {
    place.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
}

fn no_limit(error: Error) -> Error {
    error.with_mend("leave it empty, or null, for no limit")
}

/// When backups are test-restored. (`off` without quotes is text here.)
pub(super) fn verify<'a>(place: &Place<'a>) -> Result<&'a str> {
    place.choice(&["off", "after_each", "daily", "weekly"])
}

/// The kind of a database; its other names are accepted and written as the one.
pub(super) fn engine(place: &Place<'_>) -> Result<EngineKind> {
    let word = place.choice(&[
        "postgres",
        "mysql",
        "mariadb",
        "sqlite",
        "mongodb",
        "neo4j",
        "oracle",
        "postgresql",
        "mongo",
    ]);
    word.ok()
        .and_then(|word| serde_json::from_value(word.into()).ok())
        .ok_or_else(|| place.error("must be one of postgres, mysql, mariadb, sqlite, mongodb, neo4j, oracle"))
}

pub(super) fn schedule(place: &Place<'_>) -> Result<String> {
    let expression = place.text()?;
    Schedule::parse(expression, None).map_err(|error| place.refused(&error))?;
    Ok(expression.to_owned())
}

pub(super) fn timezone(place: &Place<'_>) -> Result<String> {
    let name = place.text()?;
    zone(name).map_err(|error| place.refused(&error))?;
    Ok(name.to_owned())
}

/// What `encryption` may hold where it says what databases inherit, and where it is the installation's.
const RECIPIENTS: Known = Known { fields: &["recipients"], later: &[] };
const ENCRYPTION: Known = Known { fields: &["recipients", "identity_file"], later: &[] };

/// The file of the keys that open artifacts, where the section names one.
pub(super) fn identity_file(encryption: &Place<'_>) -> Result<Option<String>> {
    if !encryption.is_mapping() {
        return Ok(None);
    }
    let section = encryption.section(&ENCRYPTION)?;
    let Some(file) = section.some("identity_file") else { return Ok(None) };
    let text = file.text()?;
    if text.to_ascii_uppercase().contains("AGE-SECRET-KEY") {
        return Err(file.error("this is a secret key; put the path of the file that holds it here"));
    }
    Ok(Some(text.to_owned()))
}

/// `age` recipients, as a list or under `recipients`; the section of the whole `installation` has more fields.
pub(super) fn recipients(place: &Place<'_>, installation: bool) -> Result<Vec<String>> {
    let known = if installation { &ENCRYPTION } else { &RECIPIENTS };
    let list = if place.is_mapping() {
        place.section(known)?.get("recipients").map_or(Ok(Vec::new()), Place::list)?
    } else {
        place.list()?
    };
    list.iter()
        .map(|item| {
            let text = item.text()?;
            // An identity opens artifacts: it must not be where the public key belongs.
            if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY") {
                return Err(
                    item.error("this is a secret key; put the recipient, which begins with age1, here")
                );
            }
            match text.parse::<age::x25519::Recipient>() {
                Ok(recipient) => Ok(recipient.to_string()),
                Err(_) => Err(item.error("must be an age recipient, which begins with age1")),
            }
        })
        .collect()
}

/// The name of an environment variable, or of a secret in a store.
pub(super) fn variable(place: &Place<'_>) -> Result<String> {
    let name = SecretName::parse(place.text().unwrap_or_default()).map_err(|error| place.refused(&error))?;
    Ok(name.to_string())
}
