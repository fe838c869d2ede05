//! Records of a new catalog, made of what storage tells.

use jiff::Timestamp;

use super::super::{Defined, Rescue, Signature};
use super::{CredentialsFate, Rebuild};
use crate::backup::in_clear;
use crate::databases;
use crate::model::{
    Backup, BackupKind, Credentials, Database, DatabaseId, DatabaseUid, History, Job, Manifest, Progress,
    Settings, Status,
};
use crate::schedule::Timing;

/// A database before its backups are known.
pub(super) struct Draft {
    /// Its record.
    pub(super) database: Database,
    /// Whether there was a definition.
    pub(super) defined: bool,
    /// What becomes of its credentials.
    pub(super) credentials: CredentialsFate,
    /// What whoever rebuilds should know.
    pub(super) notes: Vec<String>,
}

impl Draft {
    /// The database that a definition tells of.
    pub(super) fn of_definition(rescue: &Rescue, defined: Defined, id: DatabaseId, how: Rebuild) -> Self {
        let Defined { definition, signature } = defined;
        let mut notes = Vec::new();
        if id != definition.id {
            notes.push(format!("its number was {}, which an older database has", definition.id));
        }
        let foreign = signature == Signature::Foreign && !how.without_key;
        let (credentials, fate, note) = match definition.credentials {
            Credentials::None => (Credentials::None, CredentialsFate::Kept, None),
            _ if foreign => (Credentials::None, CredentialsFate::Needed, None),
            stored => credentials(rescue, definition.uid, stored, how),
        };
        notes.extend(note);
        let mut database = record(id, definition.uid, definition.config_id, definition.settings, how.now);
        database.credentials = credentials;
        database.created_at = definition.created_at.unwrap_or(database.created_at).min(how.now);
        if foreign {
            notes.push(
                "disabled, because its definition was signed under another master key, or changed since: look at \
                 its settings, enter its credentials and enable it"
                    .to_owned(),
            );
            database.settings.enabled = false;
            // Else the file's entry would enable it and give it a login, with whatever settings the file leaves open.
            if let Some(entry) = database.config_id.take() {
                notes.push(format!(
                    "no longer tied to {entry} in config.yaml, which makes a database of its own"
                ));
            }
        }
        match Timing::of(database.uid, &database.settings) {
            Ok(timing) => database.set_due(timing.map(|timing| timing.after(how.now))),
            // Without the key, or by a later version's rules.
            Err(e) => {
                notes.push(format!("disabled, because its schedule cannot be read: {}", e.message()));
                database.settings.enabled = false;
            }
        }
        Self { database, defined: true, credentials: fate, notes }
    }

    /// A disabled database for backups that have no definition any more.
    pub(super) fn of_manifest(manifest: &Manifest, id: DatabaseId, how: Rebuild) -> Self {
        let name = manifest.config_id.clone().unwrap_or_else(|| manifest.database_name.clone());
        let settings = Settings {
            compression: manifest.compression,
            format: manifest.dump_format,
            encryption: manifest.encryption.clone(),
            enabled: false,
            ..Settings::bare(name, manifest.engine, manifest.database_name.clone())
        };
        let config_id = manifest.config_id.clone();
        let mut database = record(id, manifest.database_uid, config_id, settings, how.now);
        // There is none in storage that this could overwrite with less.
        database.definition_stale = true;
        let notes =
            vec!["its definition is missing: disabled; give it host, credentials and policy".to_owned()];
        Self { database, defined: false, credentials: CredentialsFate::Needed, notes }
    }
}

fn record(
    id: DatabaseId,
    uid: DatabaseUid,
    config_id: Option<String>,
    settings: Settings,
    now: Timestamp,
) -> Database {
    let created_at = registered_at(uid).filter(|at| *at <= now).unwrap_or(now);
    Database {
        id,
        uid,
        revision: 0,
        config_id,
        settings,
        credentials: Credentials::None,
        created_at,
        updated_at: now,
        schedule_changed_at: now,
        next_due_at: None,
        last_due_at: None,
        history: History::default(),
        next_start_at: None,
        definition_stale: false,
        definition_retry_at: None,
        synced: None,
    }
}

/// A uid's first ten digits tell when it was given.
fn registered_at(uid: DatabaseUid) -> Option<Timestamp> {
    i64::try_from(uid.0.timestamp_ms()).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

fn credentials(
    rescue: &Rescue,
    uid: DatabaseUid,
    stored: Credentials,
    how: Rebuild,
) -> (Credentials, CredentialsFate, Option<String>) {
    let Credentials::Sealed { secret } = &stored else { return (stored, CredentialsFate::Kept, None) };
    let lost = |why: &str| (Credentials::None, CredentialsFate::Needed, Some(why.to_owned()));
    match &rescue.key {
        Some(key) if !how.without_key => match databases::opens(key, uid, secret) {
            Ok(()) => (stored, CredentialsFate::Open, None),
            Err(e) => lost(&format!("its credentials do not open: {}", e.message())),
        },
        _ => lost("its credentials were sealed under the key that is lost"),
    }
}

/// The record of a backup whose manifest is there, as a catalog keeps it when all has been done.
pub(super) fn job(database: &Database, manifest: Manifest, last_attempt: u32, most_attempts: u32) -> Job {
    let artifact = manifest.artifact;
    let progress = Progress { raw_bytes: artifact.raw_bytes, stored_bytes: artifact.size_bytes };
    let backup = Backup {
        kind: manifest.kind,
        slot: manifest.slot.filter(|_| manifest.kind == BackupKind::Scheduled),
        config_id: manifest.config_id,
        database_name: manifest.database_name,
        engine: manifest.engine,
        format: manifest.dump_format,
        compression: manifest.compression,
        encryption: manifest.encryption,
        name: Some(manifest.name),
        artifact: Some(artifact),
        consistency: manifest.consistency,
        fingerprint: in_clear(manifest.content),
        verification: None,
        // Whether its restore was confirmed only the catalog knew.
        lock: None,
        incoming: None,
        pinned: manifest.kind == BackupKind::Safety,
    };
    let owner = (database.id, database.uid);
    let mut job = Job::dump(manifest.backup_id, owner, backup, manifest.created_at, most_attempts);
    job.status = Status::Succeeded;
    job.started_at = Some(manifest.started_at);
    job.finished_at = Some(manifest.finished_at);
    job.progress = progress;
    // Whatever attempt comes after, it may not write where one has been.
    job.attempts.current = last_attempt;
    job
}
