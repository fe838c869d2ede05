//! A bucket that is not there, and one that is somebody else's.

use reqwest::Method;
use respaldo_testkit::scenario::{Api, Host as _, Key, Source};
use serde_json::json;

use super::support::{assert_whole, behind_a_proxy, later, queued, scheduled, scheduled_backups};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_bucket_is_not_there_nothing_is_registered_until_it_is() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let fields = source.fields(json!({}));
    let post = || api.request(Method::POST, "/databases", Key::Admin).header("idempotency-key", "once");
    proxy.refuse("s3", "NoSuchBucket");
    let refused = api.send(post().json(&fields)).await;
    refused.expect_problem(503, None);
    assert!(refused.json()["mend"].as_str().unwrap().contains("make the bucket"), "{}", refused.text());
    assert_eq!(api.get("/databases").await.expect(200), json!([]));
    // The same request, once the bucket is made.
    proxy.heal();
    let database = api.send(post().json(&fields)).await.expect(201);
    assert_eq!(api.get("/databases").await.expect(200).as_array().unwrap().len(), 1);
    api.back_up(&database).await;
    // A bucket that goes away fails the backups, for good and in the same words.
    proxy.refuse("s3", "NoSuchBucket");
    let dump = queued(&api, &database).await;
    let ended = api.ended(&dump["id"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
    assert!(ended["error"].to_string().contains("make the bucket"), "{ended}");
    proxy.heal();
    later(&host).await;
    assert_whole(&api, &host, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_bucket_is_somebody_else_s_a_database_is_registered_and_its_backups_say_why_they_fail() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    proxy.refuse("s3", "AccessDenied");
    let database = scheduled(&api, &source).await;
    let log = host.cloud.function("register").log();
    assert!(log.contains("the store refused access") && log.contains("permissions"), "{log}");
    let dump = queued(&api, &database).await;
    let ended = api.ended(&dump["id"]).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
    assert!(
        ended["error"].to_string().contains("check the store's credentials and its permissions"),
        "{ended}"
    );
    // A tick finds what it finds, and the slot has its outcome.
    later(&host).await;
    let failed = "/backups?kind=scheduled&status=failed";
    api.until(failed, "the slot's backup has failed", |failed| failed[0].is_object()).await;
    assert_eq!(host.stored().await, Vec::<String>::new());
    // Once it may, what storage is owed is written, and backups succeed.
    proxy.heal();
    later(&host).await;
    let definitions = host.stored().await.into_iter().filter(|key| key.contains("/databases/")).count();
    assert_eq!(definitions, 1, "{:?}", host.stored().await);
    scheduled_backups(&api, 1).await;
    assert_whole(&api, &host, 1).await;
}
