//! The port's methods, each handed to the module that knows its items.

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::Result;
use respaldo_core::model::{Database, DatabaseId, Job, JobId, Outline};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase, Totals};

use super::Dynamo;

#[async_trait]
impl Catalog for Dynamo {
    async fn check(&self) -> Result<()> {
        const OPERATION: &str = "check the catalog";
        self.check_table(OPERATION).await?;
        self.probe(OPERATION).await
    }

    async fn create_database(&self, new: NewDatabase) -> Result<Database> {
        self.create_a_database(new.0).await
    }

    async fn restore_database(&self, database: &Database) -> Result<Database> {
        self.restore_a_database(database).await
    }

    async fn database(&self, id: DatabaseId) -> Result<Option<Database>> {
        self.one_database(id).await
    }

    async fn databases(&self, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
        self.list_databases(after, limit).await
    }

    async fn last_number(&self) -> Result<DatabaseId> {
        self.last_number_given().await
    }

    async fn update_database(&self, database: &Database) -> Result<Database> {
        self.change_a_database(database).await
    }

    async fn delete_database(&self, database: &Database) -> Result<()> {
        self.delete_a_database(database).await
    }

    async fn due_databases(&self, until: Timestamp, limit: usize) -> Result<Vec<Database>> {
        self.due("look for due databases", until, limit).await
    }

    async fn create_job(&self, job: &Job) -> Result<bool> {
        self.create_a_job(job).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.one_job(id).await
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
        self.list_jobs(filter, after, limit).await
    }

    async fn unended(&self, database: Option<DatabaseId>) -> Result<Vec<Job>> {
        self.list_unended(database).await
    }

    async fn outlines(
        &self,
        database: DatabaseId,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Vec<Outline>> {
        self.list_outlines(database, after, limit).await
    }

    async fn update_job(&self, job: &Job) -> Result<Job> {
        self.change_a_job(job).await
    }

    async fn delete_job(&self, job: &Job) -> Result<()> {
        self.delete_a_job(job).await
    }

    async fn due_jobs(&self, until: Timestamp, limit: usize) -> Result<Vec<Job>> {
        self.due("look for due jobs", until, limit).await
    }

    async fn totals(&self, database: Option<DatabaseId>) -> Result<Totals> {
        self.sums(database).await
    }

    async fn append_log(&self, job: JobId, lines: &[LogEntry]) -> Result<()> {
        self.append_lines(job, lines).await
    }

    async fn log(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        self.lines(job, after, limit).await
    }

    async fn claim(
        &self,
        key: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        self.claim_key(key, value, now, expires_at).await
    }

    async fn claimed(&self, key: &str, now: Timestamp) -> Result<Option<String>> {
        self.claimed_key(key, now).await
    }

    async fn release_claim(&self, key: &str, value: &str) -> Result<()> {
        self.release_key(key, value).await
    }

    async fn claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>> {
        self.list_claims(after, limit).await
    }

    async fn document(&self, name: &str) -> Result<Option<Document>> {
        self.one_document(name).await
    }

    async fn put_document(&self, name: &str, text: &str, revision: u64) -> Result<u64> {
        self.write_document(name, text, revision).await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        self.take_lease(name, owner, now, expires_at).await
    }

    async fn renew_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool> {
        self.extend_lease(name, fence, expires_at).await
    }

    async fn release_lease(&self, name: &str, fence: u64) -> Result<()> {
        self.give_lease_back(name, fence).await
    }

    async fn live_leases(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>> {
        self.leases_alive(prefix, now).await
    }
}
