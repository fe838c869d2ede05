//! Engines: one kind of database each, and how it is dumped.
//!
//! # Adding an engine
//! Write one file (or folder) beside these with a unit struct that is an [`Engine`], and add it to
//! [`engine`], the one list. An engine reaches its source through [`Source`], gives the dump's bytes
//! to a [`RawSink`], and answers with what its [`Observer`] saw, which is also its
//! completeness rule: it never answers `Ok` for a dump that it cannot prove to be whole.
//! `CONTRIBUTING.md` has the recipe with the tests that go with it.

pub mod account;
pub mod feed;
pub mod mongodb;
pub mod mysql;
pub mod observe;
pub mod postgres;
pub mod process;
pub(crate) mod pump;
pub mod restore;
pub mod scratch;
pub mod sink;
mod source;
pub mod sqlite;
mod toolbox;
mod wording;

use async_trait::async_trait;

pub use self::observe::Observed;
use self::observe::Observer;
pub use self::restore::{
    Dump, DumpFacts, DumpSource, Loaded, Present, Refusal, Restorer, Survey, Target, WasSwapped,
};
use self::scratch::ScratchServers;
pub use self::sink::{Meter, RawSink};
pub use self::source::{JobLog, ResolvedLogin, Source};
pub use self::toolbox::{Tool, Toolbox};
use crate::Result;
use crate::limits::Limits;
use crate::model::{DumpFormat, EngineKind, Settings};

/// What a test of a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The server's version, as it says it.
    pub server_version: String,
    /// The tool that would dump it, with its version; none where no tool is needed.
    pub tool: Option<String>,
    /// The database's size in bytes, where the server tells.
    pub size_bytes: Option<u64>,
}

/// One kind of database.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Checks what of the settings only this engine can judge, without touching the source.
    fn validate(&self, settings: &Settings, limits: &Limits) -> Result<()>;

    /// Whether its databases live on a server that has a host and a port.
    fn has_server(&self) -> bool {
        true
    }

    /// The modes of `tls`, in the engine's words.
    fn tls_modes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reaches the source as a dump would and says what is there, or in one line what is wrong and how
    /// to mend it.
    async fn probe(&self, source: &Source) -> Result<Probe>;

    /// Streams a dump. `Ok` means that the completeness rule held.
    async fn dump(&self, source: &Source, sink: &mut RawSink) -> Result<Observed>;

    /// How its dumps are put back; none where this build cannot yet.
    fn restorer(&self) -> Option<&dyn Restorer> {
        None
    }

    /// Where its dumps are test-restored; none where this build cannot yet.
    fn scratch(&self) -> Option<&dyn ScratchServers> {
        None
    }

    /// What watches a dump of that shape on its way in, and decides whether it is whole.
    fn observer(&self, format: DumpFormat) -> Box<dyn Observer>;

    /// The same for a file that somebody uploaded: both when it comes in and whenever it is loaded.
    fn upload_observer(&self, format: DumpFormat) -> Box<dyn Observer> {
        self.observer(format)
    }
}

/// The engine for a kind of database; none where this build has none yet.
pub fn engine(kind: EngineKind) -> Option<&'static dyn Engine> {
    match kind {
        EngineKind::Postgres => Some(&postgres::Postgres),
        EngineKind::Sqlite => Some(&sqlite::Sqlite),
        EngineKind::Mysql | EngineKind::Mariadb => Some(&mysql::Mysql),
        EngineKind::Mongodb => Some(&mongodb::Mongodb),
        EngineKind::Neo4j | EngineKind::Oracle => None,
    }
}

/// The kinds that this build can dump, for messages.
pub fn built() -> Vec<&'static str> {
    use EngineKind::{Mariadb, Mongodb, Mysql, Neo4j, Oracle, Postgres, Sqlite};
    [Postgres, Mysql, Mariadb, Sqlite, Mongodb, Neo4j, Oracle]
        .into_iter()
        .filter(|kind| engine(*kind).is_some())
        .map(EngineKind::as_str)
        .collect()
}
