//! Test restores on a server that somebody else has started (`verify.servers`).
//!
//! Each attempt makes databases whose names follow from the job's id and the attempt's number. Before it makes
//! any, it puts itself on the job's list of litter; when it ends, however it ends, it drops them and takes itself
//! off. What an attempt left that died in between is dropped by the job's next attempt, or, when the job has
//! ended, by a tick. Attempts share no name, so whoever has lost the job takes nothing from whoever has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::run::Testing;
use super::test::{Tested, Trial};
use super::verdict::{self, Ending};
use crate::app::App;
use crate::backup::staging::Staging;
use crate::databases;
use crate::engine::scratch::{Bench, Scratch, Specimen, settings};
use crate::engine::{self, DumpFacts, JobLog, Meter, Source, Target};
use crate::model::{
    BackupKind, DumpFormat, EngineKind, JobId, Ownership, RestoreMode, RestoreOptions, Settings,
    VerificationStatus,
};
use crate::redact::Redactor;
use crate::{Error, ErrorKind, Result};

const PREFIX: &str = "respaldo_verify";

/// A server on which dumps of one kind are test-restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestServer {
    /// The kind of database whose dumps it takes.
    pub engine: EngineKind,
    /// Its name or address, or the folder of its socket.
    pub host: String,
    /// Its port; none: the engine's own.
    pub port: Option<u16>,
    /// The variable that holds the user name.
    pub username_var: Option<String>,
    /// The variable that holds the password.
    pub password_var: Option<String>,
    /// How the connection is encrypted, in the engine's words.
    pub tls: Option<String>,
}

/// The names of an attempt's databases: the one that a dump is loaded for, and the one beside it.
pub(super) struct Names {
    pub(super) database: String,
    pub(super) aside: String,
}

impl Names {
    pub(super) fn of(id: JobId, attempt: u32) -> Self {
        let database = format!("{PREFIX}_{}_{attempt}", id.to_string().to_lowercase());
        Self { aside: format!("{database}_aside"), database }
    }
}

impl TestServer {
    /// The one that takes dumps of this kind, where the installation has one.
    pub(super) fn find(app: &App, engine: EngineKind) -> Option<&Self> {
        app.limits.test_servers.iter().find(|server| server.engine == engine)
    }

    /// Settings that reach a database there.
    pub(crate) fn reach(&self, facts: &DumpFacts, database_name: String) -> Settings {
        let reached = settings(facts, database_name);
        let port = self.port.or(self.engine.default_port());
        Settings {
            host: Some(self.host.clone()),
            port,
            tls: self.tls.clone(),
            engine: self.engine,
            ..reached
        }
    }

    /// What is known of a dump of which nothing is known.
    pub(crate) fn nothing(&self) -> DumpFacts {
        DumpFacts {
            engine: self.engine,
            format: DumpFormat::Plain,
            kind: BackupKind::Manual,
            database_name: PREFIX.to_owned(),
            server_version: None,
            tool_version: None,
            raw_bytes: 0,
            fingerprint: None,
            trusted: false,
        }
    }

    async fn source(&self, app: &App, database_name: String, desk: Desk<'_>) -> Result<Source> {
        let login = databases::referred(app, self.username_var.as_deref(), self.password_var.as_deref());
        Ok(Source {
            settings: self.reach(&self.nothing(), database_name),
            login: login.await.map_err(|e| told(self, e))?,
            toolbox: Arc::clone(&app.toolbox),
            staging: desk.folder.to_owned(),
            sqlite_roots: Vec::new(),
            log: desk.log.clone(),
        })
    }

    /// Drops what an attempt may have made here.
    async fn clear(&self, app: &App, (id, attempt): (JobId, u32), desk: Desk<'_>) -> Result<()> {
        let Some(restorer) = engine::engine(self.engine).and_then(engine::Engine::restorer) else {
            return Err(databases::not_built(self.engine));
        };
        let Names { database, aside } = Names::of(id, attempt);
        for name in [aside, database] {
            let target = Target {
                at: self.source(app, PREFIX.to_owned(), desk).await?,
                aside: name,
                kept: format!("{PREFIX}_kept"),
                replaces: false,
                options: options(RestoreMode::Swap),
                dump: self.nothing(),
                meter: Arc::<Meter>::default(),
                allow_superuser: false,
                scratch: true,
            };
            restorer.drop_aside(&target).await.map_err(|e| told(self, e))?;
        }
        Ok(())
    }
}

/// Where password files lie, and who is told.
#[derive(Clone, Copy)]
struct Desk<'a> {
    folder: &'a std::path::Path,
    log: &'a JobLog,
}

fn told(server: &TestServer, error: Error) -> Error {
    error.within(&format!("the {} server of verify.servers, {}", server.engine, server.host))
}

/// Roles are the server's: none is made for a dump, so nobody's ownership is restored.
pub(super) fn options(mode: RestoreMode) -> RestoreOptions {
    RestoreOptions { mode, ownership: Ownership::None, tables: Vec::new(), force: false }
}

/// Makes ready what a dump is loaded into there.
pub(super) async fn borrow(
    trial: &Trial<'_>,
    server: &TestServer,
    bench: &Bench,
    specimen: &Specimen<'_>,
) -> Tested<Scratch> {
    let testing = trial.testing;
    let (app, job) = (testing.app(), &testing.job);
    let desk = Desk { folder: testing.folder(), log: &testing.log };
    let makers = trial.engine.scratch().and_then(|makers| Some((makers, makers.borrowed_mode()?)));
    let (makers, mode) = makers.ok_or_else(|| Ending::Trouble(databases::not_built(trial.facts.engine)))?;
    let names = Names::of(job.id, job.attempts.current);
    let source = server.source(app, names.database.clone(), desk).await.map_err(Ending::Trouble)?;
    let mut scratch = Scratch {
        settings: server.reach(&trial.facts, names.database),
        login: source.login,
        mode,
        // Loading aside, it is made like that one; in place, the load makes it.
        exists: mode == RestoreMode::Swap,
        server: String::new(),
        process: None,
    };
    let found = trial.restorer.survey(&trial.target(&scratch)).await;
    let found = found.map_err(|e| verdict::starting(told(server, e)))?;
    if let Some(refusal) = found.refusals.into_iter().next() {
        let error = Error::new(ErrorKind::Tool, "use the server of verify.servers", refusal.reason);
        return Err(Ending::Verdict(VerificationStatus::NotVerified, error.with_mend(refusal.mend)));
    }
    scratch.server = format!("{} {} at {}", server.engine, found.server_version, server.host);
    for attempt in &job.attempts.litter {
        server.clear(app, (job.id, *attempt), desk).await.map_err(Ending::Trouble)?;
    }
    // Those before stay listed: what their servers were asked for last may be done only now.
    let listed = testing.held.change(|now, fence, _| now.may_leave(fence));
    listed.await.map_err(Ending::Trouble)?;
    testing.borrows.store(true, Ordering::Relaxed);
    makers.furnish(bench, &scratch, specimen).await.map_err(|e| verdict::starting(told(server, e)))?;
    Ok(scratch)
}

/// Drops what the current attempt has made.
pub(super) async fn give_back(testing: &Testing<'_>) -> Result<()> {
    let desk = Desk { folder: testing.folder(), log: &testing.log };
    let (id, attempt) = (testing.job.id, testing.job.attempts.current);
    clear_everywhere(testing.app(), (id, attempt), desk).await
}

/// Drops what an attempt of a job that has ended may have left. A server that has gone from the configuration
/// is out of reach.
pub(crate) async fn clear_away(app: &App, id: JobId, attempt: u32) -> Result<()> {
    let staging = Staging::for_probe(app)?;
    let log = JobLog::new(&app.clock, attempt, Redactor::default());
    clear_everywhere(app, (id, attempt), Desk { folder: staging.path(), log: &log }).await
}

/// The job does not tell which server it was; one that is away keeps no other from being cleared.
async fn clear_everywhere(app: &App, attempt: (JobId, u32), desk: Desk<'_>) -> Result<()> {
    let mut failed = None;
    for server in &app.limits.test_servers {
        if let Err(e) = server.clear(app, attempt, desk).await {
            failed = failed.or(Some(e));
        }
    }
    failed.map_or(Ok(()), Err)
}
