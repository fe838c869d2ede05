//! What the server says of itself.

use bson::doc;
use mongodb::Client;
use respaldo_testkit::not_mongod::NotMongod;

use crate::support::{client, options, refused, shop};

#[tokio::test]
async fn a_standalone_server_says_who_it_is() {
    let server = NotMongod::builder().version(6, 0, 5).start();
    let admin = client(&server).await.database("admin");
    let hello = admin.run_command(doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_bool("isWritablePrimary").unwrap() && !hello.contains_key("setName"));
    assert_eq!(hello.get_i32("maxWireVersion").unwrap(), 17);
    assert_eq!(hello.get_i32("maxBsonObjectSize").unwrap(), 16 * 1024 * 1024);
    let info = admin.run_command(doc! { "buildInfo": 1 }).await.unwrap();
    assert_eq!(info.get_str("version").unwrap(), "6.0.5");
    let asked = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let parameter = admin.run_command(asked).await.unwrap();
    let version = parameter.get_document("featureCompatibilityVersion").unwrap().get_str("version").unwrap();
    assert_eq!(version, "6.0");
    let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
    assert_eq!(status.get_str("process").unwrap(), "not_mongod");
}

#[tokio::test]
async fn a_server_of_version_4_0_is_too_old_for_the_driver_and_one_of_4_4_is_not() {
    let old = NotMongod::builder().version(4, 0, 28).start();
    let error = client(&old).await.database("admin").run_command(doc! { "ping": 1 }).await.unwrap_err();
    assert!(error.to_string().contains("wire version"), "{error}");
    for (major, minor) in [(4, 4), (5, 0), (7, 0), (8, 0)] {
        let server = NotMongod::builder().version(major, minor, 0).start();
        client(&server).await.database("admin").run_command(doc! { "ping": 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn a_replica_set_is_found_by_its_name_and_by_no_other() {
    let server = NotMongod::builder().replica_set("rs0").start();
    let connect = async |name: &str| {
        let mut options = options(&server).await;
        options.direct_connection = None;
        options.repl_set_name = Some(name.to_owned());
        options.server_selection_timeout = Some(std::time::Duration::from_millis(300));
        Client::with_options(options).unwrap().database("admin").run_command(doc! { "ping": 1 }).await
    };
    connect("rs0").await.unwrap();
    connect("rs1").await.unwrap_err();
}

#[tokio::test]
async fn commands_fields_and_places_that_are_unknown_are_refused() {
    let server = NotMongod::start();
    let shop = shop(&server).await;
    assert_eq!(refused(&shop, doc! { "compactAll": 1 }).await, 59);
    assert_eq!(refused(&shop, doc! { "find": "orders", "sorted": 1 }).await, 40415);
    assert_eq!(refused(&shop, doc! { "listDatabases": 1 }).await, 13);
    assert_eq!(refused(&shop, doc! { "find": 1 }).await, 73);
    let admin = client(&server).await.database("admin");
    assert_eq!(refused(&admin, doc! { "getParameter": 1, "unheardOf": 1 }).await, 72);
}

#[tokio::test]
async fn sessions_are_started_and_transactions_refused() {
    let server = NotMongod::start();
    let admin = client(&server).await.database("admin");
    let session = admin.run_command(doc! { "startSession": 1 }).await.unwrap();
    assert_eq!(session.get_i32("timeoutMinutes").unwrap(), 30);
    admin.run_command(doc! { "refreshSessions": [] }).await.unwrap();
    admin.run_command(doc! { "endSessions": [] }).await.unwrap();
    let command = doc! { "find": "x", "txnNumber": 1_i64, "startTransaction": true, "autocommit": false };
    assert_eq!(refused(&admin, command).await, 20);
}
