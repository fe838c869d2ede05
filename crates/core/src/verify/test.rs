//! The test itself: read, load, dump again, compare.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::borrowed::{self, Names, TestServer};
use super::run::Testing;
use super::verdict::{self, Ending};
use crate::backup::{Download, open};
use crate::databases;
use crate::engine::scratch::{Bench, Scratch, Specimen};
use crate::engine::{self, DumpFacts, Engine, Loaded, Observed, RawSink, Restorer, Source, Target};
use crate::fingerprint::Fingerprint;
use crate::model::{
    BackupKind, Manifest, Ownership, RestoreMode, RestoreOptions, Verification, VerificationStatus,
};
use crate::restore::target;
use crate::storage::Space;
use crate::{Error, ErrorKind, Result};

/// What a scratch server's data takes for each byte of the dump: tables with their indexes, and what is
/// written ahead. In tenths.
const ROOM_IN_TENTHS: u64 = 25;
/// What an empty server takes, in bytes.
const ROOM_OF_A_SERVER: u64 = 256 << 20;
/// So much of a dump's beginning tells its encoding and its locale.
const HEAD: u64 = 64 * 1024;

pub(super) type Tested<T> = std::result::Result<T, Ending>;

/// Tests one backup. `Ok` is a verdict, whichever; `Err` says nothing of the backup.
pub(super) async fn test(testing: &Testing<'_>) -> Result<Verification> {
    match examine(testing).await {
        Ok(verdict) => Ok(verdict),
        Err(Ending::Verdict(status, error)) => Ok(verdict::judged(status, &error, testing.app().now())),
        Err(Ending::Trouble(error)) => Err(error),
    }
}

async fn examine(testing: &Testing<'_>) -> Tested<Verification> {
    let app = testing.app();
    let backup = testing.job.test_restore().map_err(Ending::Trouble)?.backup;
    // Deletion waits while it lives.
    let reading = Download::open(app, backup).await.map_err(gone)?;
    let (manifest, ours) = target::manifest(app, reading.job()).await.map_err(verdict::reading)?;
    let facts = target::facts(&manifest, ours, &app.identities).map_err(verdict::reading)?;
    let trial = Trial::find(testing, manifest, facts)?;
    trial.has_room().await.map_err(Ending::Trouble)?;
    let begun = Instant::now();
    testing.log.info(format!("comparing {} with its digests", trial.manifest.name));
    testing.meter.reading_back();
    open::prove(&app.storage, &trial.manifest.artifact, &testing.meter).await.map_err(verdict::reading)?;
    let proven = begun.elapsed();
    // A server that starts, and what a loader does after its last byte, moves none.
    let _silence = testing.meter.hold();
    let mut scratch = trial.start().await?;
    testing.log.info(format!("loading it into a scratch database on {}", scratch.server));
    let tested = trial.through(&mut scratch, proven).await;
    scratch.stop().await;
    tested
}

/// A backup that somebody removed is no verdict, and trying again does not help.
fn gone(error: Error) -> Ending {
    Ending::Trouble(error.within("test a backup"))
}

/// A dump under test, and the engine that tests it.
pub(super) struct Trial<'a> {
    pub(super) testing: &'a Testing<'a>,
    manifest: Manifest,
    pub(super) facts: DumpFacts,
    expected: Fingerprint,
    pub(super) engine: &'static dyn Engine,
    pub(super) restorer: &'static dyn Restorer,
    /// The configured server that it is tested on; none: a private one.
    server: Option<&'a TestServer>,
}

impl<'a> Trial<'a> {
    fn find(testing: &'a Testing<'a>, manifest: Manifest, facts: DumpFacts) -> Tested<Self> {
        let untested = |error: Error| Ending::Verdict(VerificationStatus::NotVerified, error);
        let Some(expected) = facts.fingerprint.clone() else {
            let error = Error::new(
                ErrorKind::Denied,
                "open the artifact",
                "it is encrypted, and no identity here opens it",
            );
            return Err(untested(error.with_mend("set encryption.identity_file, or RESPALDO_IDENTITY")));
        };
        let engine =
            engine::engine(facts.engine).ok_or_else(|| untested(databases::not_built(facts.engine)))?;
        let restorer = engine.restorer().filter(|_| engine.scratch().is_some()).ok_or_else(|| {
            let message = format!("test restores of {} are not built yet in this version", facts.engine);
            untested(Error::new(ErrorKind::Tool, "test a backup", message))
        })?;
        if facts.kind == BackupKind::Uploaded && expected.0.is_empty() {
            let message =
                "what the uploaded file holds was not seen when it came in: there is nothing to compare";
            return Err(untested(Error::new(ErrorKind::Tool, "test a backup", message)));
        }
        // A superuser's SQL can start programs on the server's machine, and a configured server is not ours alone.
        if engine.has_server() && !facts.trusted && !testing.app().limits.allow_superuser {
            let message = "this installation did not make it, and its SQL would run as a superuser";
            let error = Error::new(ErrorKind::Denied, "test a backup", message);
            return Err(untested(error.with_mend("set restore.allow_superuser, if you trust the file")));
        }
        let server = TestServer::find(testing.app(), facts.engine);
        Ok(Self { testing, manifest, facts, expected, engine, restorer, server })
    }

    async fn has_room(&self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let folder = self.testing.folder();
        let free = Space::of(folder).await?.free_bytes;
        let server = if self.engine.has_server() { ROOM_OF_A_SERVER } else { 0 };
        let needed = (self.facts.raw_bytes / 10).saturating_mul(ROOM_IN_TENTHS).saturating_add(server);
        if needed < free {
            return Ok(());
        }
        let message = format!("it takes about {needed} bytes and {} has {free} free", folder.display());
        Err(Error::new(ErrorKind::Storage, "make a scratch server", message)
            .with_mend("free space, or move server.staging to a larger disk"))
    }

    async fn start(&self) -> Tested<Scratch> {
        let app = self.testing.app();
        let head = self.head().await.map_err(verdict::opening)?;
        let bench = Bench {
            folder: self.testing.folder().to_owned(),
            toolbox: Arc::clone(&app.toolbox),
            run_as: app.limits.run_as.clone(),
            password: self.testing.password.clone(),
            log: self.testing.log.clone(),
        };
        let specimen = Specimen { facts: &self.facts, head: &head };
        if let Some(server) = self.server {
            return borrowed::borrow(self, server, &bench, &specimen).await;
        }
        let servers =
            self.engine.scratch().ok_or_else(|| Ending::Trouble(databases::not_built(self.facts.engine)))?;
        servers.start(&bench, &specimen).await.map_err(verdict::starting)
    }

    /// The dump's beginning.
    async fn head(&self) -> Result<Vec<u8>> {
        let app = self.testing.app();
        let dump = open::source(&app.storage, &self.manifest, &app.identities).open().await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut head = Vec::new();
            let read = dump.take(HEAD).read_to_end(&mut head);
            read.map(|_| head).map_err(|e| crate::seal::read_error(&e))
        });
        read.await.map_err(|e| Error::internal("open the artifact", e))?
    }

    /// Loads, dumps again, compares.
    async fn through(&self, scratch: &mut Scratch, proven: Duration) -> Tested<Verification> {
        let target = self.target(scratch);
        let begun = Instant::now();
        let loaded = match self.load(&target).await {
            Ok(loaded) => loaded,
            Err(e) if self.server.is_some() => return Err(verdict::loading_elsewhere(e)),
            Err(e) => return Err(verdict::loading(e, scratch.is_alive())),
        };
        let took = proven + begun.elapsed();
        for warning in &loaded.warnings {
            self.testing.log.warn(warning);
        }
        self.testing.log.info("dumping the copy");
        let copy = match self.dump(&self.loaded_into(target)).await {
            Err(e) if e.kind() == ErrorKind::Tool && !e.is_retryable() => {
                return Err(Ending::Verdict(VerificationStatus::NotVerified, e));
            }
            copy => copy.map_err(|e| verdict::reading(e.within("dump the copy")))?,
        };
        let differences = self.differences(&loaded, &copy);
        Ok(verdict::compared(differences, took, self.testing.app().now()))
    }

    /// The copy. On a configured server it stays aside: nobody who watches that server can then be in the way of
    /// a swap.
    fn loaded_into(&self, target: Target) -> Source {
        let Target { mut at, aside, options, .. } = target;
        if self.server.is_some() && options.mode == RestoreMode::Swap {
            at.settings.database_name = aside;
        }
        at
    }

    async fn load(&self, target: &Target) -> Result<Loaded> {
        let app = self.testing.app();
        let dump = open::source(&app.storage, &self.manifest, &app.identities);
        let loaded = self.restorer.load(target, &dump).await?;
        if self.server.is_none() && target.options.mode == RestoreMode::Swap {
            self.restorer.swap(target).await?;
            self.restorer.drop_aside(target).await?;
        }
        Ok(loaded)
    }

    async fn dump(&self, source: &Source) -> Result<Observed> {
        let mut sink = RawSink::discarding(Arc::clone(&self.testing.meter));
        let observed = self.engine.dump(source, &mut sink).await?;
        sink.finish().await?;
        Ok(observed)
    }

    /// The tables in which the three do not agree: those that differ on the way in first.
    fn differences(&self, loaded: &Loaded, copy: &Observed) -> Vec<String> {
        let mut lines: Vec<String> = self.expected.differences(&loaded.observed.fingerprint);
        for line in self.expected.differences(&copy.fingerprint) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines
    }

    pub(super) fn target(&self, scratch: &Scratch) -> Target {
        let testing = self.testing;
        let app = testing.app();
        let (aside, options) = if self.server.is_some() {
            let names = Names::of(testing.job.id, testing.job.attempts.current);
            (names.aside, borrowed::options(scratch.mode))
        } else {
            let options = RestoreOptions { ownership: Ownership::Keep, ..borrowed::options(scratch.mode) };
            ("respaldo_scratch_loading".to_owned(), options)
        };
        Target {
            at: Source {
                settings: scratch.settings.clone(),
                login: scratch.login.clone(),
                toolbox: Arc::clone(&app.toolbox),
                staging: testing.folder().to_owned(),
                sqlite_roots: vec![testing.folder().to_owned()],
                log: testing.log.clone(),
            },
            aside,
            kept: "respaldo_scratch_before".to_owned(),
            replaces: scratch.exists,
            options,
            dump: self.facts.clone(),
            meter: Arc::clone(&testing.meter),
            allow_superuser: app.limits.allow_superuser || self.facts.trusted,
            scratch: true,
        }
    }
}
