//! The catalog: the truth about databases, jobs and leases.
//!
//! # For who writes an implementation
//! Every method writes at most one item, conditionally, so that SQLite and every DynamoDB behave
//! alike; no method needs a transaction over two items. The rules of the product (which status may
//! follow which, who may hold a lease) are not here but in [`crate::model`]: the catalog only
//! promises that a write based on a stale read is refused with [`ErrorKind::Conflict`], that what it
//! confirmed survives a crash, and that its indexes agree with its records.
//! `respaldo_testkit::catalog` is the contract suite that each implementation must pass.
//!
//! [`ErrorKind::Conflict`]: crate::ErrorKind::Conflict

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::model::{BackupKind, Database, DatabaseId, Job, JobId, Outline, Status};

/// How many jobs that have not ended are read at once.
const UNENDED_AT_ONCE: usize = 1_000;

/// A database before it has its number: the record's `id` and `revision` are ignored.
#[derive(Debug, Clone)]
pub struct NewDatabase(pub Database);

/// Where a page of jobs begins: after this one, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// `created_at` of the last job of the page before.
    pub created_at: Timestamp,
    /// Its id.
    pub id: JobId,
}

impl Cursor {
    /// The cursor that continues after this job.
    pub fn after(job: &Job) -> Self {
        Self { created_at: job.created_at, id: job.id }
    }
}

/// Which jobs to list. All conditions must hold; the default lists all.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this database's.
    pub database_id: Option<DatabaseId>,
    /// Only jobs that work on no single database: packages.
    pub without_database: bool,
    /// Only in this status.
    pub status: Option<Status>,
    /// Only backups of this kind.
    pub kind: Option<BackupKind>,
    /// Only backups: jobs that dump.
    pub backups_only: bool,
    /// Only those created at or after this instant.
    pub since: Option<Timestamp>,
}

/// How serious a line of a job's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What is being done.
    Info,
    /// Something unexpected that did not stop the job, such as a tool's warning.
    Warn,
    /// Why it stopped.
    Error,
}

/// One line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its place in the job's log, from 1; given by the catalog, ignored when appending.
    #[serde(default)]
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// How serious.
    pub level: LogLevel,
    /// One line, redacted.
    pub line: String,
}

/// A key that is held for a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What is held.
    pub key: String,
    /// For whom, or for what.
    pub value: String,
    /// From then on it counts as absent; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Claim {
    /// Whether it holds at that instant.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expiry| expiry > now)
    }
}

/// A text that the installation keeps under a name, such as its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What was written.
    pub text: String,
    /// Which writing this is; 1 or greater.
    pub revision: u64,
}

/// Sums over backups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// How many backups are in each status, by the status's name.
    pub by_status: BTreeMap<String, u64>,
    /// Stored bytes of all succeeded backups.
    pub size_bytes: u64,
    /// `created_at` of the newest succeeded backup.
    pub newest_success_at: Option<Timestamp>,
    /// `created_at` of the oldest succeeded backup.
    pub oldest_success_at: Option<Timestamp>,
}

/// The catalog port.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Whether it can be read and written now.
    async fn check(&self) -> Result<()>;

    /// Stores a new database under the next number. Numbers grow and are never used twice, also not
    /// after a deletion. A `uid` that is there already: `Conflict`.
    async fn create_database(&self, new: NewDatabase) -> Result<Database>;
    /// Stores a database of another catalog under the number that it had there. A number or a `uid` that is
    /// there already, and a number below 1: `Conflict`. Numbers given out later are greater.
    async fn restore_database(&self, database: &Database) -> Result<Database>;
    /// One database.
    async fn database(&self, id: DatabaseId) -> Result<Option<Database>>;
    /// Databases by number, ascending, after `after`.
    async fn databases(&self, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>>;
    /// The greatest number that was ever given to a database, also one that is gone; 0: none was.
    /// An implementation answers from its counter; without one, the greatest that is still there.
    async fn last_number(&self) -> Result<DatabaseId> {
        let mut last = DatabaseId(0);
        while let Some(next) = self.databases(Some(last), 1_000).await?.last() {
            last = next.id;
        }
        Ok(last)
    }
    /// Replaces a record read at `database.revision`; answers it with its new revision.
    async fn update_database(&self, database: &Database) -> Result<Database>;
    /// Removes a record read at `database.revision`.
    async fn delete_database(&self, database: &Database) -> Result<()>;
    /// The due index: databases whose [`Database::attention_at`] is not after `until`, earliest
    /// first. It reads what is due and nothing else.
    async fn due_databases(&self, until: Timestamp, limit: usize) -> Result<Vec<Database>>;

    /// Stores a new job. False when the id is there already (another tick was faster).
    async fn create_job(&self, job: &Job) -> Result<bool>;
    /// One job.
    async fn job(&self, id: JobId) -> Result<Option<Job>>;
    /// Jobs newest first by (`created_at`, `id`), after the cursor.
    async fn jobs(&self, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>>;
    /// The jobs that wait or run, in no order: one database's, or all. One that goes from the queue to a worker
    /// meanwhile, or back, is among them. An implementation whose lists lag behind its records must not lose
    /// those that have just changed.
    async fn unended(&self, database: Option<DatabaseId>) -> Result<Vec<Job>> {
        let mut found: BTreeMap<JobId, Job> = BTreeMap::new();
        // A job may go back while the running ones are read: the queue is read again.
        for status in [Status::Queued, Status::Running, Status::Queued] {
            let filter = JobFilter { database_id: database, status: Some(status), ..JobFilter::default() };
            let mut after = None;
            loop {
                let page = self.jobs(&filter, after, UNENDED_AT_ONCE).await?;
                after = page.last().map(Cursor::after);
                let last = page.len() < UNENDED_AT_ONCE;
                found.extend(page.into_iter().map(|job| (job.id, job)));
                if last {
                    break;
                }
            }
        }
        Ok(found.into_values().collect())
    }
    /// One database's backups in outline, in the order in which [`Self::jobs`] lists them.
    /// An implementation that can read less than whole records does so here.
    async fn outlines(
        &self,
        database: DatabaseId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Outline>> {
        let filter = JobFilter { database_id: Some(database), backups_only: true, ..JobFilter::default() };
        Ok(self.jobs(&filter, after, limit).await?.iter().filter_map(Outline::of).collect())
    }
    /// Replaces a record read at `job.revision`; answers it with its new revision.
    async fn update_job(&self, job: &Job) -> Result<Job>;
    /// Removes a record read at `job.revision`, with its log.
    async fn delete_job(&self, job: &Job) -> Result<()>;
    /// Jobs whose [`Job::attention_at`] is not after `until`, earliest first.
    async fn due_jobs(&self, until: Timestamp, limit: usize) -> Result<Vec<Job>>;
    /// Sums over the backups of one database, or of all.
    async fn totals(&self, database: Option<DatabaseId>) -> Result<Totals>;

    /// Appends lines to a job's log, in order.
    async fn append_log(&self, job: JobId, lines: &[LogEntry]) -> Result<()>;
    /// Lines of a job's log after `after`, in order.
    async fn log(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>>;

    /// Claims a key for a value. None: it is ours now. Some: it was claimed before, with that value.
    /// A claim whose expiry has come counts as absent.
    async fn claim(
        &self,
        key: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>>;
    /// The value that a key is claimed for at `now`; none: nobody holds it.
    async fn claimed(&self, key: &str, now: Timestamp) -> Result<Option<String>>;
    /// Gives a claim up, if it still holds that value.
    async fn release_claim(&self, key: &str, value: &str) -> Result<()>;
    /// Claims by key (in the order of its bytes), after `after`. Those that have expired may be among them.
    async fn claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>>;

    /// The document of that name.
    async fn document(&self, name: &str) -> Result<Option<Document>>;
    /// Replaces a document read at `revision` (0: there was none) and answers its new revision. Somebody
    /// else wrote it since: `Conflict`.
    async fn put_document(&self, name: &str, text: &str, revision: u64) -> Result<u64>;

    /// Takes the named lease if nobody holds it live at `now`. The fence grows with each holder.
    async fn acquire_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>>;
    /// Extends a lease held under this fence; false when it is somebody else's now.
    async fn renew_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool>;
    /// Gives a lease back; without effect when it is somebody else's now.
    async fn release_lease(&self, name: &str, fence: u64) -> Result<()>;
    /// The names of leases that begin with `prefix` and are live at `now`.
    async fn live_leases(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>>;
}
