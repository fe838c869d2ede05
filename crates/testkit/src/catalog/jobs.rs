//! Promises about single jobs and the due index.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use respaldo_core::model::{DatabaseId, Job, Progress, Status};
use respaldo_core::ports::{Catalog, JobFilter};
use respaldo_core::{Error, ErrorKind};

use super::sample::{artifact, at, job, job_id, job_without_a_database, test_restore_of};
use super::{Store, assert_conflict};

const TTL: SignedDuration = SignedDuration::from_secs(30);

/// A created job is stored as given, revision included: who created it may change it without
/// reading it first.
pub async fn a_job_is_read_back_as_written(store: &dyn Store) {
    let catalog = store.open().await;
    let mut mine = job(1, 0);
    assert!(catalog.create_job(&mine).await.unwrap());
    assert_eq!(catalog.job(mine.id).await.unwrap(), Some(mine.clone()));
    mine.lease("worker", at(1), TTL).unwrap();
    let stored = catalog.update_job(&mine).await.unwrap();
    assert_ne!(stored.revision, mine.revision);
    assert_eq!(stored, Job { revision: stored.revision, ..mine });
    assert_eq!(catalog.job(stored.id).await.unwrap(), Some(stored));
    assert_eq!(catalog.job(job_id(2)).await.unwrap(), None);
}

/// The conditional create, through two handles; the record stays the winner's.
pub async fn of_many_who_create_the_same_job_exactly_one_did(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    for round in 0..6 {
        let tasks = (0..8).map(|n| {
            let catalog = Arc::clone(&handles[n % 2]);
            let mut mine = job(round, 0);
            mine.backup_mut().expect("a dump job").database_name = format!("creator {n}");
            tokio::spawn(async move { catalog.create_job(&mine).await.unwrap().then_some(mine) })
        });
        let won: Vec<_> =
            futures::future::join_all(tasks).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(handles[0].job(job_id(round)).await.unwrap().as_ref(), won.first());
    }
}

/// Refused with `Conflict`, and nothing changes.
pub async fn a_stale_job_is_neither_changed_nor_deleted(store: &dyn Store) {
    let catalog = store.open().await;
    let stale = job(1, 0);
    assert_conflict(catalog.update_job(&stale).await, "a change of what is not there");
    assert_conflict(catalog.delete_job(&stale).await, "a deletion of what is not there");
    assert_eq!(catalog.job(stale.id).await.unwrap(), None);
    assert!(catalog.create_job(&stale).await.unwrap());
    let fresh = catalog.update_job(&stale).await.unwrap();
    assert_conflict(catalog.update_job(&stale).await, "a change on a stale read");
    assert_conflict(catalog.delete_job(&stale).await, "a deletion on a stale read");
    for revision in [fresh.revision + 5, u64::MAX] {
        let ahead = Job { revision, ..stale.clone() };
        assert_conflict(catalog.update_job(&ahead).await, "a change of a revision that never was");
        assert_conflict(catalog.delete_job(&ahead).await, "a deletion of a revision that never was");
    }
    assert_eq!(catalog.job(fresh.id).await.unwrap(), Some(fresh.clone()));
    catalog.delete_job(&fresh).await.unwrap();
    assert_eq!(catalog.job(fresh.id).await.unwrap(), None);
}

/// Many lease the same queued job through two handles: one of them owns it.
pub async fn of_concurrent_changes_to_a_job_exactly_one_wins(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    for round in 0..6 {
        let queued = job(round, 0);
        assert!(handles[0].create_job(&queued).await.unwrap());
        let tasks = (0..8).map(|n| {
            let catalog = Arc::clone(&handles[n % 2]);
            let mut mine = queued.clone();
            tokio::spawn(async move {
                mine.lease(&format!("worker {n}"), at(1), TTL).unwrap();
                catalog.update_job(&mine).await
            })
        });
        let results = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap);
        let (won, lost): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7), "round {round}");
        for result in lost {
            assert_conflict(result, "the others lose");
        }
        let winner = won.into_iter().next().unwrap().unwrap();
        assert_eq!(handles[1].job(queued.id).await.unwrap(), Some(winner));
    }
}

/// Stores the change and checks that the due index agrees with [`Job::attention_at`] to the
/// millisecond.
async fn store_and_check(catalog: &dyn Catalog, changed: &Job, what: &str) -> Job {
    let stored = catalog.update_job(changed).await.unwrap();
    assert_due(catalog, &stored, what).await;
    stored
}

async fn assert_due(catalog: &dyn Catalog, job: &Job, what: &str) {
    let due = async |until| {
        let found = catalog.due_jobs(until, 100).await.unwrap();
        found.iter().filter(|one| *one == job).count()
    };
    if let Some(attention) = job.attention_at() {
        assert_eq!(due(attention).await, 1, "{what}: due at {attention}");
        assert_eq!(due(attention - SignedDuration::from_millis(1)).await, 0, "{what}: not before it");
    } else {
        assert_eq!(due(Timestamp::MAX).await, 0, "{what}: never due");
    }
}

/// Drives jobs through all of the model's transitions.
pub async fn due_jobs_follow_every_transition(store: &dyn Store) {
    let catalog = store.open().await;
    let catalog = &*catalog;
    for (id, millis) in [(1, 0), (2, 10), (3, 20)] {
        let queued = job(id, millis);
        assert!(catalog.create_job(&queued).await.unwrap());
        assert_due(catalog, &queued, "queued").await;
    }
    retried_then_succeeded_then_deleted(catalog, job(1, 0)).await;
    put_back_then_taken_over_then_failed(catalog, job(2, 10)).await;
    cancelled_while_queued_and_while_running(catalog, job(3, 20)).await;
    assert!(catalog.due_jobs(Timestamp::MAX, 100).await.unwrap().is_empty(), "all is done");
}

async fn retried_then_succeeded_then_deleted(catalog: &dyn Catalog, mut job: Job) {
    let passing = Error::new(ErrorKind::Unavailable, "dump", "the server went away");
    let fence = job.lease("a", at(100), TTL).unwrap();
    job = store_and_check(catalog, &job, "running").await;
    job.heartbeat(fence, at(10_100), TTL, Progress { raw_bytes: 5, stored_bytes: 1 }).unwrap();
    job = store_and_check(catalog, &job, "running on").await;
    job.fail(fence, passing, at(11_000)).unwrap();
    assert_eq!(job.status, Status::Queued);
    job = store_and_check(catalog, &job, "waiting for its retry").await;
    let fence = job.lease("a", at(90_000), TTL).unwrap();
    job = store_and_check(catalog, &job, "running again").await;
    job.succeed(fence, artifact(2, 1_000), None, at(95_000)).unwrap();
    job = store_and_check(catalog, &job, "succeeded with litter of the first attempt").await;
    assert!(job.attention_at().is_some());
    job.attempts.litter.clear();
    job = store_and_check(catalog, &job, "succeeded and swept").await;
    assert_eq!(job.attention_at(), Some(at(125_000)), "its end is to be told");
    job.told();
    job = store_and_check(catalog, &job, "told").await;
    assert!(job.attention_at().is_none());
    job.delete().unwrap();
    job = store_and_check(catalog, &job, "deleting").await;
    catalog.delete_job(&job).await.unwrap();
}

async fn put_back_then_taken_over_then_failed(catalog: &dyn Catalog, mut job: Job) {
    let fence = job.lease("a", at(100), TTL).unwrap();
    job.put_back(fence, at(5_000)).unwrap();
    job = store_and_check(catalog, &job, "put back").await;
    job.lease("a", at(6_000), TTL).unwrap();
    job = store_and_check(catalog, &job, "leased, and its holder dies").await;
    let fence = job.lease("b", at(40_000), TTL).unwrap();
    job = store_and_check(catalog, &job, "taken over").await;
    job.fail(fence, Error::new(ErrorKind::Denied, "dump", "wrong password"), at(41_000)).unwrap();
    assert_eq!(job.status, Status::Failed);
    job = store_and_check(catalog, &job, "failed with litter").await;
    job.attempts.litter.clear();
    job.told();
    store_and_check(catalog, &job, "failed, swept and told").await;
}

async fn cancelled_while_queued_and_while_running(catalog: &dyn Catalog, mut job: Job) {
    let mut waiting = super::sample::job(4, 30);
    assert!(catalog.create_job(&waiting).await.unwrap());
    waiting.cancel(at(200)).unwrap();
    waiting = store_and_check(catalog, &waiting, "cancelled in the queue").await;
    waiting.told();
    store_and_check(catalog, &waiting, "told").await;
    let mut skipped = super::sample::job(5, 40);
    skipped.status = Status::Skipped;
    assert!(catalog.create_job(&skipped).await.unwrap());
    assert_due(catalog, &skipped, "skipped").await;

    let fence = job.lease("a", at(100), TTL).unwrap();
    job.cancel(at(200)).unwrap();
    job = store_and_check(catalog, &job, "asked to stop").await;
    job.cancelled(fence, at(300)).unwrap();
    job = store_and_check(catalog, &job, "stopped, with litter").await;
    job.attempts.litter.clear();
    job.told();
    store_and_check(catalog, &job, "stopped, swept and told").await;
}

/// Earliest first; with a limit, the earliest.
pub async fn due_jobs_come_earliest_first_and_no_more_than_asked(store: &dyn Store) {
    let catalog = store.open().await;
    for (id, millis) in [(1, 500), (2, 100), (3, 900), (4, 300)] {
        assert!(catalog.create_job(&job(id, millis)).await.unwrap());
    }
    let due = async |limit| {
        let found = catalog.due_jobs(Timestamp::MAX, limit).await.unwrap();
        found.iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(due(100).await, [2, 4, 1, 3].map(job_id));
    assert_eq!(due(2).await, [2, 4].map(job_id));
}

/// A job that works on no single database is found by the filter for such, and is no database's.
pub async fn a_job_without_a_database_is_listed_among_such(store: &dyn Store) {
    let catalog = store.open().await;
    let package = job_without_a_database(1, at(1));
    for new in [&package, &job(2, 2), &test_restore_of(3, DatabaseId(1), at(3))] {
        assert!(catalog.create_job(new).await.unwrap());
    }
    assert_eq!(catalog.job(package.id).await.unwrap().as_ref(), Some(&package));
    let such = JobFilter { without_database: true, ..JobFilter::default() };
    assert_eq!(catalog.jobs(&such, None, 9).await.unwrap(), std::slice::from_ref(&package));
    for status in [Status::Queued, Status::Failed] {
        let found = catalog.jobs(&JobFilter { status: Some(status), ..such.clone() }, None, 9).await.unwrap();
        assert_eq!(found.len(), usize::from(status == package.status));
    }
    for database_id in [DatabaseId(0), DatabaseId(1), DatabaseId(-1)] {
        let own = JobFilter { database_id: Some(database_id), ..JobFilter::default() };
        let own = catalog.jobs(&own, None, 9).await.unwrap();
        assert!(own.iter().all(|job| job.database_id() == Some(database_id)), "{database_id}");
        let both = JobFilter { database_id: Some(database_id), ..such.clone() };
        assert!(catalog.jobs(&both, None, 9).await.unwrap().is_empty());
    }
    catalog.delete_job(&package).await.unwrap();
    assert!(catalog.jobs(&such, None, 9).await.unwrap().is_empty());
}
