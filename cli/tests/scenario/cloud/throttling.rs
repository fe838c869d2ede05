//! A table and a bucket that take no more requests: now and then, or none at all for a while.

use reqwest::Method;
use respaldo_testkit::aws::Fault;
use respaldo_testkit::scenario::{Api, Host as _, Key, Source};
use serde_json::json;

use super::support::{
    assert_whole, behind_a_proxy, dumped_past_a_refusing_table, job, later, queued, registered, scheduled,
    scheduled_backups,
};

const THROTTLED: [&str; 2] = ["ProvisionedThroughputExceededException", "ThrottlingException"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_and_a_bucket_that_throttle_now_and_then_are_noticed_by_nobody() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let (mut asked, mut uploads) = (0, 0);
    proxy.rule(move |call| match &*call.service {
        "dynamodb" => {
            asked += usize::from(call.attempt == 1);
            (asked % 2 == 0 && call.attempt < 3).then_some(Fault::Refused(THROTTLED[asked % 4 / 2]))
        }
        // Storage waits a second before it tries again.
        "s3" => {
            uploads += 1;
            (uploads == 2).then_some(Fault::Refused("SlowDown"))
        }
        _ => None,
    });
    let database = scheduled(&api, &source).await;
    let manual = api.back_up(&database).await;
    assert_eq!(job(&api, &manual).await["attempts"], 1);
    host.clock().move_by(3_600);
    host.tick().await;
    scheduled_backups(&api, 1).await;
    proxy.heal();
    assert_whole(&api, &host, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_throttles_everything_fails_the_tick_and_the_next_one_makes_up_for_it() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    scheduled(&api, &source).await;
    for (slots, code) in (1..).zip(THROTTLED) {
        host.clock().move_by(3_600);
        proxy.refuse("dynamodb", code);
        let error = host.cloud.function("dump").tick().await.unwrap_err();
        assert_eq!(error.kind, "Respaldo.unavailable", "{error:?}");
        assert!(error.message.contains("takes no more requests now"), "{error:?}");
        proxy.heal();
        host.tick().await;
        scheduled_backups(&api, slots).await;
    }
    assert_whole(&api, &host, THROTTLED.len()).await;
}

/// The writes of a tick begin to be throttled after so many of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_is_throttled_at_any_of_its_writes_leaves_one_outcome_for_the_slot() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    scheduled(&api, &source).await;
    for passed in 0..3 {
        host.clock().move_by(3_600);
        let mut left = passed;
        // Read-only requests pass, so that the tick finds what is due.
        proxy.rule(move |call| {
            let writes = matches!(&*call.operation, "PutItem" | "UpdateItem" | "DeleteItem");
            if !call.is_for("dynamodb") || !writes || left > 0 {
                left -= i32::from(call.is_for("dynamodb") && writes);
                return None;
            }
            Some(Fault::Refused("ThrottlingException"))
        });
        // Whether it fails or tells of one database's trouble, the next one goes on.
        let _ticked = host.cloud.function("dump").tick().await;
        proxy.heal();
        host.clock().move_by(120);
        host.tick().await;
        scheduled_backups(&api, usize::try_from(passed).unwrap() + 1).await;
    }
    assert_whole(&api, &host, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_at_a_throttled_table_is_answered_503_and_made_once_when_it_is_repeated() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let fields = source.fields(json!({}));
    let post = || api.request(Method::POST, "/databases", Key::Admin).header("idempotency-key", "once");
    for operation in ["PutItem", "UpdateItem"] {
        proxy
            .rule(move |call| (call.operation == operation).then_some(Fault::Refused("ThrottlingException")));
        let refused = api.send(post().json(&fields)).await;
        refused.expect_problem(503, None);
        assert_eq!((refused.header("retry-after"), &refused.json()["retryable"]), ("5", &json!(true)));
    }
    proxy.heal();
    let made = api.send(post().json(&fields)).await.expect(201);
    assert_eq!(api.send(post().json(&fields)).await.json()["id"], made["id"]);
    assert_eq!(api.get("/databases").await.expect(200).as_array().unwrap().len(), 1);
    api.back_up(&made).await;
    assert_whole(&api, &host, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_whose_table_throttles_everything_under_way_is_taken_over_and_not_made_twice() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    dumped_past_a_refusing_table((&proxy, &host), &api, (&source, &database), THROTTLED[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_storage_throttles_all_the_time_is_tried_again_later_and_leaves_nothing_open() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    proxy.rule(|call| {
        let stores = matches!(&*call.operation, "PutObject" | "UploadPart" | "CompleteMultipartUpload");
        (call.is_for("s3") && stores).then_some(Fault::Refused("SlowDown"))
    });
    let dump = queued(&api, &database).await;
    let path = format!("/jobs/{}", dump["id"].as_str().unwrap());
    let waits = api.until(&path, "it waits for another try", |job| job["error"].is_object()).await;
    assert_eq!((&waits["status"], &waits["attempts"]), (&json!("queued"), &json!(1)), "{waits}");
    assert!(waits["error"].to_string().contains("SlowDown"), "{waits}");
    assert_eq!(host.open_uploads().await, Vec::<String>::new());
    proxy.heal();
    later(&host).await;
    api.succeeded(&dump["id"]).await;
    assert_eq!(job(&api, &dump).await["attempts"], 2);
    assert_whole(&api, &host, 1).await;
}
