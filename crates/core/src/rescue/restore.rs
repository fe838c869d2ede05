//! Restoring a backup with storage, key and a target alone: no catalog, no job, no safety backup.
//!
//! Because nothing here could undo it, a target that is there is refused unless somebody insists.

use std::path::PathBuf;
use std::sync::Arc;

use ulid::Ulid;

use super::{Found, Rescue, Signature, TargetUrl};
use crate::backup::open;
use crate::engine::{
    DumpFacts, JobLog, Loaded, Meter, Refusal, ResolvedLogin, Restorer, Source, Survey, Target, Toolbox,
};
use crate::model::{JobId, Ownership, RestoreMode, RestoreOptions};
use crate::ports::Clock;
use crate::restore::{names, target};
use crate::seal::Identity;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "restore a backup";

/// What restoring takes beside the backup and the target.
pub struct Surroundings {
    /// Where engines' tools are found.
    pub toolbox: Arc<Toolbox>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What opens encrypted artifacts.
    pub identities: Vec<Identity>,
    /// A folder of this restore's own, readable by nobody else.
    pub staging: PathBuf,
    /// Whether SQL that this installation is not known to have made may be loaded as a superuser.
    pub allow_superuser: bool,
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub to: TargetUrl,
    /// How to log in there.
    pub login: ResolvedLogin,
    /// Replace what is there, in place.
    pub force: bool,
    /// What becomes of owners and grants.
    pub ownership: Ownership,
}

/// A restore that was looked at, and not begun.
pub struct Prepared {
    rescue: Rescue,
    found: Found,
    identities: Vec<Identity>,
    restorer: &'static dyn Restorer,
    target: Target,
    /// What the engine found at the target.
    pub survey: Survey,
    /// What would be done, step by step, in plain words.
    pub steps: Vec<String>,
    /// What whoever restores should know.
    pub warnings: Vec<String>,
    /// What stands in the way; [`Self::check`] says whether that ends it.
    pub refusals: Vec<Refusal>,
}

impl Rescue {
    /// Looks at backup and target, and changes neither.
    pub async fn prepare(&self, found: Found, request: Request, around: Surroundings) -> Result<Prepared> {
        let manifest = &found.manifest;
        let ours = found.signature == Signature::Ours;
        let facts = target::facts(manifest, ours, &around.identities)?;
        if !target::fits(facts.engine, request.to.engine) {
            let message = format!("a dump of {} does not fit a {} database", facts.engine, request.to.engine);
            return Err(Error::invalid("to", message));
        }
        let restorer = target::restorer(facts.engine)?;
        let id = restore_id(manifest.backup_id, &request.to);
        let identities = around.identities.clone();
        let mut target = target_of(request, around, facts, id)?;
        let mut survey = restorer.survey(&target).await.map_err(|e| e.within("look at the target"))?;
        target.replaces = survey.present.target;
        // What nobody asked to keep is not kept; a file is replaced in one transaction all the same.
        if !(survey.present.target && survey.modes.contains(&target.options.mode)) {
            target.options.mode = survey.modes.first().copied().unwrap_or(RestoreMode::Swap);
        }
        let (warnings, refusals) =
            (std::mem::take(&mut survey.warnings), std::mem::take(&mut survey.refusals));
        let rescue = self.clone();
        let steps = Vec::new();
        let mut prepared =
            Prepared { rescue, found, identities, restorer, target, survey, steps, warnings, refusals };
        prepared.judge();
        prepared.tell();
        Ok(prepared)
    }
}

impl Prepared {
    /// How it would be done.
    pub fn mode(&self) -> RestoreMode {
        self.target.options.mode
    }

    /// Whether it may be carried out.
    ///
    /// # Errors
    /// `Conflict` with everything that stands in the way and is not overruled.
    pub fn check(&self) -> Result<()> {
        let force = self.target.options.force;
        let standing: Vec<&Refusal> =
            self.refusals.iter().filter(|refusal| !(refusal.forceable && force)).collect();
        if standing.is_empty() {
            return Ok(());
        }
        let reasons: Vec<&str> = standing.iter().map(|refusal| refusal.reason.as_str()).collect();
        let mends: Vec<&str> = standing.iter().map(|refusal| refusal.mend.as_str()).collect();
        Err(Error::conflict(OPERATION, reasons.join("; ")).with_mend(mends.join("; ")))
    }

    /// Carries it out: the whole artifact is compared with its digests before the target is touched.
    pub async fn run(&self) -> Result<Loaded> {
        self.check()?;
        let (storage, manifest) = (&self.rescue.storage, &self.found.manifest);
        open::prove(storage, &manifest.artifact, &self.target.meter).await?;
        let dump = open::source(storage, manifest, &self.identities);
        let done = match self.restorer.load(&self.target, &dump).await {
            Ok(loaded) => self.finish(loaded).await,
            Err(e) => Err(e),
        };
        match done {
            Err(e) if self.mode() == RestoreMode::Swap => Err(self.clear(e).await),
            done => done,
        }
    }

    /// What the tools said, redacted.
    pub fn log_lines(&self) -> Vec<String> {
        self.target.at.log.drain().into_iter().map(|entry| entry.line).collect()
    }

    async fn finish(&self, loaded: Loaded) -> Result<Loaded> {
        if let Some(expected) = &self.target.dump.fingerprint
            && *expected != loaded.observed.fingerprint
        {
            let differing = expected.differences(&loaded.observed.fingerprint).join("; ");
            return Err(Error::new(ErrorKind::Corrupt, "check what was restored", differing)
                .with_mend("restore another backup: this one does not hold what its manifest tells"));
        }
        if self.mode() == RestoreMode::Swap {
            self.restorer.swap(&self.target).await?;
        }
        Ok(loaded)
    }

    /// Removes what was loaded aside.
    async fn clear(&self, error: Error) -> Error {
        match self.restorer.drop_aside(&self.target).await {
            Ok(()) => error,
            Err(left) => {
                let mend = format!("{} is left and could not be dropped: {left}", self.target.aside);
                let mend = error.mend().map_or(mend.clone(), |first| format!("{first}; {mend}"));
                error.with_mend(mend)
            }
        }
    }

    fn judge(&mut self) {
        let name = self.target.database_name();
        let mode = self.mode();
        let mut found = Vec::new();
        let mut refuse = |reason: String, mend: &str, forceable: bool| {
            found.push(Refusal { reason, mend: mend.to_owned(), forceable });
        };
        if !self.survey.modes.contains(&mode) {
            let reason = format!("mode {} cannot be had here", mode.as_str());
            refuse(reason, "restore into a new database", false);
        }
        if self.survey.present.target {
            let mend = "name one that does not exist, or replace all that is in it with --force: nothing undoes \
                        that, so back it up first";
            refuse(format!("there is something at {name} already"), mend, true);
        }
        if !self.found.manifest.encryption.is_empty() && self.identities.is_empty() {
            let mend = "give --identity FILE, or set RESPALDO_IDENTITY or RESPALDO_IDENTITY_FILE";
            refuse("the artifact is encrypted, and no identity was given".to_owned(), mend, false);
        }
        self.refusals.append(&mut found);
        if !self.target.dump.trusted {
            let why = match self.found.signature {
                Signature::NotChecked => "without the master key nobody knows who made this dump",
                Signature::Foreign => "another installation made this dump, or somebody changed its manifest",
                Signature::Ours => "this dump was uploaded by somebody",
            };
            self.warnings.push(format!("{why}: its SQL is treated as hostile"));
        }
    }

    fn tell(&mut self) {
        let name = self.target.database_name();
        let mut steps = vec!["read the whole artifact and compare it with its digests".to_owned()];
        match (self.mode(), self.survey.present.target) {
            (RestoreMode::Swap, true) => {
                steps.push(format!("load the dump beside {name}, check it, and put it into its place"));
            }
            (RestoreMode::Swap, false) => {
                steps.push(format!("load the dump into a new database, check it, and call it {name}"));
            }
            (RestoreMode::InPlace, true) => {
                steps.push(format!("drop everything in {name} and load the dump into it"));
            }
            (RestoreMode::InPlace, false) => steps.push(format!("make {name} and load the dump into it")),
        }
        self.steps = steps;
    }
}

fn target_of(request: Request, around: Surroundings, dump: DumpFacts, id: JobId) -> Result<Target> {
    let settings = request.to.check()?;
    let name = settings.database_name.clone();
    let log = JobLog::new(&around.clock, 1, request.login.redactor());
    let at = Source {
        settings,
        login: request.login,
        toolbox: around.toolbox,
        staging: around.staging,
        // Whoever rescues names the file.
        sqlite_roots: request.to.folder().into_iter().collect(),
        log,
    };
    let options = RestoreOptions {
        mode: if request.force { RestoreMode::InPlace } else { RestoreMode::Swap },
        ownership: request.ownership,
        tables: Vec::new(),
        force: request.force,
    };
    Ok(Target {
        at,
        aside: names::aside(&name, id),
        kept: names::kept(&name, id),
        replaces: false,
        options,
        dump,
        meter: Arc::new(Meter::default()),
        allow_superuser: around.allow_superuser,
        scratch: false,
    })
}

/// The same restore asked for again has the same id: it finds what an interrupted one left, and drops it.
fn restore_id(backup: JobId, to: &TargetUrl) -> JobId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"respaldo rescue v1");
    hasher.update(backup.to_string().as_bytes());
    hasher.update(to.to_string().as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    JobId(Ulid::from_bytes(id))
}
