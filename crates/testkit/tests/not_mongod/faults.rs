//! Each scripted fault does what it says, and no more.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use futures::TryStreamExt;
use mongodb::Client;
use respaldo_testkit::not_mongod::{Fault, NotMongod, Refusal, When};

use crate::support::{code, collection, eventually, options, refused, shop};

async fn count(server: &NotMongod) -> Result<usize, mongodb::error::Error> {
    let cursor = collection(server).await.find(doc! {}).batch_size(10).await?;
    cursor.try_collect::<Vec<RawDocumentBuf>>().await.map(|found| found.len())
}

fn server() -> NotMongod {
    let server = NotMongod::start();
    server.load("shop", "orders", (0..100).map(|n| rawdoc! { "_id": n, "x": "x".repeat(1000) }));
    server
}

#[tokio::test]
async fn a_command_is_refused_at_its_turn_and_with_its_labels() {
    let server = server();
    let refusal = Refusal::new(91, "ShutdownInProgress", "going down").label("RetryableWriteError");
    server.fail(When::nth("getMore", 3).on("shop.orders"), Fault::Refuse(refusal));
    let error = count(&server).await.unwrap_err();
    assert_eq!(code(&error), 91);
    assert!(error.contains_label("RetryableWriteError"));
    assert_eq!(server.count("getMore"), 3);
    assert_eq!(count(&server).await.unwrap(), 100);
    server.fail(When::every("find").on("shop.others"), Fault::error(1, "InternalError"));
    assert_eq!(count(&server).await.unwrap(), 100, "another collection was meant");
    server.fail(When::every("find").times(2), Fault::error(1, "InternalError"));
    for _ in 0..2 {
        assert_eq!(code(&count(&server).await.unwrap_err()), 1);
    }
    assert_eq!(count(&server).await.unwrap(), 100);
}

#[tokio::test]
async fn connections_are_closed_before_within_and_after_a_reply() {
    for fault in [
        Fault::Close,
        Fault::LoseReply,
        Fault::CutReply,
        Fault::LieAboutLength(100),
        Fault::LieAboutLength(-100),
        Fault::HugeLength,
    ] {
        let server = server();
        server.fail(When::nth("getMore", 2), fault.clone());
        let error = count(&server).await.expect_err(&format!("{fault:?} was not noticed"));
        assert!(!error.to_string().is_empty());
        assert_eq!(count(&server).await.unwrap(), 100, "after {fault:?}");
    }
}

#[tokio::test]
async fn what_was_performed_is_there_although_nobody_was_told() {
    for (fault, there) in [(Fault::Close, 0), (Fault::LoseReply, 1), (Fault::CutReply, 1)] {
        let server = NotMongod::start();
        server.fail(When::nth("insert", 1), fault.clone());
        collection(&server).await.insert_one(rawdoc! { "_id": 1 }).await.unwrap_err();
        assert_eq!(server.documents("shop", "orders").len(), there, "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_and_one_that_is_slow_answers() {
    let server = server();
    server.fail(When::nth("find", 1), Fault::Hang);
    tokio::time::timeout(Duration::from_millis(300), count(&server)).await.expect_err("it answered");
    server.fail(When::nth("find", 1), Fault::Slow(Duration::from_millis(100)));
    let before = tokio::time::Instant::now();
    assert_eq!(count(&server).await.unwrap(), 100);
    assert!(before.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_server_dies_in_the_middle_and_comes_back_with_its_data_on_its_port() {
    for (fault, performed) in [(Fault::Die, 0), (Fault::DieAfter, 1)] {
        let mut server = server();
        server.fail(When::nth("insert", 1), fault);
        let shop = shop(&server).await;
        let open = shop.run_command(doc! { "find": "orders", "batchSize": 1 }).await.unwrap();
        let id = open.get_document("cursor").unwrap().get_i64("id").unwrap();
        shop.collection::<RawDocumentBuf>("more").insert_one(rawdoc! { "_id": 1 }).await.unwrap_err();
        eventually("the server is dead", || server.is_dead()).await;
        let mut impatient = options(&server).await;
        impatient.server_selection_timeout = Some(Duration::from_millis(200));
        let gone = Client::with_options(impatient).unwrap();
        gone.database("admin").run_command(doc! { "ping": 1 }).await.unwrap_err();

        let port = server.port();
        server.resume();
        assert_eq!(server.port(), port);
        assert!(!server.is_dead());
        assert_eq!(count(&server).await.unwrap(), 100);
        assert_eq!(server.documents("shop", "more").len(), performed);
        let lost = doc! { "getMore": id, "collection": "orders" };
        assert_eq!(refused(&shop, lost).await, 43);
    }
}

#[tokio::test]
async fn a_stopped_server_cuts_whoever_hangs_at_it() {
    let mut server = server();
    server.fail(When::every("find"), Fault::Hang);
    let orders = collection(&server).await;
    let asking = tokio::spawn(async move { orders.find_one(doc! {}).await });
    let hangs = || server.count("find") == 1;
    eventually("the command came", hangs).await;
    server.stop();
    asking.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn commands_are_counted_by_name_and_namespace() {
    let server = server();
    count(&server).await.unwrap();
    assert_eq!((server.count("find"), server.count_on("find", "shop.orders")), (1, 1));
    assert_eq!(server.count_on("getMore", "shop.others"), 0);
    let written = server
        .seen()
        .into_iter()
        .any(|(seen, _)| matches!(seen.command.as_str(), "insert" | "delete" | "create"));
    assert!(!written, "nobody wrote");
    server.forget_seen();
    assert_eq!(server.count("find"), 0);
}

#[tokio::test]
async fn each_command_in_turn_can_be_made_to_fail() {
    let server = server();
    let work = async || -> Result<(), mongodb::error::Error> {
        let shop = shop(&server).await;
        shop.run_command(doc! { "listCollections": 1 }).await?;
        count(&server).await?;
        shop.collection::<Document>("more").insert_one(doc! { "a": 1 }).await?;
        shop.run_command(doc! { "drop": "more" }).await.map(drop)
    };
    work().await.unwrap();
    let mut failed = 0;
    loop {
        server.fail(When::nth_of_all(failed + 1), Fault::error(11601, "Interrupted"));
        match work().await {
            Ok(()) => break,
            Err(error) => assert_eq!(code(&error), 11601),
        }
        server.heal();
        server.run("shop", &rawdoc! { "delete": "more", "deletes": [{ "q": {}, "limit": 0 }] });
        failed += 1;
    }
    assert_eq!(failed, 14, "listCollections, find, ten getMore, insert, drop");
}
