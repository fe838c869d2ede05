//! The contract in its simplest form: maps behind one lock. It is what implementations are compared
//! with, and a catalog for tests that need none on disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use respaldo_core::model::{Database, DatabaseId, Job, JobId, Status};
use respaldo_core::ports::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, NewDatabase, Totals};
use respaldo_core::{Error, Result};

use super::Store;

/// A catalog in maps.
#[derive(Default)]
pub struct MemoryCatalog {
    state: Mutex<State>,
}

/// A store whose handles are the same [`MemoryCatalog`].
#[derive(Default)]
pub struct MemoryStore(Arc<MemoryCatalog>);

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self) -> Arc<dyn Catalog> {
        let shared: Arc<MemoryCatalog> = Arc::clone(&self.0);
        shared
    }
}

#[derive(Default)]
struct State {
    last_number: i64,
    last_fence: u64,
    databases: BTreeMap<DatabaseId, Database>,
    jobs: BTreeMap<JobId, Job>,
    logs: BTreeMap<JobId, Vec<LogEntry>>,
    claims: BTreeMap<String, (String, Option<Timestamp>)>,
    documents: BTreeMap<String, Document>,
    leases: BTreeMap<String, (u64, Timestamp)>,
}

impl MemoryCatalog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn stale() -> Error {
    Error::conflict("write a record", "it was changed or deleted since it was read")
}

fn matches(job: &Job, filter: &JobFilter, after: Option<Cursor>) -> bool {
    filter.database_id.is_none_or(|id| job.database_id() == Some(id))
        && (!filter.without_database || job.database.is_none())
        && filter.status.is_none_or(|status| job.status == status)
        && filter.kind.is_none_or(|kind| job.backup().is_ok_and(|backup| backup.kind == kind))
        && (!filter.backups_only || job.backup().is_ok())
        && filter.since.is_none_or(|since| job.created_at >= since)
        && after.is_none_or(|cursor| (job.created_at, job.id) < (cursor.created_at, cursor.id))
}

fn sum(totals: &mut Totals, job: &Job) {
    *totals.by_status.entry(job.status.as_str().to_owned()).or_default() += 1;
    if job.status == Status::Succeeded {
        totals.size_bytes +=
            job.backup().expect("a dump job").artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
        totals.newest_success_at = totals.newest_success_at.max(Some(job.created_at));
        let oldest = totals.oldest_success_at.map_or(job.created_at, |oldest| oldest.min(job.created_at));
        totals.oldest_success_at = Some(oldest);
    }
}

#[async_trait]
impl Catalog for MemoryCatalog {
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn create_database(&self, new: NewDatabase) -> Result<Database> {
        let mut state = self.state();
        let mut database = new.0;
        if state.databases.values().any(|other| other.uid == database.uid) {
            return Err(stale());
        }
        state.last_number += 1;
        database.id = DatabaseId(state.last_number);
        database.revision = 1;
        state.databases.insert(database.id, database.clone());
        Ok(database)
    }

    async fn restore_database(&self, database: &Database) -> Result<Database> {
        let mut state = self.state();
        let taken = |other: &Database| other.uid == database.uid || other.id == database.id;
        if database.id.0 < 1 || state.databases.values().any(taken) {
            return Err(stale());
        }
        state.last_number = state.last_number.max(database.id.0);
        let stored = Database { revision: 1, ..database.clone() };
        state.databases.insert(stored.id, stored.clone());
        Ok(stored)
    }

    async fn database(&self, id: DatabaseId) -> Result<Option<Database>> {
        Ok(self.state().databases.get(&id).cloned())
    }

    async fn databases(&self, after: Option<DatabaseId>, limit: usize) -> Result<Vec<Database>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        Ok(state.databases.range((from, Bound::Unbounded)).take(limit).map(|(_, one)| one.clone()).collect())
    }

    async fn last_number(&self) -> Result<DatabaseId> {
        Ok(DatabaseId(self.state().last_number))
    }

    async fn update_database(&self, database: &Database) -> Result<Database> {
        let mut state = self.state();
        if state.databases.values().any(|other| other.uid == database.uid && other.id != database.id) {
            return Err(stale());
        }
        let stored = state.databases.get_mut(&database.id).filter(|one| one.revision == database.revision);
        let stored = stored.ok_or_else(stale)?;
        *stored = Database { revision: database.revision + 1, ..database.clone() };
        Ok(stored.clone())
    }

    async fn delete_database(&self, database: &Database) -> Result<()> {
        let mut state = self.state();
        let stored = state.databases.get(&database.id).filter(|one| one.revision == database.revision);
        let id = stored.ok_or_else(stale)?.id;
        state.databases.remove(&id);
        Ok(())
    }

    async fn due_databases(&self, until: Timestamp, limit: usize) -> Result<Vec<Database>> {
        let mut due: Vec<_> = self.state().databases.values().cloned().collect();
        due.retain(|database| database.attention_at().is_some_and(|at| at <= until));
        due.sort_by_key(|database| (database.attention_at(), database.id));
        due.truncate(limit);
        Ok(due)
    }

    async fn create_job(&self, job: &Job) -> Result<bool> {
        let mut state = self.state();
        let new = !state.jobs.contains_key(&job.id);
        state.jobs.entry(job.id).or_insert_with(|| job.clone());
        Ok(new)
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.state().jobs.get(&id).cloned())
    }

    async fn jobs(&self, filter: &JobFilter, after: Option<Cursor>, limit: usize) -> Result<Vec<Job>> {
        let mut jobs: Vec<_> = self.state().jobs.values().cloned().collect();
        jobs.retain(|job| matches(job, filter, after));
        jobs.sort_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
        jobs.truncate(limit);
        Ok(jobs)
    }

    async fn update_job(&self, job: &Job) -> Result<Job> {
        let mut state = self.state();
        let stored = state.jobs.get_mut(&job.id).filter(|one| one.revision == job.revision);
        let stored = stored.ok_or_else(stale)?;
        *stored = Job { revision: job.revision + 1, ..job.clone() };
        Ok(stored.clone())
    }

    async fn delete_job(&self, job: &Job) -> Result<()> {
        let mut state = self.state();
        let stored = state.jobs.get(&job.id).filter(|one| one.revision == job.revision);
        let id = stored.ok_or_else(stale)?.id;
        state.jobs.remove(&id);
        state.logs.remove(&id);
        Ok(())
    }

    async fn due_jobs(&self, until: Timestamp, limit: usize) -> Result<Vec<Job>> {
        let mut due: Vec<_> = self.state().jobs.values().cloned().collect();
        due.retain(|job| job.attention_at().is_some_and(|at| at <= until));
        due.sort_by_key(|job| (job.attention_at(), job.id));
        due.truncate(limit);
        Ok(due)
    }

    async fn totals(&self, database: Option<DatabaseId>) -> Result<Totals> {
        let mut totals = Totals::default();
        let state = self.state();
        let counts =
            |job: &&Job| job.backup().is_ok() && database.is_none_or(|id| Some(id) == job.database_id());
        for job in state.jobs.values().filter(counts) {
            sum(&mut totals, job);
        }
        Ok(totals)
    }

    async fn append_log(&self, job: JobId, lines: &[LogEntry]) -> Result<()> {
        let mut state = self.state();
        if !state.jobs.contains_key(&job) {
            return Err(Error::not_found("job", job));
        }
        let log = state.logs.entry(job).or_default();
        for line in lines {
            let seq = log.last().map_or(1, |last| last.seq + 1);
            log.push(LogEntry { seq, ..line.clone() });
        }
        Ok(())
    }

    async fn log(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
        let state = self.state();
        let lines = state.logs.get(&job).into_iter().flatten();
        Ok(lines.filter(|line| line.seq > after).take(limit).cloned().collect())
    }

    async fn claim(
        &self,
        key: &str,
        value: &str,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Option<String>> {
        let mut state = self.state();
        match state.claims.get(key) {
            Some((held, expiry)) if expiry.is_none_or(|expiry| expiry > now) => Ok(Some(held.clone())),
            _ => {
                state.claims.insert(key.to_owned(), (value.to_owned(), expires_at));
                Ok(None)
            }
        }
    }

    async fn claimed(&self, key: &str, now: Timestamp) -> Result<Option<String>> {
        let state = self.state();
        let held = state.claims.get(key).filter(|(_, expiry)| expiry.is_none_or(|expiry| expiry > now));
        Ok(held.map(|(value, _)| value.clone()))
    }

    async fn release_claim(&self, key: &str, value: &str) -> Result<()> {
        let mut state = self.state();
        if state.claims.get(key).is_some_and(|(held, _)| held == value) {
            state.claims.remove(key);
        }
        Ok(())
    }

    async fn claims(&self, after: Option<&str>, limit: usize) -> Result<Vec<Claim>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.state();
        let after = state.claims.range::<str, _>((from, Bound::Unbounded));
        let claim = |(key, (value, expires_at)): (&String, &(String, Option<Timestamp>))| Claim {
            key: key.clone(),
            value: value.clone(),
            expires_at: *expires_at,
        };
        Ok(after.take(limit).map(claim).collect())
    }

    async fn document(&self, name: &str) -> Result<Option<Document>> {
        Ok(self.state().documents.get(name).cloned())
    }

    async fn put_document(&self, name: &str, text: &str, revision: u64) -> Result<u64> {
        let mut state = self.state();
        if state.documents.get(name).map_or(0, |stored| stored.revision) != revision {
            return Err(stale());
        }
        let stored = Document { text: text.to_owned(), revision: revision + 1 };
        state.documents.insert(name.to_owned(), stored);
        Ok(revision + 1)
    }

    async fn acquire_lease(
        &self,
        name: &str,
        _owner: &str,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<u64>> {
        let mut state = self.state();
        if state.leases.get(name).is_some_and(|(_, expiry)| *expiry > now) {
            return Ok(None);
        }
        state.last_fence += 1;
        let fence = state.last_fence;
        state.leases.insert(name.to_owned(), (fence, expires_at));
        Ok(Some(fence))
    }

    async fn renew_lease(&self, name: &str, fence: u64, expires_at: Timestamp) -> Result<bool> {
        let mut state = self.state();
        let held = state.leases.get_mut(name).filter(|(current, _)| *current == fence);
        Ok(held.map(|lease| lease.1 = expires_at).is_some())
    }

    async fn release_lease(&self, name: &str, fence: u64) -> Result<()> {
        let mut state = self.state();
        if state.leases.get(name).is_some_and(|(current, _)| *current == fence) {
            state.leases.remove(name);
        }
        Ok(())
    }

    async fn live_leases(&self, prefix: &str, now: Timestamp) -> Result<Vec<String>> {
        let state = self.state();
        let live = state.leases.iter().filter(|(name, lease)| name.starts_with(prefix) && lease.1 > now);
        Ok(live.map(|(name, _)| name.clone()).collect())
    }
}
