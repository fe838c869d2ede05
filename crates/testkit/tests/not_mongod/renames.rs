//! `renameCollection`: atomic by collection, within what a mongod allows.

use bson::{Document, doc, rawdoc};
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;

use crate::support::{client, refused};

fn rename(from: &str, to: &str, drop_target: bool) -> Document {
    doc! { "renameCollection": from, "to": to, "dropTarget": drop_target }
}

#[tokio::test]
async fn a_collection_takes_the_place_of_another_with_all_that_is_its_own() {
    let server = NotMongod::start();
    Museum::default().fill(&server, "shop");
    let admin = client(&server).await.database("admin");
    let before = server.snapshot("shop");
    assert_eq!(refused(&admin, rename("shop.unique", "shop.empty", false)).await, 48);
    admin.run_command(rename("shop.unique", "shop.empty", true)).await.unwrap();
    let after = server.snapshot("shop");
    assert!(after.0["empty"] == before.0["unique"]);
    assert!(!after.0.contains_key("unique"));
    assert_eq!(after.0.len(), before.0.len() - 1);
}

#[tokio::test]
async fn what_a_mongod_does_not_rename_is_not_renamed() {
    let server = NotMongod::start();
    Museum::default().fill(&server, "shop");
    let before = server.snapshot("shop");
    let admin = client(&server).await.database("admin");
    for (command, expected) in [
        (rename("shop.nothing", "shop.x", true), 26),
        (rename("shop.view_of_all", "shop.x", true), 166),
        (rename("shop.weather", "shop.x", true), 20),
        (rename("shop.system.buckets.weather", "shop.x", true), 20),
        (rename("shop.values", "shop.values", true), 20),
        (rename("shop.values", "shop.view_of_all", true), 48),
        (rename("shop.values", "shop.weather", true), 48),
        (rename("shop.values", "shop.system.js", true), 20),
        (rename("shop.values", "shop.a$b", true), 73),
        (rename("shop", "shop.x", true), 73),
    ] {
        assert_eq!(refused(&admin, command.clone()).await, expected, "{command}");
    }
    assert_eq!(
        refused(&client(&server).await.database("shop"), rename("shop.values", "shop.x", true)).await,
        13
    );
    assert!(server.snapshot("shop") == before);
}

#[tokio::test]
async fn a_collection_moves_to_another_database() {
    let server = NotMongod::start();
    server.load("aside", "orders", [rawdoc! { "_id": 1 }]);
    let admin = client(&server).await.database("admin");
    admin.run_command(rename("aside.orders", "shop.orders", false)).await.unwrap();
    assert_eq!(server.databases(), ["shop"]);
    assert_eq!(server.documents("shop", "orders").len(), 1);
}
