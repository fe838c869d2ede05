//! MongoDB: `mongodump` where it is installed, else a dumper of our own over the official driver. Both write the
//! same archive, so either's dumps are restored by either.
//!
//! What was tested: a fixture that speaks MongoDB's protocol ("not mongod"), recorded and simulated tools. No real
//! server and none of its real tools were met; `docs/mongodb.md` says what that leaves open.

mod address;
pub mod archive;
mod connect;
mod dump;
mod explain;
mod restore;
mod scratch;
mod server;
mod tools;

use async_trait::async_trait;

pub(crate) use self::address::well_formed;
use self::archive::ArchiveObserver;
use self::connect::Session;
use super::observe::{Observed, Observer};
use super::scratch::ScratchServers;
use super::sink::RawSink;
use super::source::Source;
use super::{Engine, Probe, Restorer};
use crate::limits::Limits;
use crate::model::{DumpFormat, Settings};
use crate::{Error, Result};

/// The longest name of a database, in bytes.
const LONGEST_NAME: usize = 63;
/// What no name of a database holds.
const NOT_IN_NAMES: &[char] = &['/', '\\', '.', ' ', '"', '$'];
/// Databases that belong to the server itself.
const SYSTEM: [&str; 2] = ["local", "config"];
/// The longest name of a collection, in bytes, and how many may be chosen.
const LONGEST_COLLECTION: usize = 255;
const MOST_COLLECTIONS: usize = 10_000;

/// The engine for MongoDB.
pub struct Mongodb;

#[async_trait]
impl Engine for Mongodb {
    fn validate(&self, settings: &Settings, _limits: &Limits) -> Result<()> {
        name(&settings.database_name)?;
        collections(settings)?;
        if let Some(mode) = settings.tls.as_deref().filter(|mode| !address::TLS_MODES.contains(mode)) {
            let allowed = address::TLS_MODES.join(", ");
            return Err(Error::invalid("tls", format!("{mode:?} is no mode; allowed are {allowed}")));
        }
        for (field, value) in [("auth_source", &settings.auth_source), ("replica_set", &settings.replica_set)]
        {
            if value
                .as_ref()
                .is_some_and(|value| value.trim().is_empty() || value.chars().any(char::is_control))
            {
                return Err(Error::invalid(
                    field,
                    "it is empty or has control characters; leave it out, or name one",
                ));
            }
        }
        if settings.oplog {
            let message = "the oplog is that of a whole replica set, and a backup here is of one database: it could \
                           not be replayed into it alone";
            return Err(Error::invalid("oplog", message).with_mend(
                "leave it out: where the server is a member of a replica set of 5.0 or newer, and mongodump is not \
                 installed, a dump is of one point in time without it",
            ));
        }
        Ok(())
    }

    fn tls_modes(&self) -> &'static [&'static str] {
        &address::TLS_MODES
    }

    async fn probe(&self, source: &Source) -> Result<Probe> {
        let session = Session::open(source).await?;
        let server = server::ask(&session).await?;
        server::chosen(&source.settings, server::list(&session).await?)?;
        let tool = tools::find(source, tools::DUMP).await;
        Ok(Probe {
            size_bytes: server::size_bytes(&session).await?,
            server_version: server.version,
            tool: Some(tool.map_or_else(|| "built-in".to_owned(), |tool| tool.version)),
        })
    }

    async fn dump(&self, source: &Source, sink: &mut RawSink) -> Result<Observed> {
        dump::dump(source, sink).await
    }

    fn restorer(&self) -> Option<&dyn Restorer> {
        Some(self)
    }

    fn scratch(&self) -> Option<&dyn ScratchServers> {
        Some(self)
    }

    fn observer(&self, _format: DumpFormat) -> Box<dyn Observer> {
        Box::new(ArchiveObserver::new())
    }

    fn upload_observer(&self, _format: DumpFormat) -> Box<dyn Observer> {
        Box::new(ArchiveObserver::foreign())
    }
}

fn name(name: &str) -> Result<()> {
    let refused = |why: String| Err(Error::invalid("database_name", why));
    if name.len() > LONGEST_NAME {
        return refused(format!("it has {} bytes; MongoDB allows {LONGEST_NAME}", name.len()));
    }
    if name.contains(NOT_IN_NAMES) {
        return refused("a database's name in MongoDB has no / \\ . \" $ and no space".to_owned());
    }
    if SYSTEM.contains(&name) {
        return refused(format!("{name} belongs to each server itself: back up a database of your own"));
    }
    Ok(())
}

fn collections(settings: &Settings) -> Result<()> {
    let refused = |why: String| Err(Error::invalid("collections", why));
    if settings.collections.len() > MOST_COLLECTIONS {
        return refused(format!(
            "it has {} names; at most {MOST_COLLECTIONS} are allowed",
            settings.collections.len()
        ));
    }
    for name in &settings.collections {
        if name.is_empty() || name.len() > LONGEST_COLLECTION || name.chars().any(char::is_control) {
            return refused(
                "each is a collection's name of 1 to 255 bytes, without control characters".to_owned(),
            );
        }
        if server::is_systems(name) {
            return refused(format!("{name:?} belongs to the server itself"));
        }
    }
    if settings.users_and_roles && !settings.collections.is_empty() {
        return refused(
            "users and roles belong to the whole database: leave collections out, or users_and_roles"
                .to_owned(),
        );
    }
    Ok(())
}
