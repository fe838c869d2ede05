//! Packages: one archive of the latest good backups of several databases, for carrying away.
//!
//! The path of a package through this module: [`request`] or [`tick`] queues a job → [`run`] takes its lease
//! and a place, chooses the backups ([`plan()`]) and holds them against deletion → `attempt` streams the
//! still-sealed artifacts through an `archive` writer into storage, comparing each with its digest → the
//! manifest is written beside it → the catalog says `succeeded`. Nothing is unpacked, nothing is decrypted,
//! and no member is ever whole in memory or on a scratch disk.
//!
//! A package is all or nothing: a database whose backup is missing, broken or deleted meanwhile fails it by
//! name, unless it was asked to do without such and to list them.

mod archive;
mod attempt;
mod contents;
mod counts;
mod download;
mod gather;
mod guide;
mod manifest;
mod plan;
mod request;
mod retention;
mod run;
mod targz;
mod tick;
mod zip;

use jiff::SignedDuration;

pub(crate) use self::counts::hand_counts_on;
pub use self::counts::totals;
pub use self::download::MemberDownload;
pub use self::plan::{Plan, Wanted, plan};
pub use self::request::{Request, request};
pub use self::retention::apply as apply_retention;
pub use self::run::run;
pub use self::tick::{Cron, Hourly, tick};
use crate::app::App;
use crate::backup::sweep;
use crate::jobs::{self, aftermath};
use crate::model::{Job, JobId, PackageFormat, PackageKind, Status};
use crate::ports::{Cursor, Event, JobFilter};
use crate::{Error, Result};

/// How many records are read at once.
const PAGE: usize = 100;
/// How long retention may go on after a package whose end is still to be told.
const LONGEST_RETENTION: SignedDuration = SignedDuration::from_secs(10);

/// How an installation makes packages (`package-conf`).
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// When packages are made; none: only when asked.
    pub cron: Option<Cron>,
    /// The kind of archive when nobody says otherwise.
    pub format: PackageFormat,
    /// Whether a package may do without a database whose backup is missing or broken, when nobody says
    /// otherwise.
    pub allow_incomplete: bool,
    /// Scheduled packages older than this many days are removed; none: no limit.
    pub retention_days: Option<u32>,
    /// Scheduled packages beyond the newest this many are removed; none: no limit.
    pub max_packages: Option<u32>,
    /// When retention was applied last, also while nothing is scheduled any more.
    pub retention_turn: Hourly,
}

/// One package's record, or `NotFound`.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    let job = app.catalog.job(id).await?.filter(|job| job.package().is_ok());
    job.ok_or_else(|| Error::not_found("package", id))
}

/// Packages, newest first, after the cursor.
pub async fn list(
    app: &App,
    status: Option<Status>,
    kind: Option<PackageKind>,
    mut after: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Job>> {
    let filter = JobFilter { without_database: true, status, ..JobFilter::default() };
    let mut found = Vec::new();
    while found.len() < limit {
        let page = app.catalog.jobs(&filter, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(Cursor::after(last));
        let wanted =
            |job: &Job| job.package().is_ok_and(|package| kind.is_none_or(|kind| package.kind == kind));
        found.extend(page.into_iter().filter(wanted));
    }
    found.truncate(limit);
    Ok(found)
}

/// Every package's record, newest first.
async fn all(app: &App, status: Option<Status>) -> Result<Vec<Job>> {
    list(app, status, None, None, usize::MAX).await
}

/// Deletes a package: manifest, archive, record. True when it is gone; false when somebody reads it, and a
/// later tick will finish.
///
/// # Errors
/// `Conflict` for one that has not ended.
pub async fn delete(app: &App, id: JobId) -> Result<bool> {
    aftermath::see_to(app, &get(app, id).await?).await?;
    let job = jobs::update(app, id, Job::delete).await?;
    sweep::finish_deletion(app, &job).await
}

/// The backups that this job is packing just now.
pub(crate) fn members_of(job: &Job) -> impl Iterator<Item = JobId> {
    let package = job.package().ok().filter(|_| job.status == Status::Running);
    package.into_iter().flat_map(|package| package.members.iter().map(|member| member.backup_id))
}

/// Does what the end of a package asks for: it is counted, and those that it makes superfluous go. A failure
/// of the latter is told and left to the next tick.
pub(crate) async fn after(app: &App, job: &Job) -> Result<()> {
    if job.package().is_err() {
        return Ok(());
    }
    counts::count(app, job).await?;
    if job.status != Status::Succeeded {
        return Ok(());
    }
    match retention::apply(app, app.now().checked_add(LONGEST_RETENTION).ok()).await {
        Ok(_) => Ok(()),
        Err(e) => app.events.publish(Event::TickFailed(e.within("retention of packages"))).await,
    }
}
