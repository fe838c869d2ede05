//! Retention: removing backups that have outlived their policy, without ever hurting (promise 3).
//!
//! [`plan()`] is pure and says for each backup what becomes of it and why. [`show`] makes a database's plan
//! from the catalog, [`apply`] makes it anew and carries it out, one backup at a time, through the same
//! crash-safe deletion as everybody's; `after_backup` does so after each backup and [`tick`] by a schedule
//! of its own ([`Cron`]). Records of runs that made no backup are cleared away on the same occasions, and
//! by the schedule those of restores and test restores.
//!
//! Nothing is remembered between runs: what a run could not do, the next one plans again.

mod applying;
mod cron;
pub(crate) mod heirs;
mod plan;
mod records;

use std::collections::HashSet;

use jiff::SignedDuration;

pub use self::applying::{Applied, Fate, Outcome, apply};
pub use self::cron::{Cron, tick};
pub use self::plan::{Action, Decision, Frozen, LEAST_RECORD_DAYS, Plan, Policy, RECORD_DAYS, Reason, plan};
use crate::app::App;
use crate::model::{BackupKind, Database, DatabaseId, Job, JobId, Outline, Restoration, Status};
use crate::package;
use crate::ports::{Cursor, Event};
use crate::{ErrorKind, Result};

/// How many outlines are read at once.
const PAGE: usize = 1_000;
/// How long retention may go on after a backup whose end is still to be told; the schedule does the rest.
const LONGEST_AFTER_BACKUP: SignedDuration = SignedDuration::from_secs(10);

/// What would become of each of a database's backups now.
pub async fn show(app: &App, database: &Database) -> Result<Plan> {
    let policy = Policy::of(&database.settings, &app.limits);
    let mut outlines = outlines(app, database.id).await?;
    let first = plan(&policy, outlines.clone(), app.now());
    if first.removals().all(|decision| !decision.job.stored) {
        return Ok(first);
    }
    let needed = needed(app).await?;
    for outline in &mut outlines {
        outline.needed = needed.contains(&outline.id);
    }
    Ok(plan(&policy, outlines, app.now()))
}

/// The backups that restores name which have not ended: those that they load and those that undo them; and
/// those that a package is being made of. A backup may be restored into another database, so all are asked.
async fn needed(app: &App) -> Result<HashSet<JobId>> {
    let jobs = app.catalog.unended(None).await?;
    let restored = jobs.iter().filter_map(|job| job.restoration().ok()).flat_map(Restoration::backups);
    Ok(restored.chain(jobs.iter().flat_map(package::members_of)).collect())
}

/// All of a database's jobs in outline, newest first.
async fn outlines(app: &App, database: DatabaseId) -> Result<Vec<Outline>> {
    let mut all: Vec<Outline> = Vec::new();
    loop {
        let after = all.last().map(|last| Cursor { created_at: last.created_at, id: last.id });
        let page = app.catalog.outlines(database, after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Applies retention to the database of a backup that has just succeeded. A failure is told and left to the
/// schedule: it must not keep the backup's own end from being told.
pub(crate) async fn after_backup(app: &App, job: &Job) -> Result<()> {
    let Ok(kind) = job.backup().map(|backup| backup.kind) else { return Ok(()) };
    if job.status != Status::Succeeded || !matches!(kind, BackupKind::Scheduled | BackupKind::Manual) {
        return Ok(());
    }
    let until = app.now().checked_add(LONGEST_AFTER_BACKUP).ok();
    let database = job.owner()?.id;
    match apply(app, database, until).await {
        // A database that is gone has no rule any more.
        Err(e) if e.kind() != ErrorKind::NotFound => {
            let told = e.within(&format!("retention of database {database}"));
            app.events.publish(Event::TickFailed(told)).await
        }
        _ => Ok(()),
    }
}
