//! Collections, views and time series: made, listed, dropped.

use bson::{Document, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::Database;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;

use crate::support::{client, refused, shop};

async fn listed(database: &Database, filter: Document) -> Vec<Document> {
    let command = doc! { "listCollections": 1, "filter": filter, "cursor": { "batchSize": 2 } };
    database.run_cursor_command(command).await.unwrap().try_collect().await.unwrap()
}

#[tokio::test]
async fn options_are_written_down_as_a_mongod_does() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let create = async |command| drop(shop.run_command(command).await.unwrap());
    create(doc! { "create": "c", "capped": true, "size": 4096, "collation": { "locale": "fr" } }).await;
    create(doc! { "create": "v", "validator": { "a": 1 } }).await;
    create(doc! { "create": "t", "timeseries": { "timeField": "at", "metaField": "m" } }).await;
    create(doc! { "create": "view", "viewOn": "c", "pipeline": [{ "$match": {} }] }).await;
    let options = async |name: &str| {
        let found = listed(&shop, doc! { "name": name }).await;
        found[0].get_document("options").unwrap().clone()
    };
    let collated = options("c").await;
    assert_eq!(collated.get_document("collation").unwrap().get_str("version").unwrap(), "57.1");
    assert_eq!(collated.keys().collect::<Vec<_>>(), ["capped", "size", "collation"]);
    let validated = options("v").await;
    assert_eq!(validated.get_str("validationLevel").unwrap(), "strict");
    assert_eq!(validated.get_str("validationAction").unwrap(), "error");
    let series =
        doc! { "timeField": "at", "metaField": "m", "granularity": "seconds", "bucketMaxSpanSeconds": 3600 };
    assert_eq!(options("t").await.get_document("timeseries").unwrap(), &series);
    let names: Vec<String> =
        listed(&shop, doc! {}).await.iter().map(|entry| entry.get_str("name").unwrap().to_owned()).collect();
    assert_eq!(names, ["c", "system.buckets.t", "system.views", "t", "v", "view"]);
    let views = listed(&shop, doc! { "type": "view" }).await;
    assert_eq!(views.len(), 1);
    assert!(!views[0].get_document("info").unwrap().contains_key("uuid"));
    assert_eq!(shop.list_collection_names().await.unwrap().len(), 6);
}

#[tokio::test]
async fn options_that_contradict_themselves_or_are_unknown_are_refused() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    for (command, expected) in [
        (doc! { "create": "x", "autoIndexId": false }, 40415),
        (doc! { "create": "x", "capped": true }, 72),
        (doc! { "create": "x", "max": 3 }, 72),
        (doc! { "create": "x", "pipeline": [] }, 72),
        (doc! { "create": "x", "expireAfterSeconds": 3 }, 72),
        (doc! { "create": "x", "validationLevel": "none" }, 2),
        (doc! { "create": "x", "collation": { "strength": 1 } }, 40414),
        (doc! { "create": "x", "collation": { "locale": "fr", "version": "1.0" } }, 161),
        (doc! { "create": "x", "timeseries": { "metaField": "m" } }, 40414),
        (doc! { "create": "x", "clusteredIndex": { "key": { "a": 1 }, "unique": true } }, 197),
        (doc! { "create": "", "capped": false }, 73),
        (doc! { "create": "a$b" }, 73),
        (doc! { "create": ".a" }, 73),
        (doc! { "create": "system.mine" }, 73),
        (doc! { "create": "a.system.b" }, 2),
        (doc! { "create": "x".repeat(251) }, 73),
    ] {
        assert_eq!(refused(&shop, command.clone()).await, expected, "{command}");
    }
    assert!(server.databases().is_empty());
    shop.run_command(doc! { "create": "x".repeat(250) }).await.unwrap();
    assert_eq!(refused(&shop, doc! { "create": "x".repeat(250) }).await, 48);
    let other_case = client(&server).await.database("SHOP");
    assert_eq!(refused(&other_case, doc! { "create": "x" }).await, 13297);
}

#[tokio::test]
async fn views_take_no_documents_and_no_indexes_and_are_not_evaluated() {
    let server = NotMongod::start();
    Museum::default().fill(&server, "shop");
    let shop = shop(&server).await;
    let insert = doc! { "insert": "view_of_all", "documents": [{ "_id": 1 }] };
    assert_eq!(refused(&shop, insert).await, 166);
    assert_eq!(refused(&shop, doc! { "listIndexes": "view_of_all" }).await, 166);
    let index = doc! { "createIndexes": "view_of_all", "indexes": [{ "key": { "a": 1 }, "name": "a" }] };
    assert_eq!(refused(&shop, index).await, 166);
    assert_eq!(refused(&shop, doc! { "find": "view_of_some" }).await, 238);
    assert_eq!(refused(&shop, doc! { "find": "weather" }).await, 238);
    let found = shop.run_command(doc! { "find": "view_of_all" }).await.unwrap();
    assert_eq!(found.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len(), 10);
}

#[tokio::test]
async fn what_is_dropped_is_gone_with_all_that_belongs_to_it() {
    let server = NotMongod::start();
    Museum::default().fill(&server, "shop");
    let shop = shop(&server).await;
    let views = server.documents("shop", "system.views").len();
    shop.run_command(doc! { "drop": "weather" }).await.unwrap();
    shop.run_command(doc! { "drop": "view_of_all" }).await.unwrap();
    assert!(server.documents("shop", "system.buckets.weather").is_empty());
    assert_eq!(server.documents("shop", "system.views").len(), views - 2);
    assert_eq!(refused(&shop, doc! { "drop": "weather" }).await, 26);
    assert_eq!(refused(&shop, doc! { "drop": "system.views" }).await, 20);
    shop.run_command(doc! { "dropDatabase": 1 }).await.unwrap();
    shop.run_command(doc! { "dropDatabase": 1 }).await.unwrap();
    assert!(server.databases().is_empty());
    assert_eq!(refused(&client(&server).await.database("admin"), doc! { "dropDatabase": 1 }).await, 20);
}

#[tokio::test]
async fn buckets_are_loaded_as_they_are_and_measurements_are_not_taken() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    let bucket = doc! { "_id": bson::oid::ObjectId::new(), "control": { "version": 1, "min": {}, "max": {} }, "data": {} };
    let insert = doc! { "insert": "system.buckets.t", "documents": [bucket] };
    assert_eq!(refused(&shop, insert.clone()).await, 73, "the time series must be made first");
    shop.run_command(doc! { "create": "t", "timeseries": { "timeField": "at" } }).await.unwrap();
    shop.run_command(insert).await.unwrap();
    let nothing = doc! { "insert": "system.buckets.t", "documents": [{ "_id": 1 }] };
    let answer = shop.run_command(nothing).await.unwrap();
    assert!(answer.contains_key("writeErrors"), "the buckets' own validator let it in");
    let measurement = doc! { "insert": "t", "documents": [{ "at": bson::DateTime::from_millis(0) }] };
    assert_eq!(refused(&shop, measurement).await, 238);
}

#[tokio::test]
async fn sizes_are_told() {
    let server = NotMongod::start();
    server.load("shop", "orders", (0..10).map(|n| rawdoc! { "_id": n }));
    let shop = shop(&server).await;
    let statistics = shop.run_command(doc! { "collStats": "orders" }).await.unwrap();
    assert_eq!(statistics.get_i64("count").unwrap(), 10);
    assert_eq!(statistics.get_i64("size").unwrap(), 10 * 14);
    let statistics = shop.run_command(doc! { "dbStats": 1 }).await.unwrap();
    assert_eq!((statistics.get_i64("objects").unwrap(), statistics.get_i64("dataSize").unwrap()), (10, 140));
    let pipeline = [doc! { "$collStats": { "count": {}, "storageStats": {} } }];
    let found: Vec<Document> =
        shop.collection::<Document>("orders").aggregate(pipeline).await.unwrap().try_collect().await.unwrap();
    assert_eq!(found[0].get_i64("count").unwrap(), 10);
}
