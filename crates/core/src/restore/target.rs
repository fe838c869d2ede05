//! What an engine is given of a restore.

use std::path::Path;
use std::sync::Arc;

use super::names;
use crate::app::App;
use crate::backup::open;
use crate::databases;
use crate::engine::{self, DumpFacts, JobLog, Meter, ResolvedLogin, Restorer, Source, Target};
use crate::keys;
use crate::model::Status;
use crate::model::{
    BackupKind, Database, EngineKind, Job, JobId, LONGEST_MANIFEST, Manifest, RestoreOptions,
};
use crate::seal::Identity;
use crate::{Error, ErrorKind, Result};

/// The manifest of a succeeded backup, and whether its HMAC is ours.
pub(crate) async fn manifest(app: &App, job: &Job) -> Result<(Manifest, bool)> {
    let backup = job.backup()?;
    let artifact = backup.artifact.as_ref().filter(|_| job.status == Status::Succeeded).ok_or_else(|| {
        let message = format!("backup {} is {}: it has no artifact to restore", job.id, job.status.as_str());
        Error::conflict("restore a backup", message)
    })?;
    let uid = job.owner()?.uid;
    let key = keys::manifest(uid, job.id, artifact.attempt);
    let bytes = app.storage.get(&key, LONGEST_MANIFEST).await?;
    let damaged = |message: String| Error::new(ErrorKind::Corrupt, "read a manifest", message);
    let bytes = bytes.ok_or_else(|| {
        damaged(format!("{key} is not there"))
            .with_mend("restore another backup; somebody removed this one's manifest")
    })?;
    let (manifest, ours) = Manifest::decode(&bytes, &app.key)?;
    if !manifest.describes(job.id, uid, backup) || manifest.artifact != *artifact {
        let message = format!("{key} describes another backup than the catalog does");
        return Err(damaged(message).with_mend("restore another backup, or look who wrote into storage"));
    }
    Ok((manifest, ours))
}

/// What is known of the dump that a manifest describes.
pub(crate) fn facts(manifest: &Manifest, ours: bool, identities: &[Identity]) -> Result<DumpFacts> {
    let content = open::content(manifest, identities)?;
    Ok(DumpFacts {
        engine: manifest.engine,
        format: manifest.dump_format,
        kind: manifest.kind,
        database_name: manifest.database_name.clone(),
        server_version: content.as_ref().and_then(|content| content.server_version.clone()),
        tool_version: content.as_ref().and_then(|content| content.tool_version.clone()),
        raw_bytes: manifest.artifact.raw_bytes,
        fingerprint: content.map(|content| content.fingerprint),
        trusted: ours && manifest.kind != BackupKind::Uploaded,
    })
}

/// How dumps of this kind are put back.
pub(crate) fn restorer(kind: EngineKind) -> Result<&'static dyn Restorer> {
    engine::engine(kind).and_then(|engine| engine.restorer()).ok_or_else(|| databases::not_built(kind))
}

/// Whether a dump of one kind may go into a database of the other.
pub(crate) fn fits(dump: EngineKind, database: EngineKind) -> bool {
    let family = |kind| if kind == EngineKind::Mariadb { EngineKind::Mysql } else { kind };
    family(dump) == family(database)
}

/// Where, how and under whose id a restore works.
pub(super) struct Spot<'a> {
    /// The registered database that tells the server.
    pub(super) database: &'a Database,
    /// How to log in there.
    pub(super) login: ResolvedLogin,
    /// The target's name there.
    pub(super) name: &'a str,
    /// Whether there was something by that name when the restore was asked for.
    pub(super) replaces: bool,
    /// The restore's id.
    pub(super) job: JobId,
    /// How.
    pub(super) options: RestoreOptions,
    /// The attempt's own folder.
    pub(super) staging: &'a Path,
    /// The job's log.
    pub(super) log: JobLog,
    /// Counts what is loaded.
    pub(super) meter: Arc<Meter>,
}

impl Spot<'_> {
    /// What an engine is given to put this dump there.
    pub(super) fn target(self, app: &App, dump: DumpFacts) -> Target {
        let mut settings = self.database.settings.clone();
        self.name.clone_into(&mut settings.database_name);
        Target {
            at: Source {
                settings,
                login: self.login,
                toolbox: Arc::clone(&app.toolbox),
                staging: self.staging.to_owned(),
                sqlite_roots: app.limits.sqlite_roots.clone(),
                log: self.log,
            },
            aside: names::aside(self.name, self.job),
            kept: names::kept(self.name, self.job),
            replaces: self.replaces,
            options: self.options,
            dump,
            meter: self.meter,
            allow_superuser: app.limits.allow_superuser,
            scratch: false,
        }
    }
}
