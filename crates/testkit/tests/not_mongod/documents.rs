//! Documents go in and come out; what a mongod refuses or changes on the way.

use bson::oid::ObjectId;
use bson::{Bson, Document, RawDocumentBuf, Timestamp, doc, rawdoc};
use futures::TryStreamExt;
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{code, collection, refused, shop};

#[tokio::test]
async fn documents_come_back_byte_for_byte_in_their_order() {
    let server = NotMongod::start();
    let orders = collection(&server).await;
    let documents: Vec<RawDocumentBuf> =
        (0..1000).map(|n| rawdoc! { "_id": (n * 7) % 1000, "x": "y".repeat(50) }).collect();
    orders.insert_many(&documents).await.unwrap();
    let found: Vec<RawDocumentBuf> = orders.find(doc! {}).await.unwrap().try_collect().await.unwrap();
    assert!(found == documents);
    assert!(server.documents("shop", "orders") == documents);
}

#[tokio::test]
async fn a_second_document_of_one_id_is_refused_and_ordered_or_not_decides_about_the_rest() {
    let server = NotMongod::start();
    let orders = collection(&server).await;
    orders.insert_one(rawdoc! { "_id": 1 }).await.unwrap();
    let error = orders.insert_one(rawdoc! { "_id": 1.0 }).await.unwrap_err();
    assert_eq!(code(&error), 11000);
    let batch = [rawdoc! { "_id": 2 }, rawdoc! { "_id": 1 }, rawdoc! { "_id": 3 }];
    assert_eq!(code(&orders.insert_many(&batch).await.unwrap_err()), 11000);
    assert_eq!(server.documents("shop", "orders").len(), 2);
    assert_eq!(code(&orders.insert_many(&batch).ordered(false).await.unwrap_err()), 11000);
    assert_eq!(server.documents("shop", "orders").len(), 3);
}

#[tokio::test]
async fn an_id_is_added_or_moved_to_the_front() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let documents = vec![doc! { "a": 1 }, doc! { "a": 1, "_id": 5, "b": Bson::Undefined }];
    shop.run_command(doc! { "insert": "orders", "documents": documents }).await.unwrap();
    let stored = server.documents("shop", "orders");
    let mut keys = stored[0].iter().map(|element| element.unwrap().0.as_str().to_owned());
    assert_eq!(keys.next().unwrap(), "_id");
    stored[0].get_object_id("_id").unwrap();
    assert!(stored[1] == rawdoc! { "_id": 5, "a": 1, "b": bson::RawBson::Undefined });
}

#[tokio::test]
async fn ids_that_no_document_may_have_are_refused() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let regex = Bson::RegularExpression(bson::Regex {
        pattern: bson::cstr!("a").into(),
        options: bson::cstr!("").into(),
    });
    for (id, expected) in [
        (Bson::Array(vec![]), 53),
        (regex, 53),
        (Bson::Undefined, 53),
        (Bson::Document(doc! { "$a": 1 }), 52),
    ] {
        let command = doc! { "insert": "orders", "documents": [{ "_id": id.clone() }] };
        let answer = shop.run_command(command).await.unwrap();
        let error = answer.get_array("writeErrors").unwrap()[0].as_document().unwrap().clone();
        assert_eq!(error.get_i32("code").unwrap(), expected, "{id}");
    }
    assert!(server.documents("shop", "orders").is_empty());
}

#[tokio::test]
async fn empty_timestamps_are_filled_in_unless_a_server_of_version_8_is_told_not_to() {
    let empty = Timestamp { time: 0, increment: 0 };
    let insert =
        doc! { "insert": "orders", "documents": [{ "_id": empty, "t": empty, "in": { "t": empty } }] };
    let mut bypassing = insert.clone();
    bypassing.insert("bypassEmptyTsReplacement", true);

    let old = NotMongod::builder().version(7, 0, 0).start();
    assert_eq!(refused(&shop(&old).await, bypassing.clone()).await, 40415);
    shop(&old).await.run_command(insert).await.unwrap();
    let stored = Document::try_from(old.documents("shop", "orders")[0].as_ref()).unwrap();
    assert_ne!(stored.get_timestamp("t").unwrap(), empty);
    assert_eq!(stored.get_timestamp("_id").unwrap(), empty);
    assert_eq!(stored.get_document("in").unwrap().get_timestamp("t").unwrap(), empty);

    let new = NotMongod::builder().version(8, 0, 0).start();
    shop(&new).await.run_command(bypassing).await.unwrap();
    assert_eq!(new.documents("shop", "orders")[0].get_timestamp("t").unwrap(), empty);
}

#[tokio::test]
async fn sixteen_mebibytes_fit_and_one_byte_more_does_not() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let document = |size: usize| {
        let frame = rawdoc! { "_id": 1, "x": "" }.as_bytes().len();
        rawdoc! { "_id": 1, "x": "x".repeat(size - frame) }
    };
    let most = 16 * 1024 * 1024;
    let command = rawdoc! { "insert": "orders", "documents": [document(most + 1)] };
    let answer = shop.run_raw_command(command).await.unwrap();
    let error = answer.get_array("writeErrors").unwrap()[0].as_document().unwrap().get_i32("code").unwrap();
    assert_eq!(error, 10334);
    shop.run_raw_command(rawdoc! { "insert": "orders", "documents": [document(most)] }).await.unwrap();
    assert_eq!(server.documents("shop", "orders")[0].as_bytes().len(), most);
    let found = shop.collection::<RawDocumentBuf>("orders").find_one(doc! {}).await.unwrap().unwrap();
    assert_eq!(found.as_bytes().len(), most);
}

#[tokio::test]
async fn documents_nested_too_deeply_are_refused() {
    let server = NotMongod::start();
    let nested = |levels: usize| (1..levels).fold(rawdoc! { "x": 1 }, |inner, _| rawdoc! { "x": inner });
    let orders = collection(&server).await;
    orders.insert_one(nested(200)).await.unwrap();
    assert_eq!(code(&orders.insert_one(nested(201)).await.unwrap_err()), 15);
}

#[tokio::test]
async fn a_validator_refuses_what_does_not_fit_unless_it_is_bypassed() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let schema = doc! { "$jsonSchema": {
        "bsonType": "object", "required": ["name"], "properties": { "name": { "bsonType": "string", "minLength": 2 } },
    } };
    shop.run_command(doc! { "create": "orders", "validator": schema }).await.unwrap();
    let orders = shop.collection::<RawDocumentBuf>("orders");
    orders.insert_one(rawdoc! { "_id": 1, "name": "ok" }).await.unwrap();
    for wrong in [rawdoc! { "_id": 2 }, rawdoc! { "_id": 2, "name": 1 }, rawdoc! { "_id": 2, "name": "x" }] {
        assert_eq!(code(&orders.insert_one(&wrong).await.unwrap_err()), 121, "{wrong:?}");
    }
    orders.insert_one(rawdoc! { "_id": 2 }).bypass_document_validation(true).await.unwrap();
    shop.run_command(doc! { "create": "odd", "validator": { "a": { "$mod": [2, 1] } } }).await.unwrap();
    let error = shop
        .collection::<RawDocumentBuf>("odd")
        .insert_one(rawdoc! { "_id": ObjectId::new(), "a": 1 })
        .await
        .unwrap_err();
    assert_eq!(code(&error), 238, "what it cannot judge it must not let in");
}

#[tokio::test]
async fn a_capped_collection_keeps_the_newest() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    shop.run_command(doc! { "create": "log", "capped": true, "size": 100_000, "max": 3 }).await.unwrap();
    shop.run_command(doc! { "create": "small", "capped": true, "size": 4096 }).await.unwrap();
    for n in 0..10 {
        shop.collection::<RawDocumentBuf>("log").insert_one(rawdoc! { "_id": n }).await.unwrap();
        shop.collection::<RawDocumentBuf>("small")
            .insert_one(rawdoc! { "_id": n, "x": "x".repeat(1000) })
            .await
            .unwrap();
    }
    let ids = |name| -> Vec<i32> {
        server.documents("shop", name).iter().map(|document| document.get_i32("_id").unwrap()).collect()
    };
    assert_eq!(ids("log"), [7, 8, 9]);
    assert_eq!(ids("small"), [6, 7, 8, 9]);
}

#[tokio::test]
async fn documents_are_counted_and_removed() {
    let server = NotMongod::start();
    let orders = collection(&server).await;
    let documents: Vec<_> =
        (0..10).map(|n| rawdoc! { "_id": n, "even": n % 2 == 0, "tags": ["a", n] }).collect();
    orders.insert_many(documents).await.unwrap();
    assert_eq!(orders.estimated_document_count().await.unwrap(), 10);
    assert_eq!(orders.count_documents(doc! { "even": true }).await.unwrap(), 5);
    assert_eq!(orders.count_documents(doc! { "tags": 3 }).await.unwrap(), 1);
    assert_eq!(orders.count_documents(doc! { "_id": { "$gte": 8.5 } }).await.unwrap(), 1);
    assert_eq!(
        orders
            .count_documents(doc! { "$or": [{ "_id": 1 }, { "none": null, "_id": { "$in": [2, 3] } }] })
            .await
            .unwrap(),
        3
    );
    assert_eq!(orders.count_documents(doc! { "none": { "$exists": true } }).await.unwrap(), 0);
    assert_eq!(orders.delete_one(doc! { "even": true }).await.unwrap().deleted_count, 1);
    assert_eq!(orders.delete_many(doc! { "even": true }).await.unwrap().deleted_count, 4);
    assert_eq!(orders.delete_many(doc! {}).await.unwrap().deleted_count, 5);
    let error = orders.count_documents(doc! { "a": { "$regex": "x" } }).await.unwrap_err();
    assert_eq!(code(&error), 238);
}
