//! What roles allow, where dumps and restores meet it.

use bson::{Document, doc, rawdoc};
use mongodb::Client;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;

use crate::support::{code, login, refused};

async fn with_role(role: &str) -> (NotMongod, Client) {
    let server = NotMongod::builder().user("shop", "ann", "secret", &[role]).start();
    Museum::default().fill(&server, "shop");
    server.load("other", "things", [rawdoc! { "_id": 1 }]);
    let client = login(&server, "shop", "ann", "secret").await;
    (server, client)
}

/// Which of the commands are allowed in `shop`, by their names.
async fn allowed(client: &Client, commands: &[(&'static str, Document)]) -> Vec<&'static str> {
    let mut allowed = Vec::new();
    for (name, command) in commands {
        match client.database("shop").run_command(command.clone()).await {
            Ok(_) => allowed.push(*name),
            Err(error) => assert_eq!(code(&error), 13, "{name}: {error}"),
        }
    }
    allowed
}

fn commands() -> Vec<(&'static str, Document)> {
    vec![
        ("list", doc! { "listCollections": 1 }),
        ("indexes", doc! { "listIndexes": "unique" }),
        ("size", doc! { "dbStats": 1 }),
        ("read", doc! { "find": "values" }),
        ("buckets", doc! { "find": "system.buckets.weather" }),
        ("functions", doc! { "find": "system.js" }),
        ("write", doc! { "insert": "values", "documents": [{ "_id": 1 }] }),
        (
            "bypass",
            doc! { "insert": "warned", "documents": [{ "_id": 2 }], "bypassDocumentValidation": true },
        ),
        (
            "write buckets",
            doc! { "delete": "system.buckets.weather", "deletes": [{ "q": { "_id": 0 }, "limit": 1 }] },
        ),
        ("create", doc! { "create": "new" }),
        ("build", doc! { "createIndexes": "empty", "indexes": [{ "key": { "a": 1 }, "name": "a" }] }),
        ("drop", doc! { "drop": "images" }),
        ("users", doc! { "usersInfo": 1 }),
        ("drop all", doc! { "dropDatabase": 1 }),
    ]
}

#[tokio::test]
async fn read_reads_all_but_the_buckets() {
    let (_server, client) = with_role("read").await;
    let expected = ["list", "indexes", "size", "read", "functions"];
    assert_eq!(allowed(&client, &commands()).await, expected);
    assert_eq!(refused(&client.database("other"), doc! { "find": "things" }).await, 13);
}

#[tokio::test]
async fn read_write_writes_and_bypasses_no_validator() {
    let (_server, client) = with_role("readWrite").await;
    let expected = ["list", "indexes", "size", "read", "functions", "write", "create", "build", "drop"];
    assert_eq!(allowed(&client, &commands()).await, expected);
}

#[tokio::test]
async fn backup_reads_everything_and_writes_nothing() {
    let (_server, client) = with_role("admin.backup").await;
    let expected = ["list", "indexes", "read", "buckets", "functions"];
    assert_eq!(allowed(&client, &commands()).await, expected);
    let admin = client.database("admin");
    admin.run_command(doc! { "find": "system.users" }).await.unwrap();
    admin.run_command(doc! { "find": "system.version" }).await.unwrap();
    assert_eq!(client.list_database_names().await.unwrap().len(), 5);
}

#[tokio::test]
async fn restore_writes_and_reads_nothing() {
    let (_server, client) = with_role("admin.restore").await;
    let expected = ["list", "write", "bypass", "create", "build", "drop", "users"];
    assert_eq!(allowed(&client, &commands()).await, expected);
    let rename = doc! { "renameCollection": "shop.values", "to": "shop.v2" };
    assert_eq!(refused(&client.database("admin"), rename).await, 13);
}

#[tokio::test]
async fn root_does_everything() {
    let (_server, client) = with_role("admin.root").await;
    assert_eq!(allowed(&client, &commands()).await.len(), commands().len());
}

#[tokio::test]
async fn databases_are_listed_as_far_as_one_may_see_them() {
    let (_server, client) = with_role("read").await;
    assert_eq!(client.list_database_names().await.unwrap(), ["shop"]);
    let (_server, client) = with_role("admin.readAnyDatabase").await;
    assert_eq!(client.list_database_names().await.unwrap(), ["admin", "config", "local", "other", "shop"]);
    assert_eq!(refused(&client.database("admin"), doc! { "find": "system.users" }).await, 13);
}
