use jiff::Timestamp;
use respaldo_api::access::Keys;
use respaldo_core::backup;
use respaldo_core::config::{Config, stored};
use respaldo_core::model::{Job, JobId, Status, WorkKind};
use respaldo_core::tick::Ticked;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;

use super::*;

fn parts(test: &TestApp, function: Function) -> Parts {
    let staging = test.folder().join("staging");
    let settings = Arc::new(Settings::of(Config::parse("").unwrap(), staging.clone()).unwrap());
    Parts {
        function,
        besides: Router::new,
        app: test.app.clone(),
        settings,
        guard: Guard::Keys(Keys::new(Some("a"), None, None).unwrap()),
        owner: "lambda test".to_owned(),
        queue: None,
        gateway: None,
        staging,
    }
}

fn host(test: &TestApp, function: Function) -> Host {
    let host = Host::new(parts(test, function));
    // SQLite databases lie where the test has put them.
    let mut current = host.current.try_write().unwrap();
    let roots = test.app.limits.sqlite_roots.clone();
    let limits = respaldo_core::Limits { sqlite_roots: roots, ..(*current.app.limits).clone() };
    current.app.limits = Arc::new(limits);
    drop(current);
    host
}

async fn invoke(host: &Host, event: Value) -> Result<Value> {
    invoke_within(host, event, Duration::from_mins(1)).await
}

async fn invoke_within(host: &Host, event: Value, left: Duration) -> Result<Value> {
    let invocation = Invocation { request_id: "r".to_owned(), deadline: Instant::now() + left };
    let answer = host.invoke(event, invocation).await.map_err(|Failure(error)| error)?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn golden(name: &str) -> Value {
    let text = match name {
        "http" => include_str!("../../tests/events/http_api.json"),
        "sqs" => include_str!("../../tests/events/sqs.json"),
        _ => include_str!("../../tests/events/eventbridge_rule.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn request(method: &str, path: &str, key: &str, body: &str) -> Value {
    let mut event = golden("http");
    event["requestContext"]["http"]["method"] = json!(method);
    (event["rawPath"], event["rawQueryString"]) = (json!(path), json!(""));
    (event["headers"]["x-admin-key"], event["body"]) = (json!(key), json!(body));
    event
}

fn messages(bodies: &[&str]) -> Value {
    let mut event = golden("sqs");
    let record = event["Records"][0].clone();
    let records = bodies.iter().enumerate().map(|(n, body)| {
        let mut record = record.clone();
        (record["messageId"], record["body"]) = (json!(format!("m{n}")), json!(body));
        record
    });
    event["Records"] = records.collect();
    event
}

fn message(job: JobId) -> String {
    respaldo_aws::sqs::Message::ring(job)
}

fn failed(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
}

/// Whose tick and job leave a claim in the catalog, and whose one route never answers.
fn toy() -> Function {
    let hang = axum::routing::get(std::future::pending::<()>);
    let panics = axum::routing::get(async || -> () { panic!("hunter2") });
    Function {
        name: "toy",
        routes: OpenApiRouter::new().route("/healthz", hang).route("/readyz", panics),
        tick: Some(|app| {
            Box::pin(async move {
                let before = app.catalog.claim("ticked", "once", app.now(), None).await?;
                assert!(before.is_none(), "it was ticked twice");
                Ok(Ticked::default())
            })
        }),
        job: Some((WorkKind::Dump, |_, _, _| Box::pin(async { panic!("hunter2") }))),
    }
}

async fn was_ticked(test: &TestApp) -> bool {
    test.catalog.claimed("ticked", test.app.now()).await.unwrap().as_deref() == Some("once")
}

async fn queued(test: &TestApp) -> Job {
    let database = test.register_sample().await;
    Box::pin(backup::request(&test.app, database.id, None)).await.unwrap()
}

#[tokio::test]
async fn a_request_reaches_the_routes_behind_their_guard() {
    let test = TestApp::new();
    test.register_sample().await;
    let host = host(&test, respaldo_register::function());
    let answer = invoke(&host, request("GET", "/databases", "a", "")).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body[0]["name"], "sample");
    for (path, key, status) in
        [("/databases", "wrong", 401), ("/databases/7", "a", 404), ("/backups", "a", 404)]
    {
        let answer = invoke(&host, request("GET", path, key, "")).await.unwrap();
        assert_eq!(answer["statusCode"], status, "{path}: {answer}");
        assert_eq!(answer["headers"]["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn one_function_answers_what_belongs_to_none() {
    let test = TestApp::new();
    let besides = || respaldo_api::common(crate::DOCUMENT);
    let front = Host::new(Parts { besides, ..parts(&test, respaldo_register::function()) });
    let other = host(&test, respaldo_retention::function());
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/"] {
        let status = |answer: Value| answer["statusCode"].clone();
        assert_eq!(status(invoke(&front, request("GET", path, "", "")).await.unwrap()), 200, "{path}");
        assert_eq!(status(invoke(&other, request("GET", path, "", "")).await.unwrap()), 404, "{path}");
    }
}

#[tokio::test]
async fn nobody_outside_reaches_a_tick_or_a_job() {
    let test = TestApp::in_memory();
    let host = host(&test, toy());
    for inside in ["rule", "sqs"] {
        for path in ["/events", "/", "/2015-03-31/functions/function/invocations"] {
            let event = request("POST", path, "a", &golden(inside).to_string());
            assert_eq!(invoke(&host, event).await.unwrap()["statusCode"], 404);
        }
    }
    assert!(!was_ticked(&test).await);
}

#[tokio::test]
async fn a_schedule_ticks_and_a_tick_that_panics_is_an_error_of_its_invocation_alone() {
    let test = TestApp::in_memory();
    let host = host(&test, toy());
    assert_eq!(invoke(&host, golden("rule")).await.unwrap(), Value::Null);
    assert!(was_ticked(&test).await);
    let error = invoke(&host, golden("rule")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(!error.to_string().contains("hunter2"));
    assert_eq!(invoke(&host, request("GET", "/none", "a", "")).await.unwrap()["statusCode"], 404);
}

#[tokio::test]
async fn an_event_that_the_function_has_no_part_for_is_an_error() {
    let test = TestApp::in_memory();
    let host = host(&test, respaldo_register::function());
    for event in [golden("rule"), golden("sqs"), json!({"what": "ever"})] {
        assert_eq!(invoke(&host, event).await.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn a_message_wakes_for_its_job_and_a_second_one_changes_nothing() {
    let test = TestApp::new();
    let job = queued(&test).await;
    let host = host(&test, respaldo_dump::function());
    let body = message(job.id);
    let deadline = Duration::from_mins(15);
    let answer = invoke_within(&host, messages(&[&body]), deadline).await.unwrap();
    assert!(failed(&answer).is_empty(), "{answer}");
    let ended = test.job(job.id).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
    let answer = invoke_within(&host, messages(&[&body, &body]), deadline).await.unwrap();
    assert!(failed(&answer).is_empty(), "{answer}");
    assert_eq!(test.job(job.id).await, ended);
}

#[tokio::test]
async fn of_a_batch_only_the_messages_that_fail_go_back() {
    let test = TestApp::new();
    let job = queued(&test).await;
    let host = host(&test, respaldo_dump::function());
    let gone = message(JobId::for_slot(job.database.unwrap().uid, Timestamp::UNIX_EPOCH));
    let newer = format!(r#"{{"v":99,"job_id":"{}"}}"#, job.id);
    let bodies = [&message(job.id), "poison", &gone, &newer, "", &golden("rule").to_string()];
    let answer = invoke_within(&host, messages(&bodies), Duration::from_mins(15)).await.unwrap();
    assert_eq!(failed(&answer), ["m1", "m3", "m4", "m5"]);
    assert_eq!(test.job(job.id).await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_message_for_another_function_and_a_run_that_panics_are_failures() {
    let test = TestApp::new();
    let job = queued(&test).await;
    let body = message(job.id);
    let other = Function { job: toy().job.map(|(_, run)| (WorkKind::Package, run)), ..toy() };
    for function in [other, toy()] {
        let answer = invoke(&host(&test, function), messages(&[&body])).await.unwrap();
        assert_eq!(failed(&answer), ["m0"]);
    }
    assert_eq!(test.job(job.id).await.status, Status::Queued);
}

#[tokio::test]
async fn a_tick_and_a_run_that_fail_are_told_whatever_is_logged() {
    let test = TestApp::new();
    let body = message(queued(&test).await.id);
    let function = Function {
        tick: Some(|_| Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "test", "it failed")) })),
        job: Some((WorkKind::Dump, |_, _, _| {
            Box::pin(async { Err(Error::new(ErrorKind::Unavailable, "test", "it failed")) })
        })),
        ..toy()
    };
    let host = host(&test, function);
    assert_eq!(invoke(&host, golden("rule")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(failed(&invoke(&host, messages(&[&body])).await.unwrap()), ["m0"]);
}

#[tokio::test]
async fn a_catalog_that_cannot_be_reached_gives_every_message_back() {
    let test = TestApp::new();
    let job = queued(&test).await;
    let host = host(&test, respaldo_dump::function());
    test.faults.fail_at(1, FaultMode::CrashAfter);
    let body = message(job.id);
    let answer = invoke_within(&host, messages(&[&body, &body]), Duration::from_mins(15)).await.unwrap();
    assert_eq!(failed(&answer), ["m0", "m1"]);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_before_the_deadline() {
    let test = TestApp::in_memory();
    let host = host(&test, toy());
    let answer = invoke_within(&host, request("GET", "/healthz", "a", ""), Duration::from_millis(700)).await;
    let answer = answer.unwrap();
    assert_eq!(answer["statusCode"], 503);
    assert!(answer["body"].as_str().unwrap().contains("/problems/too_slow"));
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_and_shows_nothing() {
    let test = TestApp::in_memory();
    let answer = invoke(&host(&test, toy()), request("GET", "/readyz", "a", "")).await.unwrap();
    assert_eq!(answer["statusCode"], 500);
    assert!(!answer.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_body_as_long_as_a_gateway_lets_through_is_answered() {
    let test = TestApp::in_memory();
    let host = host(&test, respaldo_register::function());
    let long = "x".repeat(10 << 20);
    let answer = invoke(&host, request("POST", "/databases", "a", &long)).await.unwrap();
    assert_eq!(answer["statusCode"], 413);
}

#[tokio::test]
async fn settings_are_read_again_when_they_are_old_and_kept_while_the_catalog_is_silent() {
    let test = TestApp::new();
    let host = host(&test, respaldo_dump::function());
    let jobs = async || host.current().await.map(|current| current.app.limits.max_parallel_jobs);
    let before = jobs().await.unwrap();
    let apply = async |number: u32| {
        let text = format!("global:\n  max_parallel_jobs: {number}\n");
        let sections =
            stored::Sections::of("config.yaml", &text, respaldo_adapters::storage::STORES).unwrap();
        stored::write(&test.app, &sections).await.unwrap();
    };
    let age = async || host.current.write().await.read_at -= OLDEST;
    apply(17).await;
    assert_eq!(jobs().await.unwrap(), before, "they are young");
    age().await;
    assert_eq!(jobs().await.unwrap(), 17);
    assert!(host.current().await.unwrap().app.limits.host.events_end, "this host's limits stay");
    apply(18).await;
    age().await;
    test.faults.fail_at(1, FaultMode::CrashAfter);
    assert_eq!(jobs().await.unwrap(), 17, "the catalog does not answer");
}
