//! A database's definition in storage, from which a lost catalog is rebuilt.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::jobs;
use crate::keyring::MasterKey;
use crate::keys;
use crate::model::signed;
use crate::model::{Credentials, Database, DatabaseId, DatabaseUid, Settings};
use crate::{Error, ErrorKind, Result};

/// What is stored. Credentials stand in it only sealed, or as names of variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The version of this format.
    pub format: u32,
    /// The database's name in storage.
    pub uid: DatabaseUid,
    /// Its number in the catalog that wrote this.
    pub id: DatabaseId,
    /// Its entry in `config.yaml`, if it has one.
    pub config_id: Option<String>,
    /// When it was registered; older versions left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Its settings.
    pub settings: Settings,
    /// How its credentials are had.
    pub credentials: Credentials,
}

const STORED: signed::Kind = signed::Kind("definition");

impl Definition {
    /// The bytes to store, signed: a host that somebody else wrote into storage is not where passwords go.
    pub fn encode(&self, key: &MasterKey) -> Result<Vec<u8>> {
        STORED.encode(self, key)
    }

    /// Reads a stored definition and says whether its signature is ours.
    pub fn decode(bytes: &[u8], key: &MasterKey) -> Result<(Self, bool)> {
        STORED.decode(bytes, key)
    }

    /// Reads a stored definition without asking whose it is: for whoever has no key.
    pub fn decode_unchecked(bytes: &[u8]) -> Result<Self> {
        STORED.decode_unchecked(bytes)
    }
}

/// Writes the definition and marks it as fresh. A failure leaves it marked as stale, and a tick tries
/// again. Answers the newest record.
pub(crate) async fn write(app: &App, mut database: Database) -> Result<Database> {
    for _ in 0..jobs::MOST_CONFLICTS {
        put(app, &database).await?;
        let fresh = Database { definition_stale: false, definition_retry_at: None, ..database.clone() };
        match app.catalog.update_database(&fresh).await {
            Err(e) if e.kind() == ErrorKind::Conflict => {}
            updated => return updated,
        }
        // Changed in the meantime, and perhaps already written by whoever changed it: then what was
        // just written lies over something newer.
        match app.catalog.database(database.id).await? {
            Some(newer) => database = newer,
            None => return withdraw(app, database).await,
        }
    }
    let id = database.id;
    Err(Error::conflict("write a definition", format!("database {id} changes too often"))
        .with_retryable(true))
}

async fn put(app: &App, database: &Database) -> Result<()> {
    let definition = Definition {
        format: 1,
        uid: database.uid,
        id: database.id,
        config_id: database.config_id.clone(),
        created_at: Some(database.created_at),
        settings: database.settings.clone(),
        credentials: database.credentials.clone(),
    };
    app.storage.put(&keys::definition(database.uid), definition.encode(&app.key)?).await
}

/// Takes back what was written of a database that was removed in the meantime, unless it kept backups.
async fn withdraw(app: &App, database: Database) -> Result<Database> {
    if app.storage.list(&keys::database_prefix(database.uid)).await?.is_empty() {
        app.storage.delete(&keys::definition(database.uid)).await?;
    }
    Ok(database)
}
