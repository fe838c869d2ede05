//! Random operations, played against the model and an implementation: each answer must be the same.
//!
//! Numbers that implementations are free to choose (a database's number, a fence, a revision) are
//! compared by their place in the order in which they were given out.

mod op;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use respaldo_core::model::{BackupKind, Database, DatabaseId, Job, JobId, Status};
use respaldo_core::ports::{Catalog, Cursor, JobFilter, NewDatabase};
use respaldo_core::{Error, ErrorKind};

use self::op::{Op, op};
use super::Store;
use super::claims::walk;
use super::memory::MemoryStore;
use super::sample::{artifact, at, database, job_id, job_of, line};

/// How many sequences are played, and how long the longest is.
pub const CASES: u32 = 48;
const LONGEST: usize = 80;
const TTL: SignedDuration = SignedDuration::from_millis(4);

const KINDS: [BackupKind; 4] =
    [BackupKind::Scheduled, BackupKind::Manual, BackupKind::Safety, BackupKind::Uploaded];
const STATUSES: [Status; 5] =
    [Status::Queued, Status::Running, Status::Succeeded, Status::Failed, Status::Deleting];
const NAMES: [&str; 5] = ["", "a", "a%", "a_", "a\0b"];

/// Plays so many random sequences against the model and a fresh store each, and shrinks what differs.
pub fn any_sequence_of_operations_answers_as_the_model_does<F, S>(cases: u32, make: impl Fn() -> F)
where
    F: Future<Output = S>,
    S: Store,
{
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sequences = proptest::collection::vec(op(), 1..LONGEST);
    let outcome = TestRunner::new(config)
        .run(&sequences, |ops| runtime.block_on(async { play(&make().await, ops).await }));
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

async fn play(store: &dyn Store, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let mut model = Side::new(MemoryStore::default().open().await);
    let mut other = Side::new(store.open().await);
    for (place, op) in ops.iter().enumerate() {
        let expected = model.answer(op).await.map_err(|error| error.kind());
        let given = other.answer(op).await;
        prop_assert_eq!(
            given.as_ref().map_err(Error::kind),
            expected.as_ref().map_err(|kind| *kind),
            "operation {} ({:?}): {:?}",
            place,
            op,
            given
        );
    }
    Ok(())
}

/// One of the two catalogs, and what its user knows of it.
struct Side {
    catalog: Arc<dyn Catalog>,
    /// In order of creation, each with all records that were ever read.
    databases: Vec<Vec<Database>>,
    jobs: BTreeMap<JobId, Vec<Job>>,
    /// Revisions by name, in the order in which they were given out.
    documents: BTreeMap<String, Vec<u64>>,
    /// By name, in the order in which they were given out.
    fences: BTreeMap<&'static str, Vec<u64>>,
}

/// An answer in a form in which two catalogs can be compared.
type Answer = Result<String, Error>;

impl Side {
    fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self {
            catalog,
            databases: Vec::new(),
            jobs: BTreeMap::new(),
            documents: BTreeMap::new(),
            fences: BTreeMap::new(),
        }
    }

    async fn answer(&mut self, op: &Op) -> Answer {
        match op {
            Op::CreateDatabase { .. }
            | Op::ChangeDatabase { .. }
            | Op::DeleteDatabase { .. }
            | Op::Databases { .. }
            | Op::DueDatabases { .. } => self.on_databases(op).await,
            Op::CreateJob { .. } | Op::StepJob { .. } | Op::DeleteJob { .. } => self.on_a_job(op).await,
            Op::Jobs { .. } | Op::DueJobs { .. } | Op::Totals { .. } => self.over_jobs(op).await,
            Op::AppendLog { .. } | Op::Log { .. } => self.on_logs(op).await,
            Op::Claim { .. } | Op::ReleaseClaim { .. } | Op::Claims { .. } => self.on_claims(op).await,
            Op::PutDocument { .. } => self.on_documents(op).await,
            Op::Acquire { .. } | Op::Renew { .. } | Op::Release { .. } | Op::Live { .. } => {
                self.on_leases(op).await
            }
        }
    }

    async fn on_databases(&mut self, op: &Op) -> Answer {
        match *op {
            Op::CreateDatabase { uid, due } => {
                let mut new = database(uid.into());
                new.next_due_at = due.map(time);
                let created = self.catalog.create_database(NewDatabase(new)).await?;
                if let Some(last) = self.databases.last() {
                    assert!(created.id > last[0].id, "numbers grow");
                }
                self.databases.push(vec![created.clone()]);
                Ok(self.shown_database(created))
            }
            Op::ChangeDatabase { nth, stale, due, definition_stale, enabled } => {
                let Some(mut mine) = known(self.databases.get(usize::from(nth)), stale) else {
                    return Ok("no such database".to_owned());
                };
                (mine.next_due_at, mine.definition_stale) = (due.map(time), definition_stale);
                mine.settings.enabled = enabled;
                let stored = self.catalog.update_database(&mine).await?;
                self.databases[usize::from(nth)].push(stored.clone());
                Ok(self.shown_database(stored))
            }
            Op::DeleteDatabase { nth, stale } => {
                let Some(mine) = known(self.databases.get(usize::from(nth)), stale) else {
                    return Ok("no such database".to_owned());
                };
                self.catalog.delete_database(&mine).await?;
                Ok(format!("deleted; now {:?}", self.catalog.database(mine.id).await?))
            }
            Op::Databases { after, limit } => {
                let after = known(after.and_then(|nth| self.databases.get(usize::from(nth))), false);
                let page = self.catalog.databases(after.map(|one| one.id), limit).await?;
                Ok(self.shown_databases(page))
            }
            Op::DueDatabases { until, limit } => {
                Ok(self.shown_databases(self.catalog.due_databases(time(until), limit).await?))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    async fn on_a_job(&mut self, op: &Op) -> Answer {
        match *op {
            Op::CreateJob { id, database, kind, at } => {
                let new = job_of(id.into(), DatabaseId(database.into()), KINDS[usize::from(kind)], time(at));
                let created = self.catalog.create_job(&new).await?;
                if created {
                    self.jobs.entry(new.id).or_default().push(new);
                }
                Ok(format!("created: {created}"))
            }
            Op::StepJob { id, stale, step: n, at } => {
                let Some(mut mine) = known(self.jobs.get(&job_id(id.into())), stale) else {
                    return Ok("no such job".to_owned());
                };
                if step(&mut mine, n, time(at)).is_err() {
                    return Ok("the model refuses".to_owned());
                }
                let stored = self.catalog.update_job(&mine).await?;
                self.jobs.entry(stored.id).or_default().push(stored.clone());
                let read = self.catalog.job(stored.id).await?;
                assert_eq!(read.as_ref(), Some(&stored));
                Ok(shown_job(stored))
            }
            Op::DeleteJob { id, stale } => {
                let Some(mine) = known(self.jobs.get(&job_id(id.into())), stale) else {
                    return Ok("no such job".to_owned());
                };
                self.catalog.delete_job(&mine).await?;
                // An id that comes again starts at the same revision, so old records are forgotten.
                self.jobs.remove(&mine.id);
                Ok(format!("deleted; now {:?}", self.catalog.job(mine.id).await?))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    async fn over_jobs(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Jobs { database, status, kind, since, after, limit } => {
                let filter = JobFilter {
                    database_id: database.map(|id| DatabaseId(id.into())),
                    status: status.map(|n| STATUSES[usize::from(n)]),
                    kind: kind.map(|n| KINDS[usize::from(n)]),
                    since: since.map(time),
                    ..JobFilter::default()
                };
                let after = after.map(|(at, id)| Cursor { created_at: time(at), id: job_id(id.into()) });
                Ok(shown_jobs(self.catalog.jobs(&filter, after, limit).await?))
            }
            Op::DueJobs { until, limit } => {
                // Everything waits at least a minute for its doorbell; later instants matter too.
                let until = time(until) + SignedDuration::from_millis(i64::from(until % 3) * 60_000);
                Ok(shown_jobs(self.catalog.due_jobs(until, limit).await?))
            }
            Op::Totals { database } => {
                let totals = self.catalog.totals(database.map(|id| DatabaseId(id.into()))).await?;
                Ok(format!("{totals:?}"))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    async fn on_logs(&mut self, op: &Op) -> Answer {
        match *op {
            Op::AppendLog { id, lines } => {
                let id = job_id(id.into());
                if !self.jobs.contains_key(&id) {
                    return Ok("no such job".to_owned());
                }
                let lines: Vec<_> = (0..lines).map(|n| line(&format!("line {n}"))).collect();
                self.catalog.append_log(id, &lines).await?;
                Ok("appended".to_owned())
            }
            Op::Log { id, after, limit } => {
                Ok(format!("{:?}", self.catalog.log(job_id(id.into()), after.into(), limit).await?))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    async fn on_claims(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Claim { key, value, now, ttl } => {
                let expires_at = ttl.map(|ttl| time(now + ttl));
                let (key, value) = (NAMES[usize::from(key)], value.to_string());
                // DynamoDB has no empty keys.
                let key = format!("k{key}");
                let before = self.catalog.claim(&key, &value, time(now), expires_at).await?;
                Ok(format!("{before:?}, now {:?}", self.catalog.claimed(&key, time(now)).await?))
            }
            Op::ReleaseClaim { key, value } => {
                let key = format!("k{}", NAMES[usize::from(key)]);
                self.catalog.release_claim(&key, &value.to_string()).await?;
                Ok("released".to_owned())
            }
            Op::Claims { limit, now } => {
                let mut listed = walk(&*self.catalog, limit).await;
                // What has expired may be forgotten at any time.
                listed.retain(|claim| claim.is_live(time(now)));
                Ok(format!("{listed:?}"))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    async fn on_documents(&mut self, op: &Op) -> Answer {
        let Op::PutDocument { name, text, stale } = *op else { unreachable!("{op:?}") };
        let name = format!("d{}", NAMES[usize::from(name)]);
        let given = self.documents.entry(name.clone()).or_default();
        let revision = given.iter().rev().nth(usize::from(stale)).copied().unwrap_or(0);
        let revision = self.catalog.put_document(&name, &text.to_string(), revision).await?;
        given.push(revision);
        let read = self.catalog.document(&name).await?.expect("it was written");
        assert_eq!(read.revision, revision);
        Ok(read.text)
    }

    async fn on_leases(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Acquire { name, now, ttl } => {
                let name = NAMES[usize::from(name)];
                let given = self.catalog.acquire_lease(name, "o", time(now), time(now + ttl)).await?;
                let fences = self.fences.entry(name).or_default();
                if let Some(fence) = given {
                    assert!(
                        fences.last().is_none_or(|last| fence > *last),
                        "fences grow: {fences:?}, {fence}"
                    );
                    fences.push(fence);
                }
                Ok(format!("{}, {} so far", given.is_some(), fences.len()))
            }
            Op::Renew { name, nth, until } => match self.fence(name, nth) {
                Some((name, fence)) => {
                    Ok(format!("{}", self.catalog.renew_lease(name, fence, time(until)).await?))
                }
                None => Ok("no such fence".to_owned()),
            },
            Op::Release { name, nth } => {
                if let Some((name, fence)) = self.fence(name, nth) {
                    self.catalog.release_lease(name, fence).await?;
                }
                Ok("released".to_owned())
            }
            Op::Live { prefix, now } => {
                let mut names = self.catalog.live_leases(NAMES[usize::from(prefix)], time(now)).await?;
                names.sort();
                Ok(format!("{names:?}"))
            }
            _ => unreachable!("{op:?}"),
        }
    }

    /// The fence that was given out for the name `nth` before the last.
    fn fence(&self, name: u8, nth: u8) -> Option<(&'static str, u64)> {
        let name = NAMES[usize::from(name)];
        let fences = self.fences.get(name)?;
        fences.iter().rev().nth(nth.into()).map(|fence| (name, *fence))
    }

    fn shown_database(&self, mut database: Database) -> String {
        let place = self.databases.iter().position(|one| one[0].id == database.id);
        (database.id, database.revision) = (DatabaseId(0), 0);
        format!("{place:?}: {database:?}")
    }

    fn shown_databases(&self, databases: Vec<Database>) -> String {
        databases.into_iter().map(|one| self.shown_database(one) + "\n").collect()
    }
}

fn time(millis: u8) -> Timestamp {
    at(millis.into())
}

/// The last record that was read, or the one before it.
fn known<T: Clone>(records: Option<&Vec<T>>, stale: bool) -> Option<T> {
    let records = records?;
    records.get(records.len().checked_sub(if stale { 2 } else { 1 })?).cloned()
}

fn step(job: &mut Job, step: u8, now: Timestamp) -> Result<(), Error> {
    let fence = job.fence;
    match step {
        0 | 1 => job.lease("o", now, TTL).map(|_fence| ()),
        2 => job.heartbeat(fence, now, TTL, job.progress),
        3 => job.succeed(fence, artifact(job.attempts.current, 10), None, now),
        4 => job.fail(fence, Error::new(ErrorKind::Unavailable, "dump", "gone"), now),
        5 => job.cancel(now),
        6 => job.delete(),
        _ => {
            job.attempts.litter.clear();
            Ok(())
        }
    }
}

fn shown_job(mut job: Job) -> String {
    job.revision = 0;
    format!("{job:?}")
}

fn shown_jobs(jobs: Vec<Job>) -> String {
    jobs.into_iter().map(|job| shown_job(job) + "\n").collect()
}
