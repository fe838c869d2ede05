//! `/databases`

use crate::support::Host;
use axum::body::Body;
use serde_json::{Value, json};

/// The body that the first seed document prints.
fn printed() -> Value {
    json!({
        "name": "PostgreSQL Producción", "engine": "postgres", "host": "db.example.com", "port": 5432,
        "database_name": "production_db", "schedule": "0 4 * * *", "retention_days": 30, "max_backups": 15,
        "compression": "gzip", "credentials": { "username": "prod_user", "password": "very_strong_password" }
    })
}

#[tokio::test]
async fn post_answers_what_the_documents_print_and_nothing_of_the_credentials() {
    let host = Host::open();
    let answer = host.post("/databases", &printed()).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    assert_eq!(answer.header("location"), "/databases/1");
    let body = answer.json();
    let mut expected = printed();
    expected.as_object_mut().unwrap().remove("credentials");
    expected["id"] = json!(1);
    expected["config_id"] = Value::Null;
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&body[field], value, "{field}");
    }
    for path in ["/databases", "/databases/1"] {
        let text = String::from_utf8(host.get(path).await.bytes.to_vec()).unwrap();
        assert!(!text.contains("very_strong_password") && !text.contains("prod_user"), "{path}");
    }
}

#[tokio::test]
async fn patch_replaces_only_the_fields_that_are_sent() {
    let host = Host::open();
    host.post("/databases", &printed()).await;
    let body = json!({"schedule": "0 1 * * 1-5"}).to_string();
    let answer = host.send("PATCH", "/databases/1", &[], body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["schedule"], "0 1 * * 1-5");
    assert_eq!(answer.json()["retention_days"], 30);
}

#[tokio::test]
async fn a_refused_value_is_422_and_names_its_field_and_nothing_is_registered() {
    let host = Host::open();
    for (field, value) in [
        ("schedule", json!("0 0 30 2 *")),
        ("timezone", json!("Mars/Olympus")),
        ("port", json!("many")),
        ("engine", json!("dbase")),
        ("retention_days", json!(0)),
        ("colour", json!("red")),
        ("password", json!("hunter2")),
        ("password_var", json!("ADMIN_API_KEY")),
    ] {
        let mut body = printed();
        body[field] = value;
        let answer = host.post("/databases", &body).await;
        answer.assert_problem(422, Some(field));
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("hunter2"));
    }
    assert_eq!(host.get("/databases").await.json(), json!([]));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_its_kind() {
    let host = Host::open();
    host.send("POST", "/databases", &[], "{\"name\": ").await.assert_problem(400, None);
    host.send("POST", "/databases", &[("content-type", "text/plain")], "{}").await.assert_problem(415, None);
    host.send("POST", "/databases", &[], vec![b' '; 10 << 20]).await.assert_problem(413, None);
    let announced = [("content-length", "10485760")];
    host.send("POST", "/databases", &announced, vec![b' '; 10 << 20]).await.assert_problem(413, None);
    host.get("/databases/99").await.assert_problem(404, None);
    host.get("/databases/first").await.assert_problem(404, None);
    host.get("/nothing/here").await.assert_problem(404, None);
    host.get("/databases?limit=0").await.assert_problem(422, Some("limit"));
    host.get("/databases?colour=red").await.assert_problem(422, Some("colour"));
    let answer = host.send("PUT", "/databases", &[], "{}").await;
    answer.assert_problem(405, None);
    assert_eq!(answer.header("allow"), "POST, GET, HEAD");
}

#[tokio::test]
async fn the_same_request_with_the_same_key_makes_one_database() {
    let host = Host::open();
    let key = [("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324")];
    let first = host.send("POST", "/databases", &key, printed().to_string()).await;
    let again = host.send("POST", "/databases", &key, printed().to_string()).await;
    assert_eq!((first.status, again.status), (201.try_into().unwrap(), 201.try_into().unwrap()));
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!(host.get("/databases").await.json().as_array().unwrap().len(), 1);
    let mut other = printed();
    other["name"] = json!("another");
    let answer = host.send("POST", "/databases", &key, other.to_string()).await;
    answer.assert_problem(422, Some("Idempotency-Key"));
}

#[tokio::test]
async fn a_refused_request_gives_its_key_back() {
    let host = Host::open();
    let key = [("idempotency-key", "k")];
    let mut wrong = printed();
    wrong["schedule"] = json!("never");
    host.send("POST", "/databases", &key, wrong.to_string()).await.assert_problem(422, Some("schedule"));
    assert_eq!(host.send("POST", "/databases", &key, printed().to_string()).await.status, 201);
}

#[tokio::test]
async fn pages_link_to_the_next_until_all_are_told() {
    let host = Host::open();
    for _ in 0..5 {
        host.post("/databases", &printed()).await;
    }
    let (mut path, mut ids) = ("/databases?limit=2".to_owned(), Vec::new());
    loop {
        let answer = host.get(&path).await;
        ids.extend(answer.json().as_array().unwrap().iter().map(|database| database["id"].as_i64().unwrap()));
        let Some(link) = answer.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        path = link.trim_start_matches('<').split('>').next().unwrap().to_owned();
    }
    assert_eq!(ids, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn shortening_a_retention_takes_the_delete_key_too() {
    let host = Host::with_keys("a", "r", "d");
    let admin = [("x-admin-key", "a")];
    assert_eq!(host.send("POST", "/databases", &admin, printed().to_string()).await.status, 201);
    let shorter = json!({"retention_days": 7}).to_string();
    let answer = host.send("PATCH", "/databases/1", &admin, shorter.clone()).await;
    answer.assert_problem(403, Some("retention_days"));
    let both = [("x-admin-key", "a"), ("x-delete-key", "d")];
    assert_eq!(host.send("PATCH", "/databases/1", &both, shorter).await.status, 200);
    host.send("DELETE", "/databases/1", &admin, Body::empty()).await.assert_problem(403, None);
    assert_eq!(
        host.send("DELETE", "/databases/1", &[("x-delete-key", "d")], Body::empty()).await.status,
        204
    );
    let answer = host.get("/databases").await;
    answer.assert_problem(401, None);
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn a_test_of_a_database_says_what_it_found() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let answer = host.send("POST", &format!("/databases/{}/test", sample.id), &[], Body::empty()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["ok"], true, "{}", answer.json());
    host.send("POST", "/databases/99/test", &[], Body::empty()).await.assert_problem(404, None);
}
