//! Storage that holds very much.

use respaldo_core::keys;
use respaldo_core::model::{JobId, Manifest};
use serde_json::json;
use ulid::Ulid;

use super::{Place, list, manifest_key, volume_key};

const MANY: u64 = 1_200;

fn id(n: u64) -> JobId {
    JobId(Ulid::from_parts(1_000 + n, 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_more_backups_than_a_page_of_the_store_has_them_all_in_order() {
    let place = Place::on_s3();
    let database = place.sample(json!({})).await;
    for n in (0..MANY).rev() {
        place.put(&keys::manifest(database.uid, id(n), 1), "{}");
    }
    let backups = place.rescue().backups(database.uid).await.unwrap();
    assert_eq!((backups.ids, backups.foreign), ((0..MANY).map(id).collect(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_backups_are_listed_in_order_although_they_are_looked_at_at_once() {
    let place = Place::on_disk();
    let database = place.sample(json!({})).await;
    let job = place.back_up(&database).await;
    let (manifest, _) = Manifest::decode(&place.read(&manifest_key(&job)), &place.test.app.key).unwrap();
    let stored = place.read(&volume_key(&job));
    for n in 0..MANY {
        let mut copy = Manifest { backup_id: id(n), ..manifest.clone() };
        copy.artifact.volumes[0].key = keys::volume(database.uid, id(n), 1, &copy.name, 1);
        place.put(&copy.artifact.volumes[0].key, &stored);
        place.put(&keys::manifest(database.uid, id(n), 1), copy.encode(&place.test.app.key).unwrap());
    }
    let (lines, totals) = list(&place.rescue()).await;
    let mut expected: Vec<JobId> = (0..MANY).map(id).collect();
    expected.push(job.id);
    assert_eq!(lines.iter().map(|line| line.id).collect::<Vec<_>>(), expected);
    assert_eq!((totals.whole, totals.damaged), (MANY + 1, 0));
}
