//! A catalog whose calls are counted, and fail, by the same plan as storage's.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::model::{Database, DatabaseId, Job, JobId, Outline};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase, Totals};
use respaldo_core::{Error, ErrorKind, Result};

use crate::faults::{Call, FaultPlan};

/// Passes every call on, unless the plan says otherwise.
pub(super) struct FaultyCatalog {
    inner: Arc<dyn Catalog>,
    plan: FaultPlan,
}

impl FaultyCatalog {
    pub(super) fn new(inner: Arc<dyn Catalog>, plan: FaultPlan) -> Self {
        Self { inner, plan }
    }

    async fn around<T>(&self, name: &str, deed: impl Future<Output = Result<T>>) -> Result<T> {
        let failed =
            || Error::new(ErrorKind::Unavailable, "use the catalog", format!("injected: {name} failed"));
        self.plan.around_result(Call::Catalog, name, deed, failed).await
    }
}

#[async_trait]
impl Catalog for FaultyCatalog {
    async fn check(&self) -> Result<()> {
        self.around("check", self.inner.check()).await
    }

    async fn create_database(&self, new: NewDatabase) -> Result<Database> {
        self.around("create_database", self.inner.create_database(new)).await
    }

    async fn restore_database(&self, database: &Database) -> Result<Database> {
        self.around("restore_database", self.inner.restore_database(database)).await
    }

    async fn database(&self, id: DatabaseId) -> Result<Option<Database>> {
        self.around("database", self.inner.database(id)).await
    }

    async fn databases(&self, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
        self.around("databases", self.inner.databases(after, limit)).await
    }

    async fn last_number(&self) -> Result<DatabaseId> {
        self.around("last_number", self.inner.last_number()).await
    }

    async fn update_database(&self, database: &Database) -> Result<Database> {
        self.around("update_database", self.inner.update_database(database)).await
    }

    async fn delete_database(&self, database: &Database) -> Result<()> {
        self.around("delete_database", self.inner.delete_database(database)).await
    }

    async fn due_databases(&self, until: Timestamp, limit: usize) -> Result<Vec<Database>> {
        self.around("due_databases", self.inner.due_databases(until, limit)).await
    }

    async fn create_job(&self, job: &Job) -> Result<bool> {
        self.around("create_job", self.inner.create_job(job)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.around("job", self.inner.job(id)).await
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
        self.around("jobs", self.inner.jobs(filter, after, limit)).await
    }

    async fn unended(&self, database: Option<DatabaseId>) -> Result<Vec<Job>> {
        self.around("unended", self.inner.unended(database)).await
    }

    async fn outlines(
        &self,
        database: DatabaseId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Outline>> {
        self.around("outlines", self.inner.outlines(database, after, limit)).await
    }

    async fn update_job(&self, job: &Job) -> Result<Job> {
        self.around("update_job", self.inner.update_job(job)).await
    }

    async fn delete_job(&self, job: &Job) -> Result<()> {
        self.around("delete_job", self.inner.delete_job(job)).await
    }

    async fn due_jobs(&self, until: Timestamp, limit: usize) -> Result<Vec<Job>> {
        self.around("due_jobs", self.inner.due_jobs(until, limit)).await
    }

    async fn totals(&self, database: Option<DatabaseId>) -> Result<Totals> {
        self.around("totals", self.inner.totals(database)).await
    }

    async fn append_log(&self, job: JobId, lines: &[LogEntry]) -> Result<()> {
        self.around("append_log", self.inner.append_log(job, lines)).await
    }

    async fn log(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        self.around("log", self.inner.log(job, after, limit)).await
    }

    async fn claim(
        &self,
        key: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        self.around("claim", self.inner.claim(key, value, now, expires_at)).await
    }

    async fn claimed(&self, key: &str, now: Timestamp) -> Result<Option<String>> {
        self.around("claimed", self.inner.claimed(key, now)).await
    }

    async fn release_claim(&self, key: &str, value: &str) -> Result<()> {
        self.around("release_claim", self.inner.release_claim(key, value)).await
    }

    async fn claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>> {
        self.around("claims", self.inner.claims(after, limit)).await
    }

    async fn document(&self, name: &str) -> Result<Option<Document>> {
        self.around("document", self.inner.document(name)).await
    }

    async fn put_document(&self, name: &str, text: &str, revision: u64) -> Result<u64> {
        self.around("put_document", self.inner.put_document(name, text, revision)).await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        self.around("acquire_lease", self.inner.acquire_lease(name, owner, now, expires_at)).await
    }

    async fn renew_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool> {
        self.around("renew_lease", self.inner.renew_lease(name, fence, expires_at)).await
    }

    async fn release_lease(&self, name: &str, fence: u64) -> Result<()> {
        self.around("release_lease", self.inner.release_lease(name, fence)).await
    }

    async fn live_leases(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>> {
        self.around("live_leases", self.inner.live_leases(prefix, now)).await
    }
}
