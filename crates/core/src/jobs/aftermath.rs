//! What follows from the end of a job: it is counted, its objects are locked, its database's retention is
//! applied, and it is told.
//!
//! A job that ends is marked `untold` in the same write. Whoever ended it sees to the rest at once; when
//! that fails, or the process dies, a tick does it later, so no end is lost between the record and those
//! who must know. Events may be told twice; counting is exact.
//!
//! Why counting is exact with writes of one record at a time: the database's record is read before the
//! job's, and written only if nobody wrote it meanwhile. A job that this pass sees as untold and not
//! among the `counted` of the database it read first has not been counted before: an id leaves `counted`
//! only after its job was marked as told, which this pass would have seen.

use super::MOST_CONFLICTS;
use crate::app::App;
use crate::backup::lock;
use crate::jobs;
use crate::model::{Database, DatabaseId, Job, JobId};
use crate::package;
use crate::ports::Event;
use crate::retention;
use crate::upload::incoming;
use crate::verify;
use crate::{Error, ErrorKind, Result};

/// How many are counted in one write: their ids stand in the database's record until they are told.
const MOST_AT_ONCE: usize = 500;

/// Does what the end of this job asks for, unless that is done.
pub(crate) async fn see_to(app: &App, job: &Job) -> Result<()> {
    see_to_all(app, std::slice::from_ref(job)).await
}

/// The same for several jobs of one database, which are counted in one write.
pub(crate) async fn see_to_all(app: &App, jobs: &[Job]) -> Result<()> {
    let ended: Vec<&Job> = jobs.iter().filter(|job| job.untold && job.status.is_terminal()).collect();
    for ended in ended.chunks(MOST_AT_ONCE) {
        if let Some(database) = ended[0].database_id() {
            count(app, database, ended).await?;
        }
        for job in ended {
            tell(app, job).await?;
        }
    }
    Ok(())
}

async fn tell(app: &App, job: &Job) -> Result<()> {
    // Boxed, because every backup's own future would have to have room for it.
    Box::pin(lock::see_to(app, job)).await?;
    Box::pin(retention::after_backup(app, job)).await?;
    Box::pin(verify::after_backup(app, job)).await?;
    Box::pin(package::after(app, job)).await?;
    incoming::clear(app, job).await?;
    app.events.publish(Event::JobEnded(Box::new(job.clone()))).await?;
    let told = jobs::update(app, job.id, |job| {
        job.told();
        Ok(())
    });
    match told.await {
        // Deleted in the meantime.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        told => told.map(drop),
    }
}

/// Counts jobs in their database's history, each once.
async fn count(app: &App, id: DatabaseId, jobs: &[&Job]) -> Result<()> {
    for _ in 0..MOST_CONFLICTS {
        // Without its database there is nothing to count for.
        let Some(mut database) = app.catalog.database(id).await? else { return Ok(()) };
        let uncounted = uncounted(app, &database, jobs).await?;
        if uncounted.is_empty() {
            return Ok(());
        }
        forget_told(app, &mut database).await?;
        for job in uncounted {
            database.history.count(job, app.now());
        }
        match app.catalog.update_database(&database).await {
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {}
            counted => return counted.map(drop),
        }
    }
    Err(Error::conflict("count a job", format!("database {id} changes too often")).with_retryable(true))
}

async fn uncounted<'a>(app: &App, database: &Database, jobs: &[&'a Job]) -> Result<Vec<&'a Job>> {
    let mut uncounted = Vec::new();
    for job in jobs {
        let untold = app.catalog.job(job.id).await?.is_some_and(|job| job.untold);
        if untold && !database.history.counted.contains(&job.id) {
            uncounted.push(*job);
        }
    }
    Ok(uncounted)
}

/// Takes those out of `counted` whose own records say that they were.
async fn forget_told(app: &App, database: &mut Database) -> Result<()> {
    let mut kept: Vec<JobId> = Vec::new();
    for id in std::mem::take(&mut database.history.counted) {
        if app.catalog.job(id).await?.is_some_and(|job| job.untold) {
            kept.push(id);
        }
    }
    database.history.counted = kept;
    Ok(())
}
