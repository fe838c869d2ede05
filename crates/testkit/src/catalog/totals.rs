//! Promises about sums.

use jiff::SignedDuration;
use respaldo_core::model::{BackupKind, DatabaseId};
use respaldo_core::ports::{Catalog, Totals};
use respaldo_core::{Error, ErrorKind};

use super::Store;
use super::memory::MemoryCatalog;
use super::sample::{artifact, at, job_of};

const TTL: SignedDuration = SignedDuration::from_secs(30);
const DATABASES: [Option<DatabaseId>; 4] =
    [None, Some(DatabaseId(1)), Some(DatabaseId(2)), Some(DatabaseId(3))];

/// The catalog's sums are those of the model, which counts anew each time.
async fn assert_recount(catalog: &dyn Catalog, model: &MemoryCatalog, what: &str) {
    for database in DATABASES {
        let expected = model.totals(database).await.unwrap();
        assert_eq!(catalog.totals(database).await.unwrap(), expected, "{what}: {database:?}");
    }
}

/// For all databases and for each, while backups are created, run, succeed, fail, move between
/// databases and go.
pub async fn totals_equal_a_recount_after_every_change(store: &dyn Store) {
    let catalog = store.open().await;
    let (catalog, model) = (&*catalog, &MemoryCatalog::default());
    assert_eq!(catalog.totals(None).await.unwrap(), Totals::default());
    for n in 0..9_u8 {
        let database = DatabaseId(1 + i64::from(n % 2));
        let mut job = job_of(n.into(), database, BackupKind::Manual, at(i64::from(n) * 1_000));
        for each in [catalog, model as &dyn Catalog] {
            assert!(each.create_job(&job).await.unwrap());
        }
        assert_recount(catalog, model, "created").await;
        let fence = job.lease("a", at(0), TTL).unwrap();
        job = update_both(catalog, model, &job, "running").await;
        if n % 3 == 0 {
            job.fail(fence, Error::new(ErrorKind::Denied, "dump", "no"), at(1)).unwrap();
        } else {
            job.succeed(fence, artifact(1, 1_000 + u64::from(n)), None, at(1)).unwrap();
        }
        job.told();
        job = update_both(catalog, model, &job, "ended").await;
        if n % 4 == 1 {
            job.database.as_mut().unwrap().id = DatabaseId(3);
            job = update_both(catalog, model, &job, "moved").await;
        }
        if n % 2 == 0 {
            job.delete().unwrap();
            job = update_both(catalog, model, &job, "deleting").await;
        }
        if n % 4 == 0 {
            for each in [catalog, model as &dyn Catalog] {
                each.delete_job(&job).await.unwrap();
            }
            assert_recount(catalog, model, "deleted").await;
        }
    }
    let all = catalog.totals(None).await.unwrap();
    assert!(all.size_bytes > 0 && all.newest_success_at > all.oldest_success_at, "{all:?}");
}

async fn update_both(
    catalog: &dyn Catalog,
    model: &MemoryCatalog,
    job: &respaldo_core::model::Job,
    what: &str,
) -> respaldo_core::model::Job {
    let stored = catalog.update_job(job).await.unwrap();
    assert_eq!(model.update_job(job).await.unwrap(), stored);
    assert_recount(catalog, model, what).await;
    stored
}
