//! Jobs that have not ended.

use std::collections::HashMap;

use crate::Result;
use crate::app::App;
use crate::model::{DatabaseId, Job, JobId, Status};
use crate::ports::{Cursor, JobFilter};

const PAGE: usize = 1_000;
/// A job may go from the queue to a worker, or back, between two readings: the queue is read again.
const READINGS: [Status; 3] = [Status::Queued, Status::Running, Status::Queued];

/// The jobs that wait or run: one database's, or all.
pub(crate) async fn unended(app: &App, database: Option<DatabaseId>) -> Result<Vec<Job>> {
    let mut found: HashMap<JobId, Job> = HashMap::new();
    for status in READINGS {
        let filter = JobFilter { database_id: database, status: Some(status), ..JobFilter::default() };
        let mut after = None;
        loop {
            let page = app.catalog.jobs(&filter, after, PAGE).await?;
            after = page.last().map(Cursor::after);
            let last = page.len() < PAGE;
            found.extend(page.into_iter().map(|job| (job.id, job)));
            if last {
                break;
            }
        }
    }
    Ok(found.into_values().collect())
}

/// A restore into this database that waits or runs.
pub(crate) async fn active_restore(app: &App, database: DatabaseId) -> Result<Option<JobId>> {
    let into_it = |job: &Job| job.restoration().is_ok_and(|restoration| restoration.same_database);
    Ok(unended(app, Some(database)).await?.iter().find(|job| into_it(job)).map(|job| job.id))
}

/// Restores that wait or run and work on this target, on the server that the database lies on.
pub(crate) async fn restores_of(app: &App, database: DatabaseId, target: &str) -> Result<Vec<Job>> {
    let mut jobs = unended(app, Some(database)).await?;
    jobs.retain(|job| job.restoration().is_ok_and(|restoration| restoration.target == target));
    Ok(jobs)
}
