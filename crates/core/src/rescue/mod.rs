//! Rescue: what can be done with storage alone, when catalog and server are gone.
//!
//! Storage holds all that a restore needs: artifacts, manifests and definitions (`docs/format.md`). A
//! [`Rescue`] looks through them ([`shelf`]), copies an artifact out ([`fetch`], [`directory`]) and builds a new catalog
//! from them ([`rebuild`]). It writes nothing into storage. Whatever lies there that is not ours, or is damaged,
//! is told with its reason and stops nothing.

pub mod directory;
pub mod fetch;
pub mod find;
pub mod list;
pub mod rebuild;
pub mod restore;
pub mod shelf;
pub mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};

pub use self::find::Wanted;
pub use self::shelf::{Fault, Found, Shelf, Signature};
pub use self::target::TargetUrl;
use crate::databases::Definition;
use crate::keyring::MasterKey;
use crate::keys;
use crate::model::{DatabaseUid, JobId};
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

/// Backups that are looked at at the same time: reading a manifest is mostly waiting for the store.
const AT_ONCE: usize = 8;
/// No definition is longer, in bytes.
const LONGEST_DEFINITION: usize = 1024 * 1024;

/// Storage, and the key of the installation that filled it, where somebody has it.
#[derive(Clone)]
pub struct Rescue {
    /// Where everything lies.
    pub storage: Storage,
    /// The master key. Without it nothing tells whose manifests these are.
    pub key: Option<Arc<MasterKey>>,
}

/// A definition, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defined {
    /// What it says.
    pub definition: Definition,
    /// Who signed it.
    pub signature: Signature,
}

/// The databases that storage knows of.
#[derive(Debug, Default)]
pub struct Databases {
    /// Each with its definition; none where that is missing, or why it cannot be read.
    pub known: BTreeMap<DatabaseUid, Option<Result<Defined>>>,
    /// Names below `backups/` and `databases/` that are not Respaldo's.
    pub foreign: usize,
}

/// The backups of one database, oldest first.
#[derive(Debug, Default)]
pub struct Backups {
    /// Their ids.
    pub ids: Vec<JobId>,
    /// Names among them that are not Respaldo's.
    pub foreign: usize,
}

impl Rescue {
    /// Every database that has a definition or backups, in the order in which they were registered.
    pub async fn databases(&self) -> Result<Databases> {
        let mut databases = Databases::default();
        for name in self.storage.names(keys::BACKUPS).await? {
            match folder_id::<DatabaseUid>(&name) {
                Some(uid) => _ = databases.known.insert(uid, None),
                None => databases.foreign += 1,
            }
        }
        for name in self.storage.names(keys::DEFINITIONS).await? {
            match name.strip_suffix(".json").and_then(|name| name.parse().ok()) {
                Some(uid) => _ = databases.known.insert(uid, self.definition(uid).await?),
                None => databases.foreign += usize::from(!keys::is_partial(&name)),
            }
        }
        Ok(databases)
    }

    /// The ids of a database's backups: what this holds of each is 16 bytes, so that a hundred thousand of
    /// them are in order without being held.
    pub async fn backups(&self, database: DatabaseUid) -> Result<Backups> {
        let mut backups = Backups::default();
        for name in self.storage.names(&keys::database_prefix(database)).await? {
            match folder_id::<JobId>(&name) {
                Some(id) => backups.ids.push(id),
                None => backups.foreign += 1,
            }
        }
        Ok(backups)
    }

    /// What lies in storage of each of these backups, in their order.
    pub fn shelves<'a>(
        &'a self,
        database: DatabaseUid,
        ids: &'a [JobId],
    ) -> impl Stream<Item = Result<Shelf>> + Send + 'a {
        stream::iter(ids).map(move |id| self.shelf(database, *id)).buffered(AT_ONCE)
    }

    async fn definition(&self, uid: DatabaseUid) -> Result<Option<Result<Defined>>> {
        let key = keys::definition(uid);
        let bytes = match self.storage.get(&key, LONGEST_DEFINITION).await {
            Err(e) if e.kind() == ErrorKind::Corrupt => return Ok(Some(Err(e))),
            read => read?,
        };
        Ok(bytes.map(|bytes| {
            let damaged = |why: String| Error::new(ErrorKind::Corrupt, "read a definition", why);
            let (definition, signature) = match &self.key {
                None => Definition::decode_unchecked(&bytes).map(|read| (read, Signature::NotChecked)),
                Some(key) => Definition::decode(&bytes, key).map(|(read, ours)| (read, Signature::of(ours))),
            }
            .map_err(|e| damaged(format!("{key}: {}", e.message())))?;
            if definition.uid != uid {
                return Err(damaged(format!("{key} describes another database, {}", definition.uid)));
            }
            Ok(Defined { definition, signature })
        }))
    }
}

/// The id that a folder is named by.
fn folder_id<T: std::str::FromStr>(name: &str) -> Option<T> {
    name.strip_suffix('/')?.parse().ok()
}
