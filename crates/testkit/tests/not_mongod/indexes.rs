//! Indexes: what is completed, refused, and forbidden by them.

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::Database;
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{code, refused, shop};

fn create(spec: Document) -> Document {
    doc! { "createIndexes": "orders", "indexes": [spec] }
}

async fn listed(database: &Database, name: &str) -> Vec<Document> {
    database.run_cursor_command(doc! { "listIndexes": name }).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn specifications_are_completed_as_a_mongod_does() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let collation = doc! { "create": "orders", "collation": { "locale": "de" } };
    shop.run_command(collation).await.unwrap();
    for spec in [
        doc! { "key": { "a": 1 }, "name": "own" },
        doc! { "key": { "a": 1 }, "name": "none", "collation": { "locale": "simple" } },
        doc! { "key": { "x": 1, "b": "text", "a": "text" }, "name": "words", "weights": { "b": 3 }, "collation": { "locale": "simple" } },
        doc! { "key": { "at": "2dsphere" }, "name": "sphere" },
    ] {
        shop.run_command(create(spec)).await.unwrap();
    }
    let indexes = listed(&shop, "orders").await;
    let of = |name: &str| indexes.iter().find(|index| index.get_str("name").unwrap() == name).unwrap();
    assert_eq!(of("_id_").get_document("collation").unwrap().get_str("locale").unwrap(), "de");
    assert_eq!(of("own").get_document("collation").unwrap().get_i32("strength").unwrap(), 3);
    assert!(!of("none").contains_key("collation"));
    assert_eq!(of("words").get_document("key").unwrap(), &doc! { "x": 1, "_fts": "text", "_ftsx": 1 });
    assert_eq!(of("words").get_document("weights").unwrap(), &doc! { "a": 1, "b": 3 });
    assert_eq!(of("words").get_i32("textIndexVersion").unwrap(), 3);
    assert_eq!(of("sphere").get_i32("2dsphereIndexVersion").unwrap(), 3);
    assert_eq!(refused(&shop, doc! { "listIndexes": "nothing" }).await, 26);
}

#[tokio::test]
async fn the_same_index_twice_is_no_news_and_a_contradiction_is_refused() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let first = doc! { "key": { "a": 1, "b": -1 }, "name": "ab", "unique": true };
    let answer = shop.run_command(create(first.clone())).await.unwrap();
    assert!(answer.get_bool("createdCollectionAutomatically").unwrap());
    let answer = shop.run_command(create(first)).await.unwrap();
    assert_eq!(answer.get_str("note").unwrap(), "all indexes already exist");
    for (spec, expected) in [
        (doc! { "key": { "a": 1, "b": -1 }, "name": "ab" }, 85),
        (doc! { "key": { "a": 1, "b": -1 }, "name": "other", "unique": true }, 85),
        (doc! { "key": { "b": -1, "a": 1 }, "name": "ab", "unique": true }, 86),
        (doc! { "key": { "a": 1 }, "name": "x", "colour": "red" }, 197),
        (doc! { "key": { "a": 0 }, "name": "x" }, 67),
        (doc! { "key": { "a": "sideways" }, "name": "x" }, 67),
        (doc! { "key": { "": 1 }, "name": "x" }, 67),
        (doc! { "key": {}, "name": "x" }, 67),
        (doc! { "key": { "a": 1 }, "name": "x", "v": 0 }, 67),
        (doc! { "key": { "a": 1 }, "name": "x", "sparse": true, "partialFilterExpression": { "a": 1 } }, 67),
    ] {
        assert_eq!(refused(&shop, create(spec.clone())).await, expected, "{spec}");
    }
    // The order of the keys makes another index.
    shop.run_command(create(doc! { "key": { "b": -1, "a": 1 }, "name": "ba" })).await.unwrap();
    shop.run_command(create(doc! { "key": { "w": "text" }, "name": "words" })).await.unwrap();
    assert_eq!(refused(&shop, create(doc! { "key": { "v": "text" }, "name": "more words" })).await, 85);
    assert_eq!(
        refused(&shop, create(doc! { "key": { "z": 1, "v": "text" }, "name": "more words" })).await,
        67
    );
}

#[tokio::test]
async fn a_collection_has_64_indexes_at_most() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    for n in 1..64 {
        let spec = doc! { "key": { format!("f{n}"): 1 }, "name": format!("f{n}") };
        shop.run_command(create(spec)).await.unwrap();
    }
    assert_eq!(refused(&shop, create(doc! { "key": { "more": 1 }, "name": "more" })).await, 67);
}

#[tokio::test]
async fn unique_indexes_forbid_what_is_there_already() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let orders = shop.collection::<RawDocumentBuf>("orders");
    shop.run_command(create(doc! { "key": { "u": 1 }, "name": "u", "unique": true, "sparse": true }))
        .await
        .unwrap();
    let partial =
        doc! { "key": { "p": 1 }, "name": "p", "unique": true, "partialFilterExpression": { "on": true } };
    shop.run_command(create(partial)).await.unwrap();
    orders.insert_one(rawdoc! { "_id": 1, "u": [1, 2], "p": 1, "on": true }).await.unwrap();
    for free in [
        rawdoc! { "_id": 2 },
        rawdoc! { "_id": 3 },
        rawdoc! { "_id": 4, "p": 1 },
        rawdoc! { "_id": 5, "u": bson::RawBson::Null },
    ] {
        orders.insert_one(free).await.unwrap();
    }
    for taken in [
        rawdoc! { "_id": 9, "u": 2.0 },
        rawdoc! { "_id": 9, "u": [7, 1] },
        rawdoc! { "_id": 9, "p": 1, "on": true },
        rawdoc! { "_id": 9, "u": bson::RawBson::Null },
    ] {
        assert_eq!(code(&orders.insert_one(&taken).await.unwrap_err()), 11000, "{taken:?}");
    }
    orders.delete_one(doc! { "_id": 1 }).await.unwrap();
    orders.insert_one(rawdoc! { "_id": 9, "u": 2 }).await.unwrap();
}

#[tokio::test]
async fn a_unique_index_is_not_built_over_duplicates_nor_are_its_companions() {
    let server = NotMongod::start();
    server.load("shop", "orders", (0..4).map(|n| rawdoc! { "_id": n, "a": n, "b": n % 2 }));
    let shop = shop(&server).await;
    let both = doc! { "createIndexes": "orders", "indexes": [
        { "key": { "a": 1 }, "name": "a", "unique": true },
        { "key": { "b": 1 }, "name": "b", "unique": true },
    ] };
    assert_eq!(refused(&shop, both).await, 11000);
    assert_eq!(listed(&shop, "orders").await.len(), 1);
}

#[tokio::test]
async fn indexes_are_dropped_by_name_by_key_and_all() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    for name in ["a", "b", "c"] {
        shop.run_command(create(doc! { "key": { name: 1 }, "name": name })).await.unwrap();
    }
    let drop = |index: bson::Bson| doc! { "dropIndexes": "orders", "index": index };
    shop.run_command(drop("a".into())).await.unwrap();
    shop.run_command(drop(doc! { "b": 1 }.into())).await.unwrap();
    assert_eq!(listed(&shop, "orders").await.len(), 2);
    assert_eq!(refused(&shop, drop("a".into())).await, 27);
    assert_eq!(refused(&shop, drop("_id_".into())).await, 72);
    shop.run_command(drop("*".into())).await.unwrap();
    assert_eq!(listed(&shop, "orders").await.len(), 1);
}
