//! Indexes that lag behind the table, which Amazon's do and no emulator's does.

use jiff::SignedDuration;
use respaldo_core::model::{DatabaseId, Job};
use respaldo_core::ports::Catalog;
use respaldo_testkit::catalog::Store;
use respaldo_testkit::catalog::sample::{at, job};

use crate::stand_in::{Quirk, StandIn};
use crate::support::{Table, on_dynalite, on_moto};

const TTL: SignedDuration = SignedDuration::from_secs(30);
const ALL: [Option<DatabaseId>; 2] = [None, Some(DatabaseId(1))];

async fn assert_unended(catalog: &dyn Catalog, expected: &[Job]) {
    for database in ALL {
        assert_eq!(catalog.unended(database).await.unwrap(), expected, "of {database:?}");
    }
}

async fn a_job_that_goes_to_a_worker_and_back_is_never_lost(table: Table) {
    let service = StandIn::before(&table.endpoint).await;
    let behind = Table { endpoint: service.endpoint.clone(), name: table.name.clone() }.open().await;
    let direct = table.open().await;
    let mut mine = job(1, 0);
    assert!(direct.create_job(&mine).await.unwrap());
    assert_unended(&*behind, std::slice::from_ref(&mine)).await;

    mine.lease("worker", at(1), TTL).unwrap();
    let mut mine = direct.update_job(&mine).await.unwrap();
    service.rule(|_| Some(Quirk::Behind));
    assert_unended(&*behind, std::slice::from_ref(&mine)).await;
    service.rule(|_| None);
    assert_unended(&*behind, std::slice::from_ref(&mine)).await;

    mine.put_back(mine.fence, at(2)).unwrap();
    let mut mine = direct.update_job(&mine).await.unwrap();
    service.rule(|_| Some(Quirk::Behind));
    assert_unended(&*behind, std::slice::from_ref(&mine)).await;

    mine.cancel(at(3)).unwrap();
    direct.update_job(&mine).await.unwrap();
    assert_unended(&*behind, &[]).await;
}

#[tokio::test]
async fn a_job_that_has_just_begun_has_not_ended_although_the_indexes_say_that_it_waits_on_moto() {
    a_job_that_goes_to_a_worker_and_back_is_never_lost(on_moto().await).await;
}

#[tokio::test]
async fn a_job_that_has_just_begun_has_not_ended_although_the_indexes_say_that_it_waits_on_dynalite() {
    a_job_that_goes_to_a_worker_and_back_is_never_lost(on_dynalite().await).await;
}
