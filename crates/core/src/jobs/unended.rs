//! What the jobs that have not ended need.

use crate::app::App;
use crate::model::{DatabaseId, Job, JobId, Restoration, Status};
use crate::package;
use crate::{Error, Result};

/// What keeps a backup from being deleted by a person.
pub(crate) struct Need {
    /// The backup.
    pub(crate) backup: JobId,
    /// The job that has not ended and needs it: a restore that loads it or that it would undo, or a package that is
    /// being made of it.
    pub(crate) job: Job,
}

impl Need {
    /// The refusal of its deletion.
    pub(crate) fn refusal(&self, operation: &str) -> Error {
        let Self { backup, job } = self;
        let what = job.work.as_str();
        let message = format!("{what} {} has not ended and needs backup {backup}", job.id);
        let mend = format!("ask again when that has ended, or stop it: POST /jobs/{}/cancel", job.id);
        Error::conflict(operation, message).with_mend(mend)
    }
}

/// Which of these backups is needed by a job that has not ended, `others` than those that go with them.
pub(crate) async fn needed(
    app: &App,
    wanted: impl Fn(JobId) -> bool,
    others: impl Fn(&Job) -> bool,
) -> Result<Option<Need>> {
    let now = app.now();
    for job in app.catalog.unended(None).await? {
        // A package whose worker has died holds nothing until the next one begins anew.
        let alive = !job.lease_expired(now);
        let restored = job.restoration().ok().into_iter().flat_map(Restoration::backups);
        let packed = package::members_of(&job).filter(|_| alive);
        let backup = restored.chain(packed).find(|backup| wanted(*backup));
        if let Some(backup) = backup.filter(|_| others(&job)) {
            return Ok(Some(Need { backup, job }));
        }
    }
    Ok(None)
}

/// A restore into this database that waits or runs.
pub(crate) async fn active_restore(app: &App, database: DatabaseId) -> Result<Option<JobId>> {
    let into_it = |job: &Job| job.restoration().is_ok_and(|restoration| restoration.same_database);
    Ok(app.catalog.unended(Some(database)).await?.iter().find(|job| into_it(job)).map(|job| job.id))
}

/// A dump of this database that is being made now, and not for a restore.
pub(crate) async fn running_dump(app: &App, database: DatabaseId) -> Result<Option<JobId>> {
    let now = app.now();
    let is_made = |job: &Job| {
        job.status == Status::Running
            && !job.lease_expired(now)
            && job.backup().is_ok_and(|backup| backup.kind.is_ordinary())
    };
    Ok(app.catalog.unended(Some(database)).await?.iter().find(|job| is_made(job)).map(|job| job.id))
}

/// Restores that wait or run and work on this target, on the server that the database lies on.
pub(crate) async fn restores_of(app: &App, database: DatabaseId, target: &str) -> Result<Vec<Job>> {
    let mut jobs = app.catalog.unended(Some(database)).await?;
    jobs.retain(|job| job.restoration().is_ok_and(|restoration| restoration.target == target));
    Ok(jobs)
}
