//! Promises about lists of jobs.

use jiff::SignedDuration;
use respaldo_core::model::{
    BackupKind, DatabaseId, Job, JobId, Outline, Status, Verification, VerificationStatus,
};
use respaldo_core::ports::{Catalog, Cursor, JobFilter};

use super::Store;
use super::memory::MemoryCatalog;
use super::sample::{artifact, at, job, job_id, job_of, test_restore_of};

async fn walk(catalog: &dyn Catalog, filter: &JobFilter, limit: usize) -> Vec<Job> {
    let mut seen: Vec<Job> = Vec::new();
    loop {
        let page = catalog.jobs(filter, seen.last().map(Cursor::after), limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return seen;
        }
        seen.extend(page);
    }
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// By (`created_at`, `id`), descending, whatever the order of creation, in pages of any size.
pub async fn jobs_are_listed_newest_first_also_those_of_one_millisecond(store: &dyn Store) {
    let catalog = store.open().await;
    for (id, millis) in [(5, 10), (1, 10), (9, 0), (3, 10), (2, 20), (4, 10)] {
        assert!(catalog.create_job(&job(id, millis)).await.unwrap());
    }
    let expected = [2, 5, 4, 3, 1, 9].map(job_id);
    for limit in [1, 2, 3, 6, 100] {
        let seen = walk(&*catalog, &JobFilter::default(), limit).await;
        assert_eq!(ids(&seen), expected, "pages of {limit}");
    }
}

/// Queued and running jobs, of one database or of all, and no others.
pub async fn what_waits_or_runs_is_told_of_one_database_and_of_all(store: &dyn Store) {
    let catalog = store.open().await;
    let mut expected = Vec::new();
    for (id, database) in (1..).zip([1, 1, 1, 2]) {
        let mut job = job_of(id, DatabaseId(database), BackupKind::Manual, at(10));
        assert!(catalog.create_job(&job).await.unwrap());
        if id > 1 {
            job.lease("worker", at(20), SignedDuration::from_secs(30)).unwrap();
            job = catalog.update_job(&job).await.unwrap();
        }
        if id == 3 {
            let fence = job.fence;
            job.cancelled(fence, at(30)).unwrap();
            catalog.update_job(&job).await.unwrap();
        } else {
            expected.push(job);
        }
    }
    let told = async |database| {
        let mut jobs = catalog.unended(database).await.unwrap();
        jobs.sort_by_key(|job| job.id);
        jobs
    };
    assert_eq!(told(None).await, expected);
    assert_eq!(told(Some(DatabaseId(1))).await, expected[..2]);
    assert_eq!(told(Some(DatabaseId(2))).await, expected[2..]);
    assert!(told(Some(DatabaseId(3))).await.is_empty());
}

/// Jobs that were there when the walk began are each seen once, while others arrive and leave around
/// the cursor, also in its own millisecond.
pub async fn pages_stay_complete_while_jobs_arrive(store: &dyn Store) {
    let catalog = store.open().await;
    for id in (100..160).step_by(2) {
        assert!(catalog.create_job(&job(id, 10)).await.unwrap());
    }
    let filter = JobFilter::default();
    let mut seen: Vec<JobId> = Vec::new();
    let mut cursor = None;
    for round in 0.. {
        let page = catalog.jobs(&filter, cursor, 4).await.unwrap();
        let Some(last) = page.last() else { break };
        cursor = Some(Cursor::after(last));
        seen.extend(ids(&page));
        // A newer one, one of the same millisecond before the cursor, and the cursor's own job leaves.
        assert!(catalog.create_job(&job(1_000 + round, 50)).await.unwrap());
        assert!(catalog.create_job(&job(2_000 + round, 10)).await.unwrap());
        catalog.delete_job(last).await.unwrap();
    }
    let expected: Vec<_> = (50..80).rev().map(|half| job_id(2 * half)).collect();
    assert_eq!(seen, expected);
}

/// Every combination of conditions, compared with the model, in pages of two sizes.
pub async fn filters_combine_with_each_other_and_with_pages(store: &dyn Store) {
    let catalog = store.open().await;
    let model = MemoryCatalog::default();
    let kinds = [BackupKind::Scheduled, BackupKind::Manual, BackupKind::Safety];
    let statuses = [Status::Queued, Status::Succeeded, Status::Failed, Status::Skipped];
    for n in 0..48_u8 {
        let nth = usize::from(n);
        let database = DatabaseId(1 + i64::from(n % 2));
        let mut new = if n % 5 == 4 {
            test_restore_of(n.into(), database, at(i64::from(n / 5)))
        } else {
            job_of(n.into(), database, kinds[nth % 3], at(i64::from(n / 5)))
        };
        if n % 10 == 4 {
            new.database = None;
        }
        new.status = statuses[(nth / 3) % 4];
        assert!(catalog.create_job(&new).await.unwrap());
        assert!(model.create_job(&new).await.unwrap());
    }
    let mut found = 0;
    for database_id in [None, Some(DatabaseId(1)), Some(DatabaseId(7))] {
        for status in [None, Some(Status::Succeeded), Some(Status::Running)] {
            for kind in [None, Some(BackupKind::Manual), Some(BackupKind::Uploaded)] {
                for since in [None, Some(at(4)), Some(at(1_000))] {
                    let backups_only = since == Some(at(4)) || kind.is_none() && status.is_some();
                    let without_database = database_id == Some(DatabaseId(7));
                    let database_id = database_id.filter(|_| !without_database);
                    let filter =
                        JobFilter { database_id, without_database, status, kind, since, backups_only };
                    let expected = walk(&model, &filter, 1_000).await;
                    for limit in [2, 50] {
                        assert_eq!(walk(&*catalog, &filter, limit).await, expected, "{filter:?}");
                    }
                    found += expected.len();
                }
            }
        }
    }
    assert!(found > 100, "the filters found {found}");
}

/// A database's outlines are its jobs' own, whatever those hold, in the same order, in pages of any size.
pub async fn outlines_tell_what_the_jobs_themselves_tell(store: &dyn Store) {
    let catalog = store.open().await;
    let verdicts = [VerificationStatus::Ok, VerificationStatus::Failed, VerificationStatus::NotVerified];
    let kinds = [BackupKind::Scheduled, BackupKind::Manual, BackupKind::Safety, BackupKind::Uploaded];
    let statuses = [Status::Queued, Status::Running, Status::Succeeded, Status::Failed, Status::Deleting];
    for n in 0..60_u8 {
        let nth = usize::from(n);
        let database = DatabaseId(1 + i64::from(n % 2));
        let mut new = job_of(n.into(), database, kinds[nth % 4], at(i64::from(n / 5)));
        new.status = statuses[nth % 5];
        let other = test_restore_of(u128::from(n) + 1_000, database, at(i64::from(n / 5)));
        assert!(catalog.create_job(&other).await.unwrap());
        new.untold = nth.is_multiple_of(7);
        new.finished_at = nth.is_multiple_of(3).then(|| at(1_000));
        let backup = new.backup_mut().expect("a dump job");
        backup.name = nth.is_multiple_of(2).then(|| format!("a \"name\" {n}"));
        backup.artifact = nth.is_multiple_of(3).then(|| artifact(1, 5));
        backup.verification = verdicts.get(nth % 4).map(|status| Verification {
            status: *status,
            reason: Some("a reason".to_owned()),
            differences: vec!["orders".to_owned()],
            duration_ms: None,
            at: None,
        });
        assert!(catalog.create_job(&new).await.unwrap());
    }
    for database in [DatabaseId(1), DatabaseId(2), DatabaseId(3)] {
        let filter = JobFilter { database_id: Some(database), ..JobFilter::default() };
        let jobs = walk(&*catalog, &filter, 100).await;
        for limit in [1, 7, 100] {
            let mut seen: Vec<Outline> = Vec::new();
            loop {
                let after = seen.last().map(|last| Cursor { created_at: last.created_at, id: last.id });
                let page = catalog.outlines(database, after, limit).await.unwrap();
                assert!(page.len() <= limit);
                if page.is_empty() {
                    break;
                }
                seen.extend(page);
            }
            assert_eq!(seen, jobs.iter().filter_map(Outline::of).collect::<Vec<_>>(), "pages of {limit}");
        }
    }
}
