//! Requests that repeat, wait and listen; and those that are refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Api, Host, Key, Source};

const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// An `Idempotency-Key` makes a repeated request the same one; another body with it is refused.
pub async fn what_is_asked_twice_with_one_key_is_done_once(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    let send = async |path: &str, key: &str, body: &Value| {
        let request = api.request(Method::POST, path, Key::Admin).header("idempotency-key", key).json(body);
        api.send(request).await
    };
    let fields = source.fields(json!({}));
    let (one, other) = futures::join!(send("/databases", "k", &fields), send("/databases", "k", &fields));
    let again = send("/databases", "k", &fields).await;
    let database = again.expect(201);
    // Of two at the same time one may be told that the other is still at work.
    for answer in [one, other] {
        assert!(answer.status == 409 || answer.expect(201)["id"] == database["id"], "{}", answer.text());
    }
    assert_eq!(api.get("/databases").await.json().as_array().unwrap().len(), 1);
    let body = json!({ "database_id": database["id"] });
    let first = send("/backups", "b", &body).await.expect(202);
    let second = send("/backups", "b", &body).await;
    assert!(matches!(second.status, 201 | 202), "{}", second.text());
    assert_eq!(second.json()["id"], first["id"]);
    let changed = source.fields(json!({ "name": "other" }));
    send("/databases", "k", &changed).await.expect_problem(422, Some("Idempotency-Key"));
    api.succeeded(&first["id"]).await;
}

/// `Prefer: wait=N` answers 201 with the ended backup, or 202 after the time that the host allows.
pub async fn a_wait_ends_with_the_job_or_after_its_time(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    let longest = host.capabilities().longest_wait_s;
    let database = api.post("/databases", &source.fields(json!({}))).await.expect(201);
    let body = json!({ "database_id": database["id"] });
    let ask = async |wait: &str| {
        let request = api.request(Method::POST, "/backups", Key::Admin).header("prefer", wait).json(&body);
        api.send(request).await
    };
    let waited = ask("wait=100").await;
    assert_eq!(waited.expect(201)["status"], "succeeded");
    assert_eq!(waited.header("preference-applied"), format!("wait={}", longest.min(100)));
    assert!(waited.header("location").starts_with("/backups/"), "{:?}", waited.headers);
    let not_waited = ask("wait=0").await;
    assert!(matches!(not_waited.status, 201 | 202), "{}", not_waited.text());
}

/// Server-sent events: to the end of the job, or what is new and then the end of the answer.
pub async fn the_events_of_a_job_tell_its_log_to_the_end(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    let database = api.post("/databases", &source.fields(json!({}))).await.expect(201);
    let queued = api.post("/backups", &json!({ "database_id": database["id"] })).await.expect(202);
    let path = format!("/jobs/{}", queued["id"].as_str().unwrap());
    let events = async |after: Option<&str>| {
        let mut request = api.request(Method::GET, &format!("{path}/events"), Key::Admin);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let answer = api.send(request).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
        answer.text()
    };
    // Where an answer ends before the job does, whoever listens asks again.
    let mut told = events(None).await;
    if !host.capabilities().events_end {
        assert!(told.contains("\"status\":\"succeeded\""), "{told}");
    }
    api.succeeded(&queued["id"]).await;
    told = events(None).await;
    assert!(told.contains("event: status") && told.contains("\"status\":\"succeeded\""), "{told}");
    let lines = api.get(&format!("{path}/log")).await.expect(200);
    let lines = lines.as_array().unwrap();
    assert_eq!(told.matches("event: log").count(), lines.len(), "{told}");
    let last =
        told.lines().filter_map(|line| line.strip_prefix("id:")).next_back().unwrap().trim().to_owned();
    let rest = events(Some(&last)).await;
    assert!(!rest.contains("event: log") && rest.contains("\"status\":\"succeeded\""), "{rest}");
}

/// 404 for what there is not, also for routes, on every host alike.
pub async fn what_is_not_there_is_not_found(host: &mut dyn Host) {
    let api = Api::of(host);
    for path in [
        "/databases/99".to_owned(),
        "/databases/9999999999999999999999".to_owned(),
        format!("/backups/{NOBODY}"),
        "/backups/nothing".to_owned(),
        format!("/backups/{NOBODY}/download"),
        format!("/jobs/{NOBODY}"),
        format!("/jobs/{NOBODY}/log"),
        format!("/packages/{NOBODY}"),
    ] {
        let answer = api.get(&path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
    }
    // A path that is no route may be answered by what stands in front of the host.
    for path in ["/events", "/nothing", "/2018-06-01/runtime/invocation/next"] {
        for method in [Method::GET, Method::POST] {
            let answer = api.send(api.request(method, path, Key::Admin).body("{}")).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
}

/// The answer names the field, and nothing is made.
pub async fn a_refused_request_names_its_field(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    for (further, field) in [
        (json!({ "schedule": "0 99 * * *" }), "schedule"),
        (json!({ "engine": "access" }), "engine"),
        (json!({ "port": 70_000 }), "port"),
        (json!({ "max_backups": 0 }), "max_backups"),
        (json!({ "colour": "red" }), "colour"),
    ] {
        api.post("/databases", &source.fields(further)).await.expect_problem(422, Some(field));
    }
    api.post("/backups", &json!({ "database_id": "one" })).await.expect_problem(422, Some("database_id"));
    api.get("/backups?limit=0").await.expect_problem(422, Some("limit"));
    let request =
        api.request(Method::POST, "/databases", Key::Admin).header("content-type", "application/json");
    api.send(request.body("{")).await.expect_problem(400, None);
    let text = api.request(Method::POST, "/databases", Key::Admin).header("content-type", "text/plain");
    api.send(text.body("{}")).await.expect_problem(415, None);
    assert_eq!(api.get("/databases").await.expect(200), json!([]));
}
