//! What comes after a restore: its undo, or its confirmation.

use super::run::{Done, Restoring};
use super::{names, target};
use crate::engine::{DumpFacts, Restorer, Target, WasSwapped};
use crate::jobs;
use crate::jobs::keeper::Stop;
use crate::model::{BackupKind, DumpFormat, Job, JobId, RestoreStep};
use crate::{Error, ErrorKind, Result};

/// Exchanges the target with what a restore kept: a swap, with what was kept as what is aside.
pub(super) async fn undo(restoring: &Restoring<'_>, of: JobId) -> Result<Done, Stop> {
    let (restorer, mut target) = restoring.keep(after(restoring)).await?;
    let Some(kept) = kept_by(restoring, of).await.map_err(Stop::Failed)? else {
        // Another attempt has come as far as the last write.
        return Ok(done(target));
    };
    target.aside = kept;
    let begun = restoring.restoration().map_err(Stop::Failed)?.step == RestoreStep::Swapping;
    let taken = begun && restoring.keep(restorer.was_swapped(&target, None)).await? == WasSwapped::Yes;
    if !taken {
        restoring.step(RestoreStep::Swapping).await.map_err(Stop::Failed)?;
        restoring.log.info(format!("exchanging it with {}", target.aside));
        restoring.keep_deaf(restorer.swap(&target)).await?;
    }
    let id = restoring.job.id;
    let undone = jobs::update(restoring.app(), of, |job| {
        let restoration = job.restoration_mut()?;
        restoration.kept = None;
        restoration.undone_by = Some(id);
        Ok(())
    });
    undone.await.map_err(Stop::Failed)?;
    Ok(done(target))
}

/// Writes into a restore that this one, of its safety backup, has undone it.
pub(super) async fn tell_undone(restoring: &Restoring<'_>) -> Result<()> {
    let Some(of) = restoring.restoration()?.undoes else { return Ok(()) };
    let id = restoring.job.id;
    let undone = jobs::update(restoring.app(), of, |job| {
        job.restoration_mut()?.undone_by = Some(id);
        Ok(())
    });
    match undone.await {
        // Nobody asks for it any more.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        undone => undone.map(drop),
    }
}

fn done(target: Target) -> Done {
    Done::Ended { kept: Some(target.kept), warnings: Vec::new() }
}

/// The name of what a restore kept; none when this job has taken it already.
async fn kept_by(restoring: &Restoring<'_>, of: JobId) -> Result<Option<String>> {
    let job = jobs::get(restoring.app(), of).await?;
    let restoration = job.restoration()?;
    if restoration.undone_by == Some(restoring.job.id) {
        return Ok(None);
    }
    let kept = restoration.kept.clone();
    kept.map(Some).ok_or_else(|| {
        Error::conflict("undo a restore", format!("what restore {of} kept is not there any more"))
    })
}

/// Drops what a restore kept, and lets its safety backup go.
pub(super) async fn confirm(restoring: &Restoring<'_>, of: JobId) -> Result<Done, Stop> {
    let (restorer, mut target) = restoring.keep(after(restoring)).await?;
    let app = restoring.app();
    let job = jobs::get(app, of).await.map_err(Stop::Failed)?;
    let restoration = job.restoration().map_err(Stop::Failed)?.clone();
    if let Some(kept) = restoration.kept {
        restoring.log.info(format!("dropping {kept}"));
        target.kept = kept;
        restoring.keep(restorer.drop_kept(&target)).await?;
    }
    if let Some(safety) = restoration.safety_backup {
        unpin(restoring, safety).await.map_err(Stop::Failed)?;
    }
    let now = app.now();
    let confirmed = jobs::update(app, of, |job| {
        let restoration = job.restoration_mut()?;
        restoration.kept = None;
        restoration.confirmed_at = Some(restoration.confirmed_at.unwrap_or(now));
        Ok(())
    });
    confirmed.await.map_err(Stop::Failed)?;
    Ok(Done::Ended { kept: None, warnings: Vec::new() })
}

async fn unpin(restoring: &Restoring<'_>, safety: JobId) -> Result<()> {
    let unpin = |job: &mut Job| {
        job.backup_mut()?.pinned = false;
        Ok(())
    };
    match jobs::update(restoring.app(), safety, unpin).await {
        // Its own rule has ended it.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        unpinned => unpinned.map(drop),
    }
}

/// What an engine is given after a restore: there is no dump any more.
async fn after(restoring: &Restoring<'_>) -> Result<(&'static dyn Restorer, Target)> {
    let settings = &restoring.database.settings;
    let restorer = target::restorer(settings.engine)?;
    let dump = DumpFacts {
        engine: settings.engine,
        format: DumpFormat::default(),
        kind: BackupKind::Safety,
        database_name: settings.database_name.clone(),
        server_version: None,
        tool_version: None,
        raw_bytes: 0,
        fingerprint: None,
        trusted: true,
    };
    let mut target = restoring.target(restoring.job.id, dump).await?;
    target.kept = names::kept(target.database_name(), restoring.job.id);
    Ok((restorer, target))
}
