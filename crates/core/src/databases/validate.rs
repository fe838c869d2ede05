//! What a database's settings must be, beyond their types.

use crate::engine;
use crate::limits::Limits;
use crate::model::{DumpFormat, EngineKind, Settings};
use crate::schedule::{MAX_JITTER_SECONDS, Schedule};
use crate::seal::Recipient;
use crate::{Error, Result};

const LONGEST_NAME: usize = 200;
const LONGEST_DATABASE_NAME: usize = 1024;
const LONGEST_HOST: usize = 255;
const MOST_RECIPIENTS: usize = 100;

/// Checks settings, and puts in what their engine implies (a port).
///
/// An engine that this build does not have is no error here: such a database is held back.
pub fn validate(settings: Settings, limits: &Limits) -> Result<Settings> {
    let settings = well_formed(settings)?;
    if let Some(engine) = engine::engine(settings.engine) {
        engine.validate(&settings, limits)?;
    }
    of_mongodb(&settings)?;
    if settings.format == DumpFormat::Custom && settings.engine != EngineKind::Postgres {
        return Err(Error::invalid("format", "only postgres has the custom format; leave it out"));
    }
    Ok(settings)
}

/// Refuses what only MongoDB has where another engine is meant.
fn of_mongodb(settings: &Settings) -> Result<()> {
    if settings.engine == EngineKind::Mongodb {
        return Ok(());
    }
    let set = [
        ("collections", !settings.collections.is_empty()),
        ("users_and_roles", settings.users_and_roles),
        ("oplog", settings.oplog),
        ("auth_source", settings.auth_source.is_some()),
        ("replica_set", settings.replica_set.is_some()),
    ];
    match set.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(Error::invalid(field, "only mongodb has it; leave it out")),
        None => Ok(()),
    }
}

/// What holds for every engine, wherever the installation lets its databases lie.
pub(crate) fn well_formed(mut settings: Settings) -> Result<Settings> {
    text("name", &settings.name, LONGEST_NAME)?;
    text("database_name", &settings.database_name, LONGEST_DATABASE_NAME)?;
    if engine::engine(settings.engine).is_some_and(|engine| !engine.has_server()) {
        settings.host = settings.host.filter(|host| !host.is_empty());
    } else {
        server(&mut settings)?;
    }
    policy(&settings)?;
    Ok(settings)
}

/// Refuses what is documented and comes with a later version.
pub fn refuse_unbuilt(settings: &Settings) -> Result<()> {
    if engine::engine(settings.engine).is_none() {
        return Err(super::not_built(settings.engine));
    }
    Ok(())
}

fn server(settings: &mut Settings) -> Result<()> {
    let Some(host) = settings.host.as_deref().filter(|host| !host.is_empty()) else {
        return Err(Error::invalid("host", "a database server has a host: give its name or address"));
    };
    if settings.engine == EngineKind::Mongodb {
        text("host", host, LONGEST_HOST * 50)?;
        return engine::mongodb::well_formed(settings);
    }
    text("host", host, LONGEST_HOST)?;
    // Letters are enough for names, addresses and sockets' folders; a comma would be a list to libpq.
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '/' | '[' | ']');
    if host.starts_with('-') || !host.chars().all(plain) {
        return Err(Error::invalid("host", "a host is one name, one address, or the folder of a socket"));
    }
    if settings.port == Some(0) {
        return Err(Error::invalid("port", "0 is no port; allowed are 1 to 65535"));
    }
    settings.port = settings.port.or(settings.engine.default_port());
    Ok(())
}

fn policy(settings: &Settings) -> Result<()> {
    for (field, value) in [("retention_days", settings.retention_days), ("max_backups", settings.max_backups)]
    {
        if value == Some(0) {
            return Err(Error::invalid(field, "0 would keep nothing; use 1 or more, or null for no limit"));
        }
    }
    if settings.jitter_seconds > MAX_JITTER_SECONDS {
        let message =
            format!("it is {}; allowed are 0 to {MAX_JITTER_SECONDS} seconds", settings.jitter_seconds);
        return Err(Error::invalid("jitter_seconds", message));
    }
    if let Some(expression) = &settings.schedule {
        Schedule::parse(expression, settings.timezone.as_deref())?;
    } else if let Some(zone) = &settings.timezone {
        Schedule::parse("@daily", Some(zone))?;
    }
    if settings.encryption.len() > MOST_RECIPIENTS {
        return Err(Error::invalid(
            "encryption",
            format!("at most {MOST_RECIPIENTS} recipients are allowed"),
        ));
    }
    for recipient in &settings.encryption {
        recipient.parse::<Recipient>().map_err(|e| e.with_field("encryption"))?;
    }
    Ok(())
}

fn text(field: &str, value: &str, longest: usize) -> Result<()> {
    if value.trim().is_empty() {
        return Err(Error::invalid(field, "it is empty"));
    }
    if value.len() > longest {
        return Err(Error::invalid(field, format!("it has {} bytes; {longest} are allowed", value.len())));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::invalid(field, "control characters, such as line breaks, are not allowed"));
    }
    Ok(())
}
