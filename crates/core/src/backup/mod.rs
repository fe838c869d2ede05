//! Backups: request, list, download, delete, and the dump job itself.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Result;
use crate::app::App;
use crate::model::{Artifact, DatabaseId, Job, JobId};
use crate::ports::{Cursor, JobFilter, Totals};

/// Asks for a manual backup of a database. `id` is the job's, when the caller has already chosen it.
pub async fn request(app: &App, database: DatabaseId, id: Option<JobId>) -> Result<Job> {
    let _ = (app, database, id);
    todo!()
}

/// One backup, or `NotFound`.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    let _ = (app, id);
    todo!()
}

/// Backups, newest first.
pub async fn list(app: &App, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
    let _ = (app, filter, after, limit);
    todo!()
}

/// Sums over all backups, or one database's.
pub async fn stats(app: &App, database: Option<DatabaseId>) -> Result<Totals> {
    let _ = (app, database);
    todo!()
}

/// Deletes a backup: manifest, artifact, record. True when it is gone; false when a reader holds it
/// and a later tick will finish.
pub async fn delete(app: &App, id: JobId) -> Result<bool> {
    let _ = (app, id);
    todo!()
}

/// A succeeded backup that is being read: deletion waits for it.
pub struct Download {
    job: Job,
    artifact: Artifact,
}

impl Download {
    /// Holds a succeeded backup for reading; `Conflict` for one that has no artifact.
    pub async fn open(app: &App, id: JobId) -> Result<Self> {
        let _ = (app, id);
        todo!()
    }

    /// The backup.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Its artifact.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Streams a range of its bytes, and gives the hold back when the stream ends or is dropped.
    pub fn stream(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let _ = range;
        todo!()
    }
}

/// How a run of a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// It succeeded, failed for good, or was cancelled: its record says which.
    Ended,
    /// It waits in the queue for another try.
    Queued,
    /// Nothing was done: another worker has it, or it needs nothing.
    NotOurs,
    /// All places are taken; it waits in the queue.
    NoPlace,
}

/// Works on a job: takes its lease, dumps, proves, commits. Every failure that belongs to the job is
/// written into its record; `Err` is only what could not be written there.
pub async fn run(app: &App, id: JobId, owner: &str) -> Result<Ran> {
    let _ = (app, id, owner);
    todo!()
}
