//! The emulators of Amazon's services, and the helpers around them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use respaldo_testkit::aws::{Dynalite, Moto};
use serde_json::json;

#[tokio::test]
async fn a_bucket_holds_what_was_written_and_lists_it() {
    let moto = Moto::shared();
    let bucket = moto.bucket().await;
    bucket.write("a/b & c.txt", b"hello".to_vec()).await;
    assert_eq!(bucket.keys().await, ["a/b & c.txt"]);
    assert_eq!(bucket.read("a/b & c.txt").await.unwrap(), b"hello");
    assert_eq!(bucket.read("a").await, None);
    bucket.remove("a/b & c.txt").await;
    assert!(bucket.keys().await.is_empty() && bucket.open_uploads().await.is_empty());
}

#[tokio::test]
async fn a_message_that_is_received_too_often_goes_to_the_dead_letters() {
    let moto = Moto::shared();
    let queue = moto.queue("dump", 2, 30).await;
    moto.send(&queue.url, "hello").await;
    for time in 1..=2 {
        let [message] = moto.receive(&queue.url).await.try_into().unwrap();
        assert_eq!((message.body.as_str(), message.received), ("hello", time));
        assert_eq!(moto.queued(&queue.url).await, (0, 1));
        moto.give_back(&queue.url, &message).await;
    }
    assert!(moto.receive(&queue.url).await.is_empty());
    let [dead] = moto.receive(&queue.dead_letters).await.try_into().unwrap();
    moto.delete(&queue.dead_letters, &dead).await;
    assert_eq!(moto.queued(&queue.dead_letters).await, (0, 0));
}

#[tokio::test]
async fn a_private_server_knows_nothing_of_the_shared_one() {
    let (shared, own) = (Moto::shared(), Moto::private());
    let bucket = shared.bucket().await;
    assert_ne!(shared.endpoint(), own.endpoint());
    let tables = own.call("dynamodb", "DynamoDB_20120810.ListTables", &json!({})).await;
    assert_eq!(tables, json!({ "TableNames": [] }));
    assert_eq!(bucket.keys().await, Vec::<String>::new());
    assert!(own.try_call("sqs", "AmazonSQS.DeleteQueue", &json!({ "QueueUrl": "x" })).await.is_err());
}

#[tokio::test]
async fn dynalite_answers_too() {
    let dynalite = Dynalite::shared();
    let again = Dynalite::shared();
    assert_eq!(dynalite.endpoint(), again.endpoint());
    let _first_wins = rustls::crypto::ring::default_provider().install_default();
    let answer = reqwest::Client::new().get(dynalite.endpoint()).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "healthy: dynamodb.us-east-1.amazonaws.com ");
}
