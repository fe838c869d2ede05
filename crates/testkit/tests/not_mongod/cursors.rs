//! Cursors over batches, and what becomes of them.

use bson::{RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{code, collection, eventually, refused, shop};

fn numbered(count: i32) -> Vec<RawDocumentBuf> {
    (0..count).map(|n| rawdoc! { "_id": count - n, "n": n }).collect()
}

#[tokio::test]
async fn batches_are_as_large_as_asked_and_the_cursor_ends_with_the_last() {
    let server = NotMongod::start();
    server.load("shop", "orders", numbered(1000));
    let cursor = collection(&server).await.find(doc! {}).batch_size(7).await.unwrap();
    assert_eq!(server.open_cursors(), 1);
    let found: Vec<RawDocumentBuf> = cursor.try_collect().await.unwrap();
    assert!(found == numbered(1000));
    assert_eq!(server.count_on("getMore", "shop.orders"), 142);
    assert_eq!(server.open_cursors(), 0);
}

#[tokio::test]
async fn no_batch_is_larger_than_16_mebibytes() {
    let server = NotMongod::start();
    let documents = (0..10).map(|n| rawdoc! { "_id": n, "x": "x".repeat(5 * 1024 * 1024) });
    server.load("shop", "orders", documents);
    let found: Vec<RawDocumentBuf> =
        collection(&server).await.find(doc! {}).batch_size(100).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found.len(), 10);
    assert_eq!(server.count("getMore"), 3, "three documents fit into a batch");
}

#[tokio::test]
async fn a_cursor_that_is_dropped_is_killed_at_the_server() {
    let server = NotMongod::start();
    server.load("shop", "orders", numbered(1000));
    let cursor = collection(&server).await.find(doc! {}).batch_size(2).await.unwrap();
    drop(cursor);
    eventually("the cursor is killed", || server.open_cursors() == 0).await;
    assert_eq!(server.count("killCursors"), 1);
}

#[tokio::test]
async fn order_limit_and_hint_are_kept_and_what_is_unknown_is_refused() {
    let server = NotMongod::start();
    server.load("shop", "orders", numbered(200));
    let orders = collection(&server).await;
    let ids = async |sort, limit| -> Vec<i32> {
        let cursor = orders.find(doc! {}).sort(sort).limit(limit).batch_size(2).await.unwrap();
        let found: Vec<RawDocumentBuf> = cursor.try_collect().await.unwrap();
        found.iter().map(|document| document.get_i32("_id").unwrap()).collect()
    };
    assert_eq!(ids(doc! { "_id": 1 }, 3).await, [1, 2, 3]);
    assert_eq!(ids(doc! { "_id": -1 }, 3).await, [200, 199, 198]);
    assert_eq!(ids(doc! { "$natural": -1 }, 3).await, [1, 2, 3]);
    assert_eq!(ids(doc! { "_id": 1 }, 0).await.len(), 200);
    let shop = shop(&server).await;
    assert_eq!(refused(&shop, doc! { "find": "orders", "sort": { "n": 1 } }).await, 238);
    assert_eq!(refused(&shop, doc! { "find": "orders", "projection": { "n": 1 } }).await, 238);
    assert_eq!(refused(&shop, doc! { "find": "orders", "hint": "n_1" }).await, 2);
    let first = shop.run_command(doc! { "find": "orders", "hint": "_id_", "limit": 1 }).await.unwrap();
    let batch = first.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    assert_eq!(batch[0].as_document().unwrap().get_i32("_id").unwrap(), 1);
}

#[tokio::test]
async fn a_cursor_sees_what_comes_and_is_killed_by_what_goes() {
    let server = NotMongod::start();
    server.load("shop", "orders", numbered(10));
    let orders = collection(&server).await;
    let mut cursor = orders.find(doc! {}).batch_size(5).await.unwrap();
    for _ in 0..5 {
        assert!(cursor.advance().await.unwrap());
    }
    server.load("shop", "orders", [rawdoc! { "_id": "late" }]);
    let mut rest = 0;
    while cursor.advance().await.unwrap() {
        rest += 1;
    }
    assert_eq!(rest, 6);

    let mut cursor = orders.find(doc! {}).batch_size(5).await.unwrap();
    server.run("shop", &rawdoc! { "drop": "orders" });
    let error = loop {
        if let Err(error) = cursor.advance().await {
            break error;
        }
    };
    assert_eq!(code(&error), 175);
}

#[tokio::test]
async fn cursors_of_others_and_of_nobody_are_refused() {
    let server = NotMongod::start();
    server.load("shop", "orders", numbered(10));
    let shop = shop(&server).await;
    assert_eq!(refused(&shop, doc! { "getMore": 77_i64, "collection": "orders" }).await, 43);
    let opened = shop.run_command(doc! { "find": "orders", "batchSize": 1 }).await.unwrap();
    let id = opened.get_document("cursor").unwrap().get_i64("id").unwrap();
    assert_eq!(refused(&shop, doc! { "getMore": id, "collection": "others" }).await, 13);
    let killed = shop.run_command(doc! { "killCursors": "orders", "cursors": [id, 5_i64] }).await.unwrap();
    assert_eq!(killed.get_array("cursorsKilled").unwrap().len(), 1);
    assert_eq!(killed.get_array("cursorsNotFound").unwrap().len(), 1);
}

#[tokio::test]
async fn a_collection_that_is_not_there_is_read_as_empty() {
    let server = NotMongod::start();
    let found: Vec<RawDocumentBuf> =
        collection(&server).await.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert!(found.is_empty());
}
