//! Putting a backup's dump back.

use jiff::{SignedDuration, Timestamp};

use super::run::{Done, Restoring};
use super::target;
use crate::backup::{self, Download, open, queued};
use crate::engine::{Loaded, Restorer, Target, WasSwapped};
use crate::jobs;
use crate::jobs::keeper::Stop;
use crate::model::{BackupKind, Job, JobId, Manifest, RestoreMode, RestoreStep, Status};
use crate::{Error, ErrorKind, Result};

/// A safety backup that is not there yet is looked at again after this long at the earliest.
pub(super) const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Restores a backup.
pub(super) async fn load(restoring: &Restoring<'_>, backup: JobId) -> Result<Done, Stop> {
    let loading = restoring.keep(Loading::prepare(restoring, backup)).await?;
    let options = &loading.target.options;
    if options.mode == RestoreMode::Swap && loading.found == RestoreStep::Swapping {
        match restoring.keep(loading.was_swapped()).await? {
            WasSwapped::Yes => return Ok(loading.swapped(Vec::new())),
            WasSwapped::No => {}
            WasSwapped::Unknown => return Err(Stop::Failed(unknown(&loading.target))),
        }
    }
    let loaded = match loading.load().await {
        Ok(Ready::Loaded(loaded)) => loaded,
        Ok(Ready::Waiting(until)) => return Ok(Done::Waiting(until)),
        Err(stop) => {
            loading.clear(&stop).await;
            return Err(stop);
        }
    };
    if options.mode == RestoreMode::Swap {
        restoring.step(RestoreStep::Swapping).await.map_err(Stop::Failed)?;
        restoring.log.info(format!(
            "putting it into the place of {}",
            restoring.job.restoration().map_or("", |r| &r.target)
        ));
        if let Err(stop) = restoring.keep_deaf(loading.restorer.swap(&loading.target)).await {
            let Stop::Failed(_) = &stop else { return Err(stop) };
            // Its answer may be lost although it was taken.
            match loading.was_swapped().await {
                Ok(WasSwapped::Yes) => {}
                Ok(_) => {
                    loading.clear(&stop).await;
                    return Err(stop);
                }
                // Nobody knows as yet: whoever asks the server later does.
                Err(e) => {
                    restoring.log.warn(format!("whether it was put into place is not known yet: {e}"));
                    return Ok(Done::Waiting(restoring.app().now() + LOOK_AGAIN));
                }
            }
        }
    }
    Ok(loading.swapped(loaded.warnings))
}

/// Whether the dump is in its place.
enum Ready {
    /// It is: aside, or in the target.
    Loaded(Loaded),
    /// Not yet: the safety backup is not there before this.
    Waiting(Timestamp),
}

struct Loading<'a> {
    restoring: &'a Restoring<'a>,
    restorer: &'static dyn Restorer,
    manifest: Manifest,
    target: Target,
    /// The journal as this attempt found it.
    found: RestoreStep,
    /// Deletion waits while it lives.
    _reading: Download,
}

impl<'a> Loading<'a> {
    async fn prepare(restoring: &'a Restoring<'a>, backup: JobId) -> Result<Self> {
        let app = restoring.app();
        let reading = Download::open(app, backup).await?;
        let (manifest, ours) = target::manifest(app, reading.job()).await?;
        let facts = target::facts(&manifest, ours, &app.identities)?;
        let restorer = target::restorer(facts.engine)?;
        let target = restoring.target(restoring.job.id, facts).await?;
        let found = restoring.restoration()?.step;
        Ok(Self { restoring, restorer, manifest, target, found, _reading: reading })
    }

    /// Everything up to the swap.
    async fn load(&self) -> Result<Ready, Stop> {
        let restoring = self.restoring;
        restoring.keep(self.check_vacant()).await?;
        if let Some(until) = restoring.keep_around(self.save()).await? {
            return Ok(Ready::Waiting(until));
        }
        restoring.keep(self.put_in()).await.map(Ready::Loaded)
    }

    /// Puts the dump aside, or into the target.
    async fn put_in(&self) -> Result<Loaded> {
        let Self { restoring, manifest, target, .. } = self;
        let app = restoring.app();
        restoring.step(RestoreStep::Checking).await?;
        restoring.log.info(format!("comparing {} with its digests", manifest.name));
        restoring.meter.reading_back();
        open::prove(&app.storage, &manifest.artifact, &restoring.meter).await?;
        let dump = open::source(&app.storage, manifest, &app.identities);
        restoring.step(RestoreStep::Loading).await?;
        restoring.log.info("loading");
        // What a loader does after its last byte (indexes, constraints) moves none.
        let _silence = restoring.meter.hold();
        let loaded = self.restorer.load(target, &dump).await?;
        self.compare(&loaded)?;
        Ok(loaded)
    }

    /// What was not there when the restore was asked for may be there now, and nobody has saved it.
    async fn check_vacant(&self) -> Result<()> {
        if self.target.replaces || self.found >= RestoreStep::Loading {
            return Ok(());
        }
        if !self.restorer.survey(&self.target).await?.present.target {
            return Ok(());
        }
        let message = format!("{} was made since the restore was asked for", self.target.database_name());
        Err(Error::conflict("restore a backup", message)
            .with_mend("ask again: what is there is then saved first"))
    }

    /// What came out of the artifact must be what went into it.
    fn compare(&self, loaded: &Loaded) -> Result<()> {
        let Some(expected) = &self.target.dump.fingerprint else { return Ok(()) };
        let seen = &loaded.observed.fingerprint;
        // Of a foreign file only what its bytes tell on their way was written down.
        let unknown = expected.0.is_empty() && !self.target.dump.trusted;
        if seen == expected || unknown || !self.target.options.tables.is_empty() {
            return Ok(());
        }
        let differing = expected.differences(seen).join("; ");
        Err(Error::new(ErrorKind::Corrupt, "check what was restored", differing)
            .with_mend("restore another backup: this one does not hold what its manifest tells"))
    }

    /// Makes the safety backup, unless there is one; answers when to look again where it is not there yet.
    async fn save(&self) -> Result<Option<Timestamp>> {
        let restoring = self.restoring;
        let Some(id) = restoring.restoration()?.safety_backup else { return Ok(None) };
        let (app, held) = (restoring.app(), restoring.held);
        restoring.step(RestoreStep::Saving).await?;
        let job = queued(app, &restoring.database, BackupKind::Safety, id, app.now());
        if app.catalog.create_job(&job).await? {
            restoring.log.info(format!("making safety backup {id}"));
        }
        let _silence = restoring.meter.hold();
        backup::run_in_place(&held.post(), id).await?;
        let job = jobs::get(app, id).await?;
        match job.status {
            Status::Succeeded => Ok(None),
            // It waits for its next try, or somebody else makes it.
            Status::Queued | Status::Running => {
                let soon = app.now() + LOOK_AGAIN;
                Ok(Some(job.attempts.not_before.unwrap_or(soon).max(soon)))
            }
            _ => Err(unsaved(&job)),
        }
    }

    async fn was_swapped(&self) -> Result<WasSwapped> {
        let app = self.restoring.app();
        let before = match self.restoring.restoration()?.safety_backup {
            Some(id) => {
                let (manifest, ours) = target::manifest(app, &jobs::get(app, id).await?).await?;
                target::facts(&manifest, ours, &app.identities)?.fingerprint
            }
            None => None,
        };
        self.restorer.was_swapped(&self.target, before.as_ref()).await
    }

    /// Removes what was loaded aside, where we may still touch it.
    async fn clear(&self, stop: &Stop) {
        if self.target.options.mode != RestoreMode::Swap || matches!(stop, Stop::Lost(_)) {
            return;
        }
        let log = &self.restoring.log;
        match self.restoring.held.worker.in_time(self.restorer.drop_aside(&self.target)).await {
            Some(Ok(())) => {}
            Some(Err(e)) => log.warn(format!("what was loaded aside could not be dropped: {e}")),
            None => log.warn("what was loaded aside could not be dropped in time; the next attempt does it"),
        }
    }

    fn swapped(&self, warnings: Vec<String>) -> Done {
        let swap = self.target.options.mode == RestoreMode::Swap && self.target.replaces;
        let kept = (swap && self.restorer.keeps()).then(|| self.target.kept.clone());
        Done::Ended { kept, warnings }
    }
}

fn unsaved(job: &Job) -> Error {
    let why = job.error.as_ref().map_or_else(|| job.status.as_str().to_owned(), ToString::to_string);
    let mend = "mend what keeps the database from being backed up; or let safety_backup be false";
    Error::new(ErrorKind::Conflict, "make the safety backup", format!("backup {}: {why}", job.id))
        .with_mend(job.error.as_ref().and_then(Error::mend).unwrap_or(mend))
}

fn unknown(target: &Target) -> Error {
    let message = format!(
        "a worker died while it put the dump into {}, and the target is neither what it was nor what was restored",
        target.database_name()
    );
    Error::conflict("restore a backup", message)
        .with_mend("look at it: if it is restored, all is well; else restore again, or undo")
}
