//! Credentials that expire, are not known, or do not suffice, while the functions are at work.

use respaldo_testkit::aws::Fault;
use respaldo_testkit::scenario::{Api, Host as _, Source, assert_nothing_leaked};
use serde_json::json;

use super::support::{
    assert_whole, behind_a_proxy, dumped_past_a_refusing_table, job, later, queued, registered, scheduled,
    scheduled_backups, until,
};

/// DynamoDB's codes, and what their errors say is to be done.
const REFUSALS: [(&str, &str); 3] = [
    ("ExpiredTokenException", "renew them"),
    ("UnrecognizedClientException", "correct the access key"),
    ("AccessDeniedException", "allow dynamodb:"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_that_the_table_refuses_is_an_error_and_the_next_one_makes_up_for_it() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    scheduled(&api, &source).await;
    for (slots, (code, mend)) in (1..).zip(REFUSALS) {
        host.clock().move_by(3_600);
        proxy.refuse("dynamodb", code);
        let warm = host.cloud.function("dump").tick().await.unwrap_err();
        host.cloud.forget();
        let cold = host.cloud.function("dump").tick().await.unwrap_err();
        for error in [warm, cold] {
            assert_eq!(error.kind, "Respaldo.config", "{error:?}");
            assert!(error.message.contains(mend) && error.message.contains(code), "{error:?}");
        }
        proxy.heal();
        host.tick().await;
        scheduled_backups(&api, slots).await;
    }
    assert_whole(&api, &host, REFUSALS.len()).await;
    assert_nothing_leaked(&host, &[source.password()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_the_table_refuses_is_no_fault_of_who_asked() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    // A function that had to start first would be Lambda's own 500: it could not read its settings.
    assert_eq!(api.get("/backups").await.expect(200), json!([]));
    for (code, mend) in REFUSALS {
        proxy.refuse("dynamodb", code);
        let backup = json!({ "database_id": database["id"] });
        for answer in [api.get("/databases").await, api.post("/backups", &backup).await] {
            answer.expect_problem(503, None);
            assert_eq!(answer.header("retry-after"), "5");
            let told = answer.json();
            assert!(told["mend"].as_str().unwrap().contains(mend), "{told}");
            assert_eq!(told["retryable"], json!(code.starts_with("Expired")), "{told}");
        }
        proxy.heal();
    }
    assert_eq!(api.get("/jobs").await.expect(200), json!([]), "nothing was queued");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_job_cannot_be_read_goes_back_and_the_job_is_done_later() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    // Nobody can be woken either: the job is queued all the same, and the log tells what to do.
    proxy.refuse("sqs", "AccessDeniedException");
    let job = queued(&api, &database).await;
    let log = host.cloud.function("dump").log();
    assert!(log.contains("wake a worker") && log.contains("in the policy of this host's role"), "{log}");
    proxy.refuse("dynamodb", "ExpiredTokenException");
    let message = json!({ "v": 1, "job_id": job["id"] }).to_string();
    host.cloud.moto.send(&host.cloud.queue("dump").url, &message).await;
    until("it has come too often", &host, async || host.cloud.dead_letters().await == 1).await;
    let log = host.cloud.function("dump").log();
    assert!(log.contains("a message goes back to its queue") && log.contains("renew them"), "{log}");
    proxy.heal();
    later(&host).await;
    api.succeeded(&job["id"]).await;
    assert_whole(&api, &host, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_whose_worker_cannot_be_woken_is_backed_up_once_somebody_can_be() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    scheduled(&api, &source).await;
    for (slots, code) in (1..).zip(["ExpiredToken", "AccessDenied", "RequestThrottled"]) {
        host.clock().move_by(3_600);
        proxy.refuse("sqs", code);
        host.tick().await;
        let waiting = api.get("/backups?status=queued").await.expect(200);
        assert_eq!(waiting.as_array().unwrap().len(), 1, "{waiting}");
        proxy.heal();
        host.clock().move_by(120);
        host.tick().await;
        scheduled_backups(&api, slots).await;
    }
    assert_whole(&api, &host, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_whose_credentials_expire_under_way_is_taken_over_and_not_made_twice() {
    for code in ["ExpiredTokenException", "AccessDeniedException"] {
        let Some((proxy, host)) = behind_a_proxy().await else { return };
        let (api, source) = (Api::of(&host), Source::new());
        let database = registered(&api, &source).await;
        dumped_past_a_refusing_table((&proxy, &host), &api, (&source, &database), code).await;
        api.back_up(&database).await;
        assert_whole(&api, &host, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_storage_refuses_fails_with_what_to_do_and_leaves_nothing() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    for (code, mend) in [
        ("ExpiredToken", "renew the session token"),
        ("AccessDenied", "check the store's credentials and its permissions"),
        ("InvalidAccessKeyId", "check the store's credentials"),
    ] {
        proxy.refuse("s3", code);
        let dump = queued(&api, &database).await;
        let ended = api.ended(&dump["id"]).await;
        assert_eq!((&ended["status"], &ended["attempts"]), (&json!("failed"), &json!(1)), "{ended}");
        assert!(ended["error"].to_string().contains(mend), "{code}: {ended}");
        proxy.heal();
    }
    api.back_up(&database).await;
    later(&host).await;
    assert_whole(&api, &host, 1).await;
    let left = host.stored().await.into_iter().filter(|key| key.contains("/backups/")).count();
    assert_eq!(left, 2, "an artifact and its manifest: {:?}", host.stored().await);
    assert_nothing_leaked(&host, &[source.password()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_credentials_expire_goes_on_when_there_are_new_ones() {
    let Some((proxy, host)) = behind_a_proxy().await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = api.post("/databases", &source.fields(json!({ "runner": "fargate" }))).await.expect(201);
    // Nobody hears of the job until the credentials have expired.
    proxy.rule(|call| (call.operation == "SendMessage").then_some(Fault::Refused("AccessDenied")));
    let dump = queued(&api, &database).await;
    proxy.refuse("dynamodb", "ExpiredTokenException");
    let message = json!({ "v": 1, "job_id": dump["id"] }).to_string();
    host.cloud.moto.send(&host.cloud.queue("long").url, &message).await;
    until("the worker has tried", &host, async || host.log().contains("a job's run could not be recorded"))
        .await;
    let log = host.log();
    assert!(log.contains("the credentials for AWS have expired") && log.contains("renew them"), "{log}");
    proxy.heal();
    later(&host).await;
    api.succeeded(&dump["id"]).await;
    assert_eq!(job(&api, &dump).await["attempts"], 1);
    assert_whole(&api, &host, 1).await;
    assert_nothing_leaked(&host, &[source.password()]);
}
