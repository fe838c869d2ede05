//! Carrying a sync plan out: everything is validated before anything is written.

use jiff::Timestamp;

use super::sync::{Action, Step, plan};
use super::{Config, Entry};
use crate::app::App;
use crate::databases;
use crate::model::{Credentials, Database, DatabaseId, DatabaseUid, Settings};
use crate::ports::{Catalog, Event};
use crate::{Error, ErrorKind, Limits, Result};

/// How often the plan is made anew when the catalog changes under it.
const MOST_TRIES: usize = 5;

/// What became of one database of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What ties the entry to its record.
    pub config_id: String,
    /// The record.
    pub database_id: DatabaseId,
    /// What was done.
    pub action: Action,
    /// Why, in one line.
    pub reason: String,
}

/// What would become of one database of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Previewed {
    /// What ties the entry to its record.
    pub config_id: String,
    /// The record; none when it would be created.
    pub database_id: Option<DatabaseId>,
    /// What would be done.
    pub action: Action,
    /// Why, in one line.
    pub reason: String,
}

/// Merges the file into the catalog. Nothing is written unless every step is valid; a step that meets
/// a concurrent change is planned anew.
pub async fn apply(app: &App, config: &Config) -> Result<Vec<Applied>> {
    let mut done = Vec::new();
    for _ in 0..MOST_TRIES {
        let catalog = all_databases(&*app.catalog).await?;
        match try_apply(app, &config.databases, &catalog, &mut done).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            Err(e) => return Err(e),
            Ok(()) => return Ok(done),
        }
    }
    Err(Error::conflict("apply the config", "databases keep changing; try again").with_retryable(true))
}

/// What [`apply`] would do, validated as there; nothing is written.
pub async fn preview(
    catalog: &dyn Catalog,
    limits: &Limits,
    now: Timestamp,
    config: &Config,
) -> Result<Vec<Previewed>> {
    let databases = all_databases(catalog).await?;
    let plan = plan(&config.databases, &databases);
    let mut previewed = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        if step.action != Action::Unchanged {
            Change::of(limits, now, step, &databases)?;
        }
        previewed.push(Previewed {
            config_id: step.config_id.clone(),
            database_id: step.database_id,
            action: step.action.clone(),
            reason: step.reason.clone(),
        });
    }
    Ok(previewed)
}

async fn try_apply(
    app: &App,
    entries: &[Entry],
    catalog: &[Database],
    done: &mut Vec<Applied>,
) -> Result<()> {
    let plan = plan(entries, catalog);
    let changes = plan
        .changes()
        .map(|step| Change::of(&app.limits, app.now(), step, catalog))
        .collect::<Result<Vec<_>>>()?;
    for change in changes {
        let database = change.target.write(app, &change.step.config_id).await?;
        done.push(Applied {
            config_id: change.step.config_id.clone(),
            database_id: database.id,
            action: change.step.action.clone(),
            reason: change.step.reason.clone(),
        });
    }
    Ok(())
}

/// A valid step.
struct Change<'a> {
    step: &'a Step,
    target: Target,
}

enum Target {
    New {
        settings: Box<Settings>,
        credentials: Credentials,
        synced: Option<serde_json::Map<String, serde_json::Value>>,
    },
    Old {
        old: Box<Database>,
        new: Box<Database>,
    },
}

impl<'a> Change<'a> {
    fn of(limits: &Limits, now: Timestamp, step: &'a Step, catalog: &[Database]) -> Result<Self> {
        let told = |e: Error| {
            let field = e.field().map(|field| format!("databases.{}.{field}", step.config_id));
            match field {
                Some(field) => e.with_field(field),
                None => e,
            }
        };
        let record = step.database_id.and_then(|id| catalog.iter().find(|database| database.id == id));
        let target = match record {
            None => {
                let (settings, credentials) = step.new_settings()?;
                let settings = Box::new(databases::validate(settings, limits).map_err(told)?);
                Target::New { settings, credentials, synced: step.synced().cloned() }
            }
            Some(record) => {
                let merged = step.merge(record).map_err(told)?;
                if merged.settings.engine != record.settings.engine {
                    return Err(told(another_engine(record)));
                }
                let settings = databases::validate(merged.settings.clone(), limits).map_err(told)?;
                let base = Database { settings: record.settings.clone(), ..merged };
                let new = Box::new(databases::with_settings(base, settings, now)?);
                Target::Old { old: Box::new(record.clone()), new }
            }
        };
        Ok(Self { step, target })
    }
}

/// Its backups would be of the one engine and its next ones of the other, in one row for retention.
fn another_engine(record: &Database) -> Error {
    let why = format!("an engine cannot be changed, and this one is {}", record.settings.engine);
    Error::invalid("engine", why)
        .with_mend("give the entry an id of its own: the old database is disabled then, and its backups stay")
}

impl Target {
    async fn write(self, app: &App, config_id: &str) -> Result<Database> {
        match self {
            Self::New { settings, credentials, synced } => {
                let uid = claimed_uid(app, config_id).await?;
                // Where another server was faster, this is a conflict, and the next plan meets its record.
                databases::create(app, uid, Some(config_id.to_owned()), *settings, credentials, synced).await
            }
            Self::Old { old, new } => {
                let updated = databases::store_change(app, &old, &new).await?;
                app.events.publish(Event::DatabaseChanged(Box::new(updated.clone()))).await?;
                databases::define(app, updated).await
            }
        }
    }
}

/// One entry of the file becomes one database, however many servers read it at once: the entry's id is
/// claimed for a `uid`, and a `uid` can be stored once.
async fn claimed_uid(app: &App, config_id: &str) -> Result<DatabaseUid> {
    let now = app.now();
    let fresh = DatabaseUid(app.ids.ulid(now));
    let key = claim_of_entry(config_id);
    match app.catalog.claim(&key, &fresh.to_string(), now, None).await? {
        None => Ok(fresh),
        Some(earlier) => earlier.parse(),
    }
}

/// The claim that ties an entry of the file to the `uid` of its database.
pub(crate) fn claim_of_entry(config_id: &str) -> String {
    format!("config/{config_id}")
}

async fn all_databases(catalog: &dyn Catalog) -> Result<Vec<Database>> {
    let mut all: Vec<Database> = Vec::new();
    loop {
        let page = catalog.databases(all.last().map(|database| database.id), 1_000).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}
