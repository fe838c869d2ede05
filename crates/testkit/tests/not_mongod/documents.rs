//! Documents go in and come out.

use bson::{RawDocumentBuf, rawdoc};
use futures::TryStreamExt;
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{client, code, collection};

#[tokio::test]
async fn documents_come_back_byte_for_byte_over_many_batches() {
    let server = NotMongod::start();
    let orders = collection(&server).await;
    let documents: Vec<RawDocumentBuf> =
        (0..1000).map(|n| rawdoc! { "_id": n, "x": "y".repeat(50) }).collect();
    orders.insert_many(&documents).await.unwrap();
    let cursor = orders.find(bson::doc! {}).batch_size(7).await.unwrap();
    let found: Vec<RawDocumentBuf> = cursor.try_collect().await.unwrap();
    assert!(found == documents);
    assert!(server.documents("shop", "orders") == documents);
    assert!(server.count("getMore") >= 100);
    assert_eq!(server.open_cursors(), 0);
}

#[tokio::test]
async fn a_second_document_of_one_id_is_refused() {
    let server = NotMongod::start();
    let orders = collection(&server).await;
    orders.insert_one(rawdoc! { "_id": 1 }).await.unwrap();
    let error = orders.insert_one(rawdoc! { "_id": 1.0 }).await.unwrap_err();
    assert_eq!(code(&error), 11000);
    assert_eq!(client(&server).await.list_database_names().await.unwrap(), ["shop"]);
}
