//! The port's methods, each handed to the connection that it needs.

use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::Result;
use respaldo_core::model::{Database, DatabaseId, Job, JobId, Outline};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase, Totals};

use crate::pool::Pool;
use crate::{claims, databases, documents, jobs, leases, log, open};

/// A catalog in a SQLite file. Several processes of one machine may have the same file open.
///
/// A write is confirmed once it is on disk; writes of one process queue, reads wait for no writer.
/// It must be used within a Tokio runtime.
pub struct SqliteCatalog {
    pool: Pool,
}

impl SqliteCatalog {
    /// Opens a catalog's file; makes it (mode 0600, and the folders above it) where there is none,
    /// and brings an older one to this version.
    ///
    /// A file that is not a catalog of ours, or was written by a newer version, is refused with
    /// [`ErrorKind::Config`](respaldo_core::ErrorKind::Config) and stays as it was.
    pub fn open(path: &Path) -> Result<Self> {
        let (writer, path) = open::file(path)?;
        Ok(Self { pool: Pool::over_file(writer, path) })
    }

    /// A catalog that ends with this value, for tests.
    pub fn open_in_memory() -> Result<Self> {
        Ok(Self { pool: Pool::in_memory(open::memory()?) })
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn check(&self) -> Result<()> {
        const OPERATION: &str = "check the catalog";
        let write = self.pool.write(OPERATION, |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO probe (id, writes) VALUES (1, 1) \
                     ON CONFLICT DO UPDATE SET writes = writes + 1",
                )?
                .execute([])?;
            Ok(())
        });
        write.await?;
        let read = self.pool.read(OPERATION, |connection| {
            let mut statement = connection.prepare_cached("SELECT writes FROM probe")?;
            Ok(statement.query_row([], |row| row.get::<_, i64>(0))?)
        });
        read.await.map(|_writes| ())
    }

    async fn create_database(&self, new: NewDatabase) -> Result<Database> {
        self.pool.write("create a database", move |connection| databases::create(connection, new.0)).await
    }

    async fn restore_database(&self, database: &Database) -> Result<Database> {
        let database = database.clone();
        self.pool
            .write("restore a database", move |connection| databases::restore(connection, database))
            .await
    }

    async fn database(&self, id: DatabaseId) -> Result<Option<Database>> {
        self.pool.read("read a database", move |connection| databases::one(connection, id)).await
    }

    async fn databases(&self, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
        self.pool.read("list databases", move |connection| databases::list(connection, after, limit)).await
    }

    async fn last_number(&self) -> Result<DatabaseId> {
        self.pool.read("read the last number of a database", databases::last_number).await
    }

    async fn update_database(&self, database: &Database) -> Result<Database> {
        let database = database.clone();
        self.pool.write("change a database", move |connection| databases::update(connection, database)).await
    }

    async fn delete_database(&self, database: &Database) -> Result<()> {
        let (id, revision) = (database.id, database.revision);
        self.pool
            .write("delete a database", move |connection| databases::delete(connection, id, revision))
            .await
    }

    async fn due_databases(&self, until: Timestamp, limit: usize) -> Result<Vec<Database>> {
        self.pool
            .read("look for due databases", move |connection| databases::due(connection, until, limit))
            .await
    }

    async fn create_job(&self, job: &Job) -> Result<bool> {
        let job = job.clone();
        self.pool.write("create a job", move |connection| jobs::create(connection, &job)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.pool.read("read a job", move |connection| jobs::one(connection, id)).await
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
        let filter = filter.clone();
        self.pool.read("list jobs", move |connection| jobs::list(connection, &filter, after, limit)).await
    }

    async fn outlines(
        &self,
        database: DatabaseId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Outline>> {
        let read = self.pool.read("list jobs in outline", move |connection| {
            jobs::outlines(connection, database, after, limit)
        });
        read.await
    }

    async fn update_job(&self, job: &Job) -> Result<Job> {
        let job = job.clone();
        self.pool.write("change a job", move |connection| jobs::update(connection, job)).await
    }

    async fn delete_job(&self, job: &Job) -> Result<()> {
        let (id, revision) = (job.id, job.revision);
        self.pool.write("delete a job", move |connection| jobs::delete(connection, id, revision)).await
    }

    async fn due_jobs(&self, until: Timestamp, limit: usize) -> Result<Vec<Job>> {
        self.pool.read("look for due jobs", move |connection| jobs::due(connection, until, limit)).await
    }

    async fn totals(&self, database: Option<DatabaseId>) -> Result<Totals> {
        self.pool.read("sum up backups", move |connection| jobs::totals(connection, database)).await
    }

    async fn append_log(&self, job: JobId, lines: &[LogEntry]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let lines = lines.to_vec();
        self.pool.write("append to a job's log", move |connection| log::append(connection, job, &lines)).await
    }

    async fn log(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        self.pool.read("read a job's log", move |connection| log::lines(connection, job, after, limit)).await
    }

    async fn claim(
        &self,
        key: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.pool
            .write("claim a key", move |connection| claims::claim(connection, &key, &value, now, expires_at))
            .await
    }

    async fn claimed(&self, key: &str, now: Timestamp) -> Result<Option<String>> {
        let key = key.to_owned();
        self.pool.read("read a claim", move |connection| claims::claimed(connection, &key, now)).await
    }

    async fn release_claim(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.pool.write("release a key", move |connection| claims::release(connection, &key, &value)).await
    }

    async fn claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>> {
        let after = after.map(str::to_owned);
        self.pool
            .read("list claims", move |connection| claims::list(connection, after.as_deref(), limit))
            .await
    }

    async fn document(&self, name: &str) -> Result<Option<Document>> {
        let name = name.to_owned();
        self.pool.read("read a document", move |connection| documents::one(connection, &name)).await
    }

    async fn put_document(&self, name: &str, text: &str, revision: u64) -> Result<u64> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.pool
            .write("write a document", move |connection| documents::put(connection, &name, &text, revision))
            .await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        self.pool
            .write("take a lease", move |connection| {
                leases::acquire(connection, &name, &owner, now, expires_at)
            })
            .await
    }

    async fn renew_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool> {
        let name = name.to_owned();
        self.pool
            .write("renew a lease", move |connection| leases::renew(connection, &name, fence, expires_at))
            .await
    }

    async fn release_lease(&self, name: &str, fence: u64) -> Result<()> {
        let name = name.to_owned();
        self.pool.write("release a lease", move |connection| leases::release(connection, &name, fence)).await
    }

    async fn live_leases(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>> {
        let prefix = prefix.to_owned();
        self.pool.read("list leases", move |connection| leases::live(connection, &prefix, now)).await
    }
}

/// A catalog over connections that a test has prepared.
#[cfg(test)]
pub(crate) fn over(pool: Pool) -> SqliteCatalog {
    SqliteCatalog { pool }
}
