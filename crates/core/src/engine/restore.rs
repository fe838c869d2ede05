//! How an engine puts a dump back.
//!
//! A restore is driven by `crate::restore`, which keeps the journal, takes the safety backup and checks
//! the artifact; what a kind of database needs for it is a [`Restorer`]. Every step is idempotent, because
//! a worker may die behind it and the next one takes it again: what has been done is found out from the
//! server, never remembered.

use std::io::Read;
use std::sync::Arc;

use async_trait::async_trait;

use super::observe::Observer;
use super::{Engine, Meter, Observed, Source};
use crate::fingerprint::Fingerprint;
use crate::model::{BackupKind, DumpFormat, EngineKind, RestoreMode, RestoreOptions};
use crate::{Error, Result};

/// What is known of a dump before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpFacts {
    /// The kind of database it was taken of.
    pub engine: EngineKind,
    /// Its shape.
    pub format: DumpFormat,
    /// How its backup came to be.
    pub kind: BackupKind,
    /// The name of its database on the server that it came from.
    pub database_name: String,
    /// The version of that server, as the dump told it.
    pub server_version: Option<String>,
    /// The version of the tool that made it.
    pub tool_version: Option<String>,
    /// Its bytes; more than that are refused.
    pub raw_bytes: u64,
    /// What it holds; none where that is sealed and no identity opens it.
    pub fingerprint: Option<Fingerprint>,
    /// Whether this installation made it (its manifest's HMAC is ours) from a database, and not from a
    /// file that somebody uploaded. Any other SQL is hostile.
    pub trusted: bool,
}

/// A dump, opened: its bytes as the engine's tool wrote them, checked as they come.
pub struct Dump(pub(crate) Box<dyn Read + Send>);

impl Dump {
    /// A dump that is read from there.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self(Box::new(reader))
    }
}

impl Read for Dump {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A dump that can be opened more than once: its beginning tells what it holds before it is loaded.
#[derive(Clone)]
pub struct DumpSource(Arc<dyn Fn() -> Result<Dump> + Send + Sync>);

impl DumpSource {
    /// A dump that this opens, each time from its beginning. It may block.
    pub fn new(open: impl Fn() -> Result<Dump> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Opens it.
    pub async fn open(&self) -> Result<Dump> {
        let open = Arc::clone(&self.0);
        let opened = tokio::task::spawn_blocking(move || open()).await;
        opened.map_err(|e| Error::internal("open the dump", e))?
    }
}

/// Where a dump goes, and how.
pub struct Target {
    /// How to reach it: `settings.database_name` is the target's name. Its staging folder is the
    /// attempt's own.
    pub at: Source,
    /// The name under which the dump is loaded before a swap. It follows from the restore's id, so that
    /// whoever takes the restore over finds it.
    pub aside: String,
    /// The name under which a swap keeps what was the target.
    pub kept: String,
    /// How.
    pub options: RestoreOptions,
    /// The dump.
    pub dump: DumpFacts,
    /// Whether there was something by the target's name when the restore was asked for.
    pub replaces: bool,
    /// Counts what is loaded.
    pub meter: Arc<Meter>,
    /// Whether SQL that this installation did not make may be loaded as a superuser.
    pub allow_superuser: bool,
    /// A scratch database: tablespaces are left out, and, unless `ownership` is none, roles that the dump names
    /// and the server lacks are made.
    pub scratch: bool,
}

impl Target {
    /// The target's name.
    pub fn database_name(&self) -> &str {
        &self.at.settings.database_name
    }
}

/// What watches the dump on its way to the target.
pub(super) fn observer_for(engine: &dyn Engine, target: &Target) -> Box<dyn Observer> {
    match target.dump.kind {
        BackupKind::Uploaded => engine.upload_observer(target.dump.format),
        _ => engine.observer(target.dump.format),
    }
}

/// Why a restore cannot go as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What stands in the way, in one line.
    pub reason: String,
    /// What to do about it.
    pub mend: String,
    /// Whether `force` overrules it.
    pub forceable: bool,
}

/// Which of a restore's three databases are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Present {
    /// Something by the target's name.
    pub target: bool,
    /// Something that was loaded aside and not swapped.
    pub aside: bool,
    /// What a swap kept.
    pub kept: bool,
}

/// What an engine finds at a target. Nothing was changed to find it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The server's version, as it says it.
    pub server_version: String,
    /// What is there.
    pub present: Present,
    /// The target's size in bytes, where the server tells.
    pub size_bytes: Option<u64>,
    /// Who is connected to the target, a line each.
    pub connections: Vec<String>,
    /// The modes that this engine can restore this target in, the better one first.
    pub modes: Vec<RestoreMode>,
    /// Whether a crash in the middle of `in_place` leaves the target as it was.
    pub in_place_is_atomic: bool,
    /// How a swap that keeps nothing puts what was loaded into its place; none: in one transaction.
    pub swap_step: Option<&'static str>,
    /// What whoever restores should know.
    pub warnings: Vec<String>,
    /// What stands in the way.
    pub refusals: Vec<Refusal>,
}

/// What a load amounted to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// What the observer saw on the dump's way in: to be compared with the manifest.
    pub observed: Observed,
    /// What whoever restores should know.
    pub warnings: Vec<String>,
}

/// Whether a swap was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasSwapped {
    /// The target is what was restored.
    Yes,
    /// The target is what it was before.
    No,
    /// The target is neither: somebody has written to it since.
    Unknown,
}

/// How one kind of database is restored.
#[async_trait]
pub trait Restorer: Send + Sync {
    /// Whether a swap keeps what was the target, by another name on the same server.
    fn keeps(&self) -> bool;

    /// Looks at the target and at the tools, and changes nothing.
    async fn survey(&self, target: &Target) -> Result<Survey>;

    /// Loads the dump. `Swap`: into a new database called `aside`; what an earlier try left there is
    /// dropped first, and the target is not touched. `InPlace`: into the target, whose objects are dropped
    /// first; one transaction where the engine can. `Ok` means that the loader exited 0 *and* that the
    /// observer found the dump whole.
    async fn load(&self, target: &Target, dump: &DumpSource) -> Result<Loaded>;

    /// Puts what is aside into the target's place, in one step, and keeps what was there. A swap that was
    /// done before is left as it is. Connections in the way are ended only with `force`. (Its undo is
    /// a swap, too: with what was kept as what is aside, and another name to keep by.)
    async fn swap(&self, target: &Target) -> Result<()>;

    /// Whether the swap was taken by a worker that died in it, or behind it. `before`: what the target held
    /// when the safety backup was made of it.
    async fn was_swapped(&self, target: &Target, before: Option<&Fingerprint>) -> Result<WasSwapped> {
        let _names_tell = before;
        let present = self.survey(target).await?.present;
        let there = present.target && !present.aside && (present.kept || !target.replaces);
        Ok(if there { WasSwapped::Yes } else { WasSwapped::No })
    }

    /// Drops what was loaded aside, if it is there.
    async fn drop_aside(&self, target: &Target) -> Result<()>;

    /// Drops what a swap kept, if it is there.
    async fn drop_kept(&self, target: &Target) -> Result<()>;
}
