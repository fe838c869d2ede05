//! Records that are larger than an item.

use respaldo_testkit::catalog::Store;
use respaldo_testkit::catalog::sample::{at, job, job_id};
use respaldo_testkit::host;

use crate::support::{Table, on_dynalite, on_moto};

/// Text of so many bytes that hardly gets shorter when it is compressed.
fn noise(bytes: usize) -> String {
    host::random_hex(bytes / 2)
}

async fn grow_shrink_and_go(table: Table) {
    let catalog = table.open().await;
    let mut large = job(1, 0);
    large.backup_mut().unwrap().database_name = noise(3_000_000);
    assert!(catalog.create_job(&large).await.unwrap());
    assert_eq!(catalog.job(job_id(1)).await.unwrap().as_ref(), Some(&large));
    assert!(table.items().await.len() > 4, "it is in parts");

    large.backup_mut().unwrap().database_name = noise(2_000_000);
    let large = catalog.update_job(&large).await.unwrap();
    assert_eq!(catalog.due_jobs(at(99_999), 9).await.unwrap(), std::slice::from_ref(&large));
    let stale = job(1, 0);
    let mut refused = stale.clone();
    refused.backup_mut().unwrap().database_name = noise(2_000_000);
    catalog.update_job(&refused).await.unwrap_err();
    assert_eq!(catalog.job(job_id(1)).await.unwrap().as_ref(), Some(&large), "a refused write takes nothing");

    let mut small = large.clone();
    "small".clone_into(&mut small.backup_mut().unwrap().database_name);
    let small = catalog.update_job(&small).await.unwrap();
    let left = table.items().await;
    assert_eq!(left.len(), 1, "no part is left: {left:?}");

    let mut again = small.clone();
    again.backup_mut().unwrap().database_name = noise(1_000_000);
    let again = catalog.update_job(&again).await.unwrap();
    catalog.delete_job(&again).await.unwrap();
    assert!(table.items().await.is_empty());
}

#[tokio::test]
async fn a_record_of_megabytes_is_kept_in_parts_and_leaves_none_behind_on_moto() {
    grow_shrink_and_go(on_moto().await).await;
}

#[tokio::test]
async fn a_record_of_megabytes_is_kept_in_parts_and_leaves_none_behind_on_dynalite() {
    grow_shrink_and_go(on_dynalite().await).await;
}
