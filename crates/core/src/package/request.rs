//! Asking for a package.

use jiff::Timestamp;

use super::plan::Wanted;
use crate::app::App;
use crate::backup::tombstone;
use crate::databases;
use crate::jobs;
use crate::model::{Job, JobId, Package, PackageFormat, PackageKind};
use crate::ports::Event;
use crate::{Error, Result};

/// More databases than this in one request are a mistake.
const MOST_NAMED: usize = 10_000;

/// What is asked for; what is left open is decided by `package-conf`.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The kind of archive.
    pub format: Option<PackageFormat>,
    /// Of which databases.
    pub databases: Wanted,
    /// Whether it may do without a database whose backup is missing or broken.
    pub allow_incomplete: Option<bool>,
}

impl Request {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// `Invalid` with the field `database_ids`: an empty or a too long list, or a database that is not there.
    /// `Conflict` where none is named and no database has `package: true`.
    pub async fn check(&self, app: &App) -> Result<()> {
        match &self.databases {
            Some(ids) if ids.is_empty() || ids.len() > MOST_NAMED => {
                let message = format!("it must name 1 to {MOST_NAMED} databases");
                Err(Error::invalid("database_ids", message)
                    .with_mend("leave it out to have every database with package: true"))
            }
            Some(ids) => {
                for id in ids {
                    if app.catalog.database(*id).await?.is_none() {
                        return Err(Error::invalid("database_ids", format!("there is no database {id}")));
                    }
                }
                Ok(())
            }
            None if any_is_flagged(app).await? => Ok(()),
            None => Err(nobody("make a package")),
        }
    }

    /// The work of a job.
    pub(super) fn package(&self, app: &App, kind: PackageKind, slot: Option<Timestamp>) -> Package {
        let policy = &app.limits.package;
        Package {
            kind,
            slot,
            format: self.format.unwrap_or(policy.format),
            databases: self.databases.clone(),
            allow_incomplete: self.allow_incomplete.unwrap_or(policy.allow_incomplete),
            name: None,
            members: Vec::new(),
            left_out: Vec::new(),
            artifact: None,
            counts: None,
        }
    }
}

pub(super) fn nobody(operation: &str) -> Error {
    Error::conflict(operation, "no database has package: true")
        .with_mend("set package: true on databases, or name some with database_ids")
}

/// Whether any database has `package: true`.
pub(super) async fn any_is_flagged(app: &App) -> Result<bool> {
    let mut after = None;
    loop {
        let page = databases::list(app, after, 1_000).await?;
        let Some(last) = page.last() else { return Ok(false) };
        after = Some(last.id);
        if page.iter().any(|database| database.settings.package) {
            return Ok(true);
        }
    }
}

/// Queues a package. Asked twice with the same id, it is one package. Whether every database has a good backup
/// is found out when it is made: then a missing one fails it by name.
///
/// # Errors
/// As [`Request::check`].
pub async fn request(app: &App, request: &Request, id: JobId) -> Result<Job> {
    if let Some(job) = app.catalog.job(id).await? {
        return Ok(job);
    }
    tombstone::refuse_used(app, id, "make a package").await?;
    request.check(app).await?;
    let package = request.package(app, PackageKind::Manual, None);
    let job = Job::packaging(id, package, app.now(), app.limits.attempts);
    if !app.catalog.create_job(&job).await? {
        return jobs::get(app, id).await;
    }
    // It is queued, whoever hears of it; a tick rings again.
    if let Err(e) = app.doorbell.ring(&job).await {
        app.events.publish(Event::TickFailed(e.within("wake a worker"))).await?;
    }
    Ok(job)
}
