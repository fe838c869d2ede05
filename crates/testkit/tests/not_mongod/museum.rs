//! The museum goes from one server to another through the driver alone, and nothing is lost.

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::Database;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;

use crate::support::client;

/// What `listCollections` or `listIndexes` answers, in all its batches.
async fn list(database: &Database, command: Document) -> Vec<Document> {
    database.run_cursor_command(command).await.unwrap().try_collect().await.unwrap()
}

async fn copy(from: &Database, to: &Database) {
    let mut collections = list(from, doc! { "listCollections": 1 }).await;
    // A time series makes its buckets; views may be made before what they look at.
    collections.retain(|collection| {
        let name = collection.get_str("name").unwrap();
        !name.starts_with("system.buckets.") && name != "system.views"
    });
    for collection in &collections {
        copy_one(from, to, collection).await;
    }
}

async fn copy_one(from: &Database, to: &Database, collection: &Document) {
    let (name, kind) = (collection.get_str("name").unwrap(), collection.get_str("type").unwrap());
    let mut command = doc! { "create": name };
    command.extend(collection.get_document("options").unwrap().clone());
    to.run_command(command).await.unwrap();
    let source = if kind == "timeseries" { format!("system.buckets.{name}") } else { name.to_owned() };
    if kind == "view" {
        return;
    }
    let cursor = from.collection::<RawDocumentBuf>(&source).find(doc! {}).await.unwrap();
    let documents: Vec<RawDocumentBuf> = cursor.try_collect().await.unwrap();
    let target = to.collection::<RawDocumentBuf>(&source);
    for document in documents {
        target.insert_one(document).bypass_document_validation(true).await.unwrap();
    }
    let mut indexes = list(from, doc! { "listIndexes": name }).await;
    indexes.retain(|index| !index.contains_key("clustered"));
    // An index of a collection with a collation that has none must say so.
    for index in indexes.iter_mut().filter(|index| !index.contains_key("collation")) {
        index.insert("collation", doc! { "locale": "simple" });
    }
    if !indexes.is_empty() {
        to.run_command(doc! { "createIndexes": name, "indexes": indexes }).await.unwrap();
    }
}

#[tokio::test]
async fn the_museum_is_copied_by_the_driver_and_equal() {
    let (source, target) = (NotMongod::start(), NotMongod::start());
    Museum { large_documents: 3, small_collections: 20, ..Museum::default() }.fill(&source, "museum");
    copy(&client(&source).await.database("museum"), &client(&target).await.database("museum")).await;
    let (before, after) = (source.snapshot("museum"), target.snapshot("museum"));
    assert_eq!(before.differences(&after), Vec::<String>::new());
    assert!(before == after);
    assert!(before.0.len() > 60, "the museum is small: {}", before.0.len());
    assert_eq!(source.snapshot("museum").0["large"].documents[0].as_bytes().len(), 16 * 1024 * 1024);
    assert_eq!(source.count("insert"), 0, "the source was written to");
}

#[tokio::test]
async fn a_snapshot_tells_of_every_difference() {
    let (one, other) = (NotMongod::start(), NotMongod::start());
    for server in [&one, &other] {
        Museum::default().fill(server, "museum");
    }
    assert!(one.snapshot("museum") == other.snapshot("museum"));
    one.load("museum", "empty", [rawdoc! { "_id": 1 }]);
    one.run("museum", &rawdoc! { "dropIndexes": "unique", "index": "u_1" });
    one.run("museum", &rawdoc! { "drop": "view_of_all" });
    other
        .run("museum", &rawdoc! { "delete": "values", "deletes": [{ "q": { "_id": "epoch" }, "limit": 1 }] });
    let differences = one.snapshot("museum").differences(&other.snapshot("museum"));
    for name in ["empty", "unique", "view_of_all", "values"] {
        assert!(differences.iter().any(|difference| difference.starts_with(name)), "{name}: {differences:?}");
    }
}
