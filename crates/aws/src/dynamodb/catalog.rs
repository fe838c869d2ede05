//! The port's methods.

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::model::{Database, DatabaseId, Job, JobId};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase, Totals};
use respaldo_core::{Error, Result};

use super::Dynamo;

pub(super) fn later() -> Error {
    Error::internal("use the catalog on DynamoDB", "it is not written yet")
}

#[async_trait]
impl Catalog for Dynamo {
    async fn check(&self) -> Result<()> {
        Err(later())
    }

    async fn create_database(&self, _new: NewDatabase) -> Result<Database> {
        Err(later())
    }

    async fn restore_database(&self, _database: &Database) -> Result<Database> {
        Err(later())
    }

    async fn database(&self, _id: DatabaseId) -> Result<Option<Database>> {
        Err(later())
    }

    async fn databases(&self, _after: Option<DatabaseId>, _limit: usize) -> Result<Vec<Database>> {
        Err(later())
    }

    async fn update_database(&self, _database: &Database) -> Result<Database> {
        Err(later())
    }

    async fn delete_database(&self, _database: &Database) -> Result<()> {
        Err(later())
    }

    async fn due_databases(&self, _until: Timestamp, _limit: usize) -> Result<Vec<Database>> {
        Err(later())
    }

    async fn create_job(&self, _job: &Job) -> Result<bool> {
        Err(later())
    }

    async fn job(&self, _id: JobId) -> Result<Option<Job>> {
        Err(later())
    }

    async fn jobs(&self, _filter: &JobFilter, _after: Option<Cursor>, _limit: usize) -> Result<Vec<Job>> {
        Err(later())
    }

    async fn update_job(&self, _job: &Job) -> Result<Job> {
        Err(later())
    }

    async fn delete_job(&self, _job: &Job) -> Result<()> {
        Err(later())
    }

    async fn due_jobs(&self, _until: Timestamp, _limit: usize) -> Result<Vec<Job>> {
        Err(later())
    }

    async fn totals(&self, _database: Option<DatabaseId>) -> Result<Totals> {
        Err(later())
    }

    async fn append_log(&self, _job: JobId, _lines: &[LogEntry]) -> Result<()> {
        Err(later())
    }

    async fn log(&self, _job: JobId, _after: u64, _limit: usize) -> Result<Vec<LogEntry>> {
        Err(later())
    }

    async fn claim(
        &self,
        _key: &str,
        _value: &str,
        _now: Timestamp,
        _expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        Err(later())
    }

    async fn release_claim(&self, _key: &str, _value: &str) -> Result<()> {
        Err(later())
    }

    async fn acquire_lease(
        &self,
        _name: &str,
        _owner: &str,
        _now: Timestamp,
        _expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        Err(later())
    }

    async fn renew_lease(&self, _name: &str, _fence: u64, _expires_at: Timestamp) -> Result<bool> {
        Err(later())
    }

    async fn release_lease(&self, _name: &str, _fence: u64) -> Result<()> {
        Err(later())
    }

    async fn live_leases(&self, _prefix: &str, _now: Timestamp) -> Result<Vec<String>> {
        Err(later())
    }

    async fn claims(&self, _after: Option<&str>, _limit: usize) -> Result<Vec<Claim>> {
        Err(later())
    }

    async fn document(&self, _name: &str) -> Result<Option<Document>> {
        Err(later())
    }

    async fn put_document(&self, _name: &str, _text: &str, _revision: u64) -> Result<u64> {
        Err(later())
    }
}
