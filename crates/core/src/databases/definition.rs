//! A database's definition in storage, from which a lost catalog is rebuilt.

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::keys;
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
    /// Its settings.
    pub settings: Settings,
    /// How its credentials are had.
    pub credentials: Credentials,
}

/// Writes the definition and marks it as fresh. A failure leaves it marked as stale, and a tick tries
/// again.
pub(crate) async fn write(app: &App, database: Database) -> Result<Database> {
    let definition = Definition {
        format: 1,
        uid: database.uid,
        id: database.id,
        config_id: database.config_id.clone(),
        settings: database.settings.clone(),
        credentials: database.credentials.clone(),
    };
    let json =
        serde_json::to_vec_pretty(&definition).map_err(|e| Error::internal("write a definition", e))?;
    app.storage.put(&keys::definition(database.uid), json).await?;
    let mut fresh = Database { definition_stale: false, ..database };
    match app.catalog.update_database(&fresh).await {
        Ok(updated) => Ok(updated),
        // Changed in the meantime: whoever changed it writes it again.
        Err(e) if e.kind() == ErrorKind::Conflict => {
            fresh.definition_stale = true;
            Ok(fresh)
        }
        Err(e) => Err(e),
    }
}
