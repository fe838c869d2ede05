//! `/retention`
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use axum::body::Body;
use jiff::SignedDuration;
use respaldo_core::model::{Database, Job};
use respaldo_core::tick::tick;
use serde_json::{Value, json};

use crate::support::Host;

/// Three hourly backups of the sample, one manual one, and a policy that keeps one of them.
async fn with_backups(host: &Host) -> (Database, Vec<Job>) {
    let test = &host.test;
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "sample", "engine": "sqlite", "database_name": path, "schedule": "@hourly"});
    let database = test.register(fields).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let due = test.catalog.database(database.id).await.unwrap().unwrap().next_due_at.unwrap();
        test.clock.advance(due.duration_since(test.app.now()) + SignedDuration::from_secs(1));
        tick(&test.app).await.unwrap();
        let queued = test.jobs().await[0].id;
        made.push(test.run_to_end(queued).await);
    }
    made.push(test.back_up(&database).await);
    (database, made)
}

async fn keep_one(host: &Host, headers: &[(&str, &str)]) {
    let body = json!({"max_backups": 1}).to_string();
    assert_eq!(host.send("PATCH", "/databases/1", headers, body).await.status, 200);
}

fn reasons(plan: &Value) -> Vec<(&str, &str)> {
    let backups = plan["backups"].as_array().unwrap();
    backups.iter().map(|one| (one["action"].as_str().unwrap(), one["reason"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn get_shows_what_would_be_removed_and_what_stands_above_the_rule() {
    let host = Host::open();
    let (_database, made) = with_backups(&host).await;
    keep_one(&host, &[]).await;
    let plans = host.get("/retention").await.json();
    insta::assert_json_snapshot!(plans, {
        "[].backups[].id" => "[id]", "[].backups[].name" => "[name]", "[].backups[].created_at" => "[time]",
    });
    let shown: Vec<&str> =
        plans[0]["backups"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(shown, [3, 1, 0].map(|n| made[n].id.to_string()));
    assert_eq!(host.get("/retention?database_id=1").await.json(), plans);
    let all = host.get("/retention?all=true").await.json();
    assert_eq!(reasons(&all[0]).len(), 4);
    assert_eq!(reasons(&all[0])[1], ("keep", "within the rule"));
    assert_eq!(host.get("/backups").await.json().as_array().unwrap().len(), 4, "looking removes nothing");
}

#[tokio::test]
async fn post_removes_what_the_plan_says_and_answers_it() {
    let host = Host::open();
    let (_database, made) = with_backups(&host).await;
    keep_one(&host, &[]).await;
    let dry = host.post("/retention", &json!({"dry_run": true})).await.json();
    assert_eq!(
        (&dry[0]["dry_run"], &dry[0]["removed"], &dry[0]["left"]),
        (&json!(true), &json!(0), &json!(2))
    );
    assert_eq!(dry[0]["backups"][0]["outcome"], "would be removed");
    assert_eq!(host.get("/backups").await.json().as_array().unwrap().len(), 4);

    // Without a body: all databases.
    let done = host.send("POST", "/retention", &[], Body::empty()).await;
    assert_eq!(done.status, 200, "{:?}", done.bytes);
    insta::assert_json_snapshot!(done.json(), {
        "[].backups[].id" => "[id]", "[].backups[].name" => "[name]", "[].backups[].created_at" => "[time]",
    });
    let left: Vec<String> = host
        .get("/backups")
        .await
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(left, [3, 2].map(|n| made[n].id.to_string()));
    assert_eq!(host.send("POST", "/retention", &[], Body::empty()).await.json(), json!([]));
    let one = host.post("/retention", &json!({"database_id": 1})).await.json();
    assert_eq!((one[0]["removed"].as_u64(), one[0]["left"].as_u64()), (Some(0), Some(0)));
    host.test.assert_promises().await;
}

#[tokio::test]
async fn a_disabled_database_says_that_it_is_frozen() {
    let host = Host::open();
    with_backups(&host).await;
    keep_one(&host, &[]).await;
    host.send("PATCH", "/databases/1", &[], json!({"enabled": false}).to_string()).await;
    let plan = host.get("/retention?all=true").await.json();
    assert_eq!(
        (plan[0]["frozen"].as_str(), plan[0]["remove"].as_u64()),
        (Some("the database is disabled"), Some(0))
    );
    assert_eq!(reasons(&plan[0])[2], ("keep", "frozen: the database is disabled"));
    let applied = host.post("/retention", &json!({"database_id": 1})).await.json();
    assert_eq!(
        (applied[0]["frozen"].as_str(), applied[0]["removed"].as_u64()),
        (Some("the database is disabled"), Some(0))
    );
}

#[tokio::test]
async fn of_three_keys_admin_looks_and_delete_applies() {
    let host = Host::with_keys("a", "r", "d");
    with_backups(&host).await;
    let keys = [("x-admin-key", "a"), ("x-restore-key", "r"), ("x-delete-key", "d")];
    let [admin, restore, delete] = keys;
    keep_one(&host, &[admin, delete]).await;
    for (method, key, status) in [
        ("GET", admin, 200),
        ("GET", restore, 403),
        ("GET", delete, 403),
        ("POST", admin, 403),
        ("POST", restore, 403),
        ("POST", delete, 200),
    ] {
        let answer = host.send(method, "/retention", &[key], Body::empty()).await;
        assert_eq!(answer.status, status, "{method} {key:?}");
    }
    host.send("POST", "/retention", &[], Body::empty()).await.assert_problem(401, None);
    assert_eq!(host.test.jobs().await.len(), 2, "the delete key removed two");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let host = Host::open();
    host.test.register_sample().await;
    host.get("/retention?database_id=9").await.assert_problem(404, None);
    host.get("/retention?database_id=x").await.assert_problem(422, Some("database_id"));
    host.get("/retention?all=yes").await.assert_problem(422, Some("all"));
    host.get("/retention?limit=0").await.assert_problem(422, Some("limit"));
    host.get("/retention?every=1").await.assert_problem(422, Some("every"));
    host.post("/retention", &json!({"database_id": 9})).await.assert_problem(404, None);
    host.post("/retention", &json!({"database_id": "1"})).await.assert_problem(422, Some("database_id"));
    host.post("/retention", &json!({"dry_run": 1})).await.assert_problem(422, Some("dry_run"));
    host.post("/retention", &json!({"force": true})).await.assert_problem(422, Some("force"));
    host.post("/retention", &json!([])).await.assert_problem(400, None);
    for field in ["retention_days", "max_backups"] {
        let zero = json!({field: 0}).to_string();
        host.send("PATCH", "/databases/1", &[], zero).await.assert_problem(422, Some(field));
    }
}

#[tokio::test]
async fn an_idempotency_key_is_bound_to_its_body_and_a_repeat_harms_nothing() {
    let host = Host::open();
    with_backups(&host).await;
    keep_one(&host, &[]).await;
    let key = [("idempotency-key", "k")];
    let body = json!({"database_id": 1}).to_string();
    let first = host.send("POST", "/retention", &key, body.clone()).await.json();
    let again = host.send("POST", "/retention", &key, body).await.json();
    assert_eq!((first[0]["removed"].as_u64(), again[0]["removed"].as_u64()), (Some(2), Some(0)));
    let other = host.send("POST", "/retention", &key, Body::empty()).await;
    other.assert_problem(422, Some("Idempotency-Key"));
}

#[tokio::test]
async fn plans_come_in_pages_by_database() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    for _ in 0..2 {
        let path = &sample.settings.database_name;
        host.test.register(json!({"name": "x", "engine": "sqlite", "database_name": path})).await;
    }
    let first = host.get("/retention?limit=2&all=true").await;
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    let next = first.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
    let second = host.get(&next).await;
    assert_eq!(second.json()[0]["database_id"], 3);
    assert!(!second.headers.contains_key("link"));
}

#[tokio::test]
async fn a_backup_that_a_queued_restore_needs_is_locked_until_it_has_ended() {
    let host = Host::open();
    let (_database, made) = with_backups(&host).await;
    keep_one(&host, &[]).await;
    let queued = host.post(&format!("/backups/{}/restore", made[0].id), &json!({})).await.json();
    let all = host.get("/retention?all=true").await.json();
    assert_eq!(
        reasons(&all[0])[3],
        ("locked", "a restore or a package that has not ended needs it"),
        "{all}"
    );
    assert_eq!(reasons(&all[0])[2].0, "remove", "{all}");
    let done = host.send("POST", "/retention", &[], Body::empty()).await.json();
    assert_eq!(done[0]["removed"], json!(1), "{done}");
    assert_eq!(host.get(&format!("/backups/{}", made[0].id)).await.status, 200);
    host.test.run_to_end(queued["id"].as_str().unwrap().parse().unwrap()).await;
    let done = host.send("POST", "/retention", &[], Body::empty()).await.json();
    assert_eq!(done[0]["backups"][0]["id"], json!(made[0].id.to_string()), "{done}");
}
