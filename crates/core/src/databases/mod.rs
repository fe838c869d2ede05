//! Databases: register, look up, change, test, remove.

mod credentials;
pub(crate) mod definition;
mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use self::credentials::{Login, login};
pub(crate) use self::credentials::{opens, referred};
pub use self::definition::Definition;
pub(crate) use self::validate::well_formed;
pub use self::validate::{refuse_unbuilt, validate};
use crate::app::App;
use crate::backup::lock;
use crate::backup::staging::Staging;
use crate::engine::{self, JobLog, Probe, Source};
use crate::jobs::{self, aftermath};
use crate::keys;
use crate::model::{
    Credentials, Database, DatabaseId, DatabaseUid, EngineKind, History, Job, Settings, Status,
};
use crate::ports::{Cursor, Event, JobFilter, NewDatabase};
use crate::schedule::{Due, Timing};
use crate::tick;
use crate::{Error, ErrorKind, Result};

/// A request to register a database.
#[derive(Debug, Default)]
pub struct Registration {
    /// Fields of [`crate::model::Settings`] by name; those missing come from the installation's
    /// defaults.
    pub fields: Map<String, Value>,
    /// Its credentials.
    pub login: Option<Login>,
    /// Its name in storage, when the caller has already chosen it (to make a repeated request one).
    pub uid: Option<DatabaseUid>,
}

/// A request to change a database.
#[derive(Debug, Default)]
pub struct Change {
    /// The fields to replace.
    pub fields: Map<String, Value>,
    /// New credentials.
    pub login: Option<Login>,
    /// Whether the caller may shorten its retention (that takes the delete scope).
    pub may_shorten_retention: bool,
}

/// What becomes of the backups of a database that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupsFate {
    /// They stay, in the catalog and in storage.
    Keep,
    /// They are deleted.
    Delete,
}

/// Registers a database.
pub async fn register(app: &App, registration: Registration) -> Result<Database> {
    let Registration { fields, login, uid } = registration;
    let settings = validate(new_settings(app, &fields)?, &app.limits)?;
    refuse_unbuilt(&settings)?;
    let uid = uid.unwrap_or_else(|| DatabaseUid(app.ids.ulid(app.now())));
    let credentials = match &login {
        Some(login) => credentials::seal(app, uid, login)?,
        None => Credentials::None,
    };
    create(app, uid, None, settings, credentials, None).await
}

/// Settings made of given fields over the installation's defaults.
pub(crate) fn new_settings(app: &App, fields: &Map<String, Value>) -> Result<Settings> {
    for required in ["name", "engine", "database_name"] {
        if fields.get(required).is_none_or(Value::is_null) {
            return Err(Error::invalid(required, "this field is required"));
        }
    }
    // A frame to be patched field by field, so that whatever is refused is named.
    let frame = Settings::bare("", EngineKind::Sqlite, "");
    frame.patched(&app.limits.defaults)?.patched(fields)
}

/// Stores a new database and its definition. Where storage is not what the settings say, nothing is registered:
/// whoever asked mends them and asks again, and finds no other half of the first time.
pub(crate) async fn create(
    app: &App,
    uid: DatabaseUid,
    config_id: Option<String>,
    settings: Settings,
    credentials: Credentials,
    synced: Option<Map<String, Value>>,
) -> Result<Database> {
    let now = app.now();
    let mut database = Database {
        id: DatabaseId(0),
        uid,
        revision: 0,
        config_id,
        next_due_at: None,
        next_start_at: None,
        last_due_at: None,
        history: History::default(),
        settings,
        credentials,
        created_at: now,
        updated_at: now,
        schedule_changed_at: now,
        definition_stale: true,
        definition_retry_at: None,
        synced,
    };
    database.set_due(next_due(uid, &database.settings, now)?);
    let created = app.catalog.create_database(NewDatabase(database)).await?;
    let defined = definition::write(app, created.clone()).await;
    if let Err(e) = &defined
        && e.kind() == ErrorKind::Config
        // Where even this cannot be done, the database is there, and its definition the tick's.
        && delete_record(app, created.clone(), false).await.is_ok()
    {
        return defined;
    }
    app.events.publish(Event::DatabaseRegistered(Box::new(created.clone()))).await?;
    or_later(app, created, defined).await
}

/// Writes the definition of a changed database, now or by a tick: the change is made already.
pub(crate) async fn define(app: &App, database: Database) -> Result<Database> {
    let defined = definition::write(app, database.clone()).await;
    or_later(app, database, defined).await
}

/// A definition that cannot be stored now is left to the tick.
async fn or_later(app: &App, database: Database, defined: Result<Database>) -> Result<Database> {
    match defined {
        Err(e) if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Storage | ErrorKind::Config) => {
            app.events.publish(Event::TickFailed(e.within("write a database's definition"))).await?;
            Ok(database)
        }
        defined => defined,
    }
}

/// The first slot of a schedule after an instant.
fn next_due(uid: DatabaseUid, settings: &Settings, after: Timestamp) -> Result<Option<Due>> {
    Ok(Timing::of(uid, settings)?.map(|timing| timing.after(after)))
}

/// One database, or `NotFound`.
pub async fn get(app: &App, id: DatabaseId) -> Result<Database> {
    app.catalog.database(id).await?.ok_or_else(|| Error::not_found("database", id))
}

/// Databases by number, ascending.
pub async fn list(app: &App, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
    app.catalog.databases(after, limit).await
}

/// Changes fields of a database. The running backup, if any, keeps the policy that it began with.
///
/// Changes of different fields that come at once are all made: none is lost, none is refused.
pub async fn change(app: &App, id: DatabaseId, change: Change) -> Result<Database> {
    let updated = change_record(app, id, &change).await?;
    app.events.publish(Event::DatabaseChanged(Box::new(updated.clone()))).await?;
    define(app, updated).await
}

async fn change_record(app: &App, id: DatabaseId, change: &Change) -> Result<Database> {
    for _ in 0..jobs::MOST_CONFLICTS {
        let old = get(app, id).await?;
        let new = changed(app, old.clone(), change)?;
        match store_change(app, &old, &new).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            done => return done,
        }
    }
    Err(Error::conflict("change a database", format!("database {id} changes too often")).with_retryable(true))
}

fn changed(app: &App, old: Database, change: &Change) -> Result<Database> {
    let settings = validate(old.settings.patched(&change.fields)?, &app.limits)?;
    refuse_unbuilt(&settings)?;
    guard_change(&old, &settings, change)?;
    let mut new = with_settings(old, settings, app.now())?;
    if let Some(login) = &change.login {
        new.credentials = credentials::seal(app, new.uid, login)?;
    }
    Ok(new)
}

/// The record with new settings, its due time computed anew when its schedule changed.
pub(crate) fn with_settings(mut database: Database, settings: Settings, now: Timestamp) -> Result<Database> {
    if timing_differs(&database.settings, &settings) {
        database.schedule_changed_at = now;
        database.set_due(next_due(database.uid, &settings, now)?);
    }
    database.settings = settings;
    database.updated_at = now;
    database.definition_stale = true;
    database.definition_retry_at = None;
    Ok(database)
}

fn timing_differs(old: &Settings, new: &Settings) -> bool {
    let timing = |s: &Settings| (s.schedule.clone(), s.timezone.clone(), s.jitter_seconds, s.enabled);
    timing(old) != timing(new)
}

/// Stores a changed record. Slots of the old schedule that have come and were not started yet get their
/// outcome first: the new one begins at the change, and nobody would look for them any more.
pub(crate) async fn store_change(app: &App, old: &Database, new: &Database) -> Result<Database> {
    if !timing_differs(&old.settings, &new.settings) {
        return app.catalog.update_database(new).await;
    }
    let skipped = tick::pass_over(app, old).await?;
    let stored = app.catalog.update_database(new).await?;
    // What fails here is left to a tick.
    let _next_tick = aftermath::see_to_all(app, &skipped).await;
    Ok(stored)
}

fn guard_change(old: &Database, new: &Settings, change: &Change) -> Result<()> {
    if old.settings.engine != new.engine {
        return Err(Error::invalid("engine", "an engine cannot be changed: register another database"));
    }
    let moved = [
        ("host", old.settings.host != new.host),
        ("port", old.settings.port != new.port),
        ("tls", old.settings.tls != new.tls),
    ];
    let moved = moved.into_iter().find(|(_, changed)| *changed).map(|(field, _)| field);
    if let Some(field) = moved.filter(|_| change.login.is_none() && old.credentials != Credentials::None) {
        // Else whoever may change a database could have its password sent to a host of his own.
        return Err(Error::invalid(field, "changing it needs the database's credentials again")
            .with_mend("send credentials in the same request"));
    }
    let shortened = [
        ("retention_days", old.settings.retention_days, new.retention_days),
        ("max_backups", old.settings.max_backups, new.max_backups),
    ];
    let shortened =
        shortened.into_iter().find(|(_, old, new)| new.unwrap_or(u32::MAX) < old.unwrap_or(u32::MAX));
    match shortened {
        Some((field, ..)) if !change.may_shorten_retention => {
            Err(Error::new(ErrorKind::Denied, "change a database", "shortening a retention removes backups")
                .with_field(field)
                .with_mend("send the delete key too"))
        }
        _ => Ok(()),
    }
}

/// Removes a database. While it has backups, somebody must say what becomes of them.
pub async fn remove(app: &App, id: DatabaseId, fate: Option<BackupsFate>) -> Result<()> {
    let database = get(app, id).await?;
    let jobs = all_jobs(app, id).await?;
    if let Some(active) = jobs.iter().find(|job| !job.status.is_terminal() && job.lease.is_some()) {
        let message = format!("{} {} is running", active.work.as_str(), active.id);
        return Err(Error::conflict("remove a database", message).with_mend("cancel it first, or wait"));
    }
    let (backups, others): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.backup().is_ok());
    match fate {
        None if !backups.is_empty() => {
            let message = format!("database {id} has {} backups", backups.len());
            return Err(Error::conflict("remove a database", message)
                .with_mend("say what becomes of them: ?backups=keep or ?backups=delete"));
        }
        Some(BackupsFate::Delete) => {
            let wanted = |id| backups.iter().any(|backup| backup.id == id);
            let elsewhere = |job: &Job| job.database_id() != Some(database.id);
            if let Some(need) = jobs::needed(app, wanted, elsewhere).await? {
                return Err(need.refusal("remove a database"));
            }
            for backup in &backups {
                lock::refuse_locked(app, backup, "remove a database").await?;
            }
            delete_all(app, &backups).await?;
        }
        _ => cancel_waiting(app, &backups).await?,
    }
    delete_all(app, &others).await?;
    // With backups that stay, the definition stays too: a rebuilt catalog needs it to place them.
    let forget = backups.is_empty() || fate == Some(BackupsFate::Delete);
    let database = delete_record(app, database, forget).await?;
    app.events.publish(Event::DatabaseRemoved(Box::new(database))).await
}

/// Removes the record, and before it the definition if that shall go: marked as stale, so that a tick
/// writes it again should the record stay after all.
async fn delete_record(app: &App, mut database: Database, forget: bool) -> Result<Database> {
    for _ in 0..jobs::MOST_CONFLICTS {
        if forget {
            database.definition_stale = true;
            match app.catalog.update_database(&database).await {
                Err(e) if e.kind() == ErrorKind::Conflict => {
                    database = get(app, database.id).await?;
                    continue;
                }
                marked => database = marked?,
            }
            app.storage.remove_for_good(&app.limits, &keys::definition(database.uid)).await?;
        }
        match app.catalog.delete_database(&database).await {
            Err(e) if e.kind() == ErrorKind::Conflict => database = get(app, database.id).await?,
            deleted => return deleted.map(|()| database),
        }
    }
    let id = database.id;
    Err(Error::conflict("remove a database", format!("database {id} changes too often")).with_retryable(true))
}

/// Backups that wait have nothing left to dump.
async fn cancel_waiting(app: &App, backups: &[Job]) -> Result<()> {
    for job in backups.iter().filter(|job| job.status == Status::Queued) {
        jobs::cancel(app, job.id).await?;
    }
    Ok(())
}

async fn all_jobs(app: &App, id: DatabaseId) -> Result<Vec<Job>> {
    let filter = JobFilter { database_id: Some(id), ..JobFilter::default() };
    let (mut jobs, mut after): (Vec<Job>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = app.catalog.jobs(&filter, after, 1_000).await?;
        after = page.last().map(Cursor::after);
        if after.is_none() {
            return Ok(jobs);
        }
        jobs.extend(page);
    }
}

/// Marks every job first, so that a crash leaves deletions to finish and nothing forgotten.
async fn delete_all(app: &App, doomed: &[Job]) -> Result<()> {
    let now = app.now();
    for job in doomed {
        let mut job = job.clone();
        if job.status == Status::Queued {
            job = jobs::update(app, job.id, |job| {
                if job.status == Status::Queued { job.cancel(now) } else { Ok(()) }
            })
            .await?;
        }
        // The counts go with the database, but should this die half-way, the database stays.
        aftermath::see_to(app, &job).await?;
        jobs::update(app, job.id, Job::delete).await?;
    }
    for job in doomed {
        if let Some(job) = app.catalog.job(job.id).await? {
            crate::backup::sweep::finish_deletion(app, &job).await?;
        }
    }
    Ok(())
}

/// Connects to a database as a dump would, and says what was found.
pub async fn test(app: &App, id: DatabaseId) -> Result<Probe> {
    let database = get(app, id).await?;
    let kind = database.settings.engine;
    let engine = engine::engine(kind).ok_or_else(|| not_built(kind))?;
    let login = login(app, &database).await?;
    let staging = Staging::for_probe(app)?;
    let log = JobLog::new(&app.clock, 0, login.redactor());
    let source = Source {
        settings: database.settings,
        login,
        toolbox: Arc::clone(&app.toolbox),
        staging: staging.path().to_owned(),
        sqlite_roots: app.limits.sqlite_roots.clone(),
        log,
    };
    engine.probe(&source).await
}

/// Why this database cannot be backed up by this installation, if so: its engine is not built here,
/// or a variable that holds its credentials is missing.
pub async fn held_back(app: &App, database: &Database) -> Result<Option<String>> {
    if let Err(e) = refuse_unbuilt(&database.settings) {
        return Ok(Some(e.message().to_owned()));
    }
    match login(app, database).await {
        Ok(_) => Ok(None),
        Err(e) if e.kind() == ErrorKind::Config => Ok(Some(e.message().to_owned())),
        Err(e) => Err(e),
    }
}

/// The refusal of an engine that this build does not have.
pub(crate) fn not_built(kind: EngineKind) -> Error {
    let built = engine::built().join(", ");
    Error::invalid("engine", format!("the engine {kind} is not built yet in this version; built are {built}"))
}

/// A database by its name in storage. It reads them all: meant for repeated requests, which are rare.
pub async fn find_by_uid(app: &App, uid: DatabaseUid) -> Result<Option<Database>> {
    let mut after = None;
    loop {
        let page = app.catalog.databases(after, 1_000).await?;
        if let Some(found) = page.iter().find(|database| database.uid == uid) {
            return Ok(Some(found.clone()));
        }
        let Some(last) = page.last() else { return Ok(None) };
        after = Some(last.id);
    }
}
