//! What only a member of a replica set does: snapshots, and writes that are repeated without harm.

use bson::{RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::{Client, Database};
use respaldo_testkit::not_mongod::{Fault, NotMongod, When};

use crate::support::{client, options, refused};

async fn read(database: &Database, name: &str, concern: bson::Document) -> (usize, Option<bson::Timestamp>) {
    let answer = database.run_command(doc! { "find": name, "readConcern": concern }).await.unwrap();
    let cursor = answer.get_document("cursor").unwrap();
    (cursor.get_array("firstBatch").unwrap().len(), cursor.get_timestamp("atClusterTime").ok())
}

#[tokio::test]
async fn two_collections_are_read_as_they_were_at_one_time() {
    let server = NotMongod::builder().replica_set("rs0").start();
    server.load("shop", "orders", [rawdoc! { "_id": 1 }]);
    server.load("shop", "customers", [rawdoc! { "_id": 1 }]);
    let shop = client(&server).await.database("shop");
    let (count, at) = read(&shop, "orders", doc! { "level": "snapshot" }).await;
    assert_eq!(count, 1);
    server.load("shop", "customers", [rawdoc! { "_id": 2 }]);
    let then = doc! { "level": "snapshot", "atClusterTime": at.unwrap() };
    assert_eq!(read(&shop, "customers", then).await, (1, at));
    assert_eq!(read(&shop, "customers", doc! { "level": "local" }).await.0, 2);
    let never = doc! { "level": "snapshot", "atClusterTime": bson::Timestamp { time: 1, increment: 1 } };
    assert_eq!(refused(&shop, doc! { "find": "orders", "readConcern": never }).await, 239);
}

#[tokio::test]
async fn the_driver_s_snapshot_session_reads_over_many_batches() {
    let server = NotMongod::builder().replica_set("rs0").start();
    server.load("shop", "orders", (0..500).map(|n| rawdoc! { "_id": n }));
    let client = client(&server).await;
    let mut session = client.start_session().snapshot(true).await.unwrap();
    let orders = client.database("shop").collection::<RawDocumentBuf>("orders");
    let mut cursor = orders.find(doc! {}).batch_size(10).session(&mut session).await.unwrap();
    server.run("shop", &rawdoc! { "drop": "orders" });
    let found: Vec<RawDocumentBuf> = cursor.stream(&mut session).try_collect().await.unwrap();
    assert_eq!(found.len(), 500);
}

#[tokio::test]
async fn standalone_and_old_servers_have_no_snapshots() {
    let command = || doc! { "find": "orders", "readConcern": { "level": "snapshot" } };
    let standalone = NotMongod::start();
    assert_eq!(refused(&client(&standalone).await.database("shop"), command()).await, 123);
    let old = NotMongod::builder().version(4, 4, 0).replica_set("rs0").start();
    assert_eq!(refused(&client(&old).await.database("shop"), command()).await, 72);
}

#[tokio::test]
async fn a_write_that_is_repeated_is_made_once() {
    let server = NotMongod::builder().replica_set("rs0").start();
    let mut options = options(&server).await;
    options.direct_connection = None;
    options.repl_set_name = Some("rs0".to_owned());
    options.retry_writes = Some(true);
    let orders =
        Client::with_options(options).unwrap().database("shop").collection::<RawDocumentBuf>("orders");
    server.fail(When::nth("insert", 1), Fault::LoseReply);
    orders.insert_one(rawdoc! { "x": 1 }).await.unwrap();
    assert_eq!(server.count("insert"), 2);
    assert_eq!(server.documents("shop", "orders").len(), 1);
}
