//! Databases: register, look up, change, test, remove.

use serde_json::{Map, Value};

use crate::Result;
use crate::app::App;
use crate::engine::Probe;
use crate::model::{Database, DatabaseId, DatabaseUid};
use crate::ports::SecretString;

/// A user name and a password as somebody gave them.
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

/// A request to register a database.
#[derive(Debug, Default)]
pub struct Registration {
    /// Fields of [`crate::model::Settings`] by name; those missing come from the installation's defaults.
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
    let _ = (app, registration);
    todo!()
}

/// One database, or `NotFound`.
pub async fn get(app: &App, id: DatabaseId) -> Result<Database> {
    let _ = (app, id);
    todo!()
}

/// Databases by number, ascending.
pub async fn list(app: &App, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
    let _ = (app, after, limit);
    todo!()
}

/// Changes fields of a database.
pub async fn change(app: &App, id: DatabaseId, change: Change) -> Result<Database> {
    let _ = (app, id, change);
    todo!()
}

/// Removes a database. While it has backups, somebody must say what becomes of them.
pub async fn remove(app: &App, id: DatabaseId, fate: Option<BackupsFate>) -> Result<()> {
    let _ = (app, id, fate);
    todo!()
}

/// Connects to a database as a dump would, and says what was found.
pub async fn test(app: &App, id: DatabaseId) -> Result<Probe> {
    let _ = (app, id);
    todo!()
}

/// Why this database cannot be backed up by this installation, if so: its engine is not built here,
/// or a variable that holds its credentials is missing.
pub async fn held_back(app: &App, database: &Database) -> Option<String> {
    let _ = (app, database);
    todo!()
}
