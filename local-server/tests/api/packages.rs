//! `/packages`
#![expect(clippy::unwrap_used, reason = "a panic is how a test's helper fails its test")]

use axum::body::Body;
use respaldo_core::package;
use serde_json::{Value, json};

use crate::support::{Answer, Host};

/// A host with two databases of `package: true`, each with a backup.
async fn with_backups() -> Host {
    let host = Host::open();
    add(&host, "a", true).await;
    add(&host, "b", true).await;
    host
}

async fn add(host: &Host, name: &str, with_backup: bool) -> i64 {
    let path = host.test.folder().join(format!("{name}.db"));
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": name, "engine": "sqlite", "database_name": path, "package": true});
    let database = host.test.register(fields).await;
    if with_backup {
        host.test.back_up(&database).await;
    }
    database.id.0
}

/// Asks for a package and answers it when it has ended.
async fn packaged(host: &Host, body: &Value) -> Value {
    let answer = host.post("/packages", body).await;
    assert_eq!(answer.status, 202, "{:?}", answer.bytes);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    host.test.run_to_end(id.parse().unwrap()).await;
    host.get(&format!("/packages/{id}")).await.json()
}

async fn part(host: &Host, path: &str, range: &str) -> Answer {
    host.send("GET", path, &[("range", range)], Body::empty()).await
}

#[tokio::test]
async fn post_queues_a_package_and_says_where_it_is() {
    let host = with_backups().await;
    let answer = host.send("POST", "/packages", &[], Body::empty()).await;
    assert_eq!(answer.status, 202, "{:?}", answer.bytes);
    let body = answer.json();
    assert_eq!(
        (&body["status"], &body["kind"], &body["format"]),
        (&json!("queued"), &json!("manual"), &json!("zip"))
    );
    assert_eq!(answer.header("location"), format!("/packages/{}", body["id"].as_str().unwrap()));
    let job = host.get(&format!("/jobs/{}", body["id"].as_str().unwrap())).await.json();
    assert_eq!((&job["kind"], &job["database_id"]), (&json!("package"), &Value::Null));
}

#[tokio::test]
async fn a_request_that_is_repeated_when_its_package_was_deleted_makes_none_in_its_place() {
    let host = with_backups().await;
    let ask = async || host.send("POST", "/packages", &[("idempotency-key", "k")], Body::empty()).await;
    let id = ask().await.json()["id"].as_str().unwrap().to_owned();
    host.test.run_to_end(id.parse().unwrap()).await;
    let gone = host.send("DELETE", &format!("/packages/{id}"), &[], Body::empty()).await;
    assert_eq!(gone.status, 204, "{:?}", gone.bytes);
    ask().await.assert_problem(409, None);
    host.get(&format!("/packages/{id}")).await.assert_problem(404, None);
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_by_its_field() {
    let host = with_backups().await;
    for (body, field) in [
        (json!({"format": "rar"}), "format"),
        (json!({"database_ids": "1"}), "database_ids"),
        (json!({"database_ids": []}), "database_ids"),
        (json!({"database_ids": [99]}), "database_ids"),
        (json!({"allow_incomplete": "yes"}), "allow_incomplete"),
        (json!({"dry_run": 1}), "dry_run"),
        (json!({"compression": "zip"}), "compression"),
    ] {
        host.post("/packages", &body).await.assert_problem(422, Some(field));
    }
    host.post("/packages", &json!({"dry_run": true, "database_ids": [99]}))
        .await
        .assert_problem(422, Some("database_ids"));
    let empty = Host::open();
    empty.post("/packages", &json!({})).await.assert_problem(409, None);
    for (path, status, field) in [
        ("/packages?status=good", 422, Some("status")),
        ("/packages?kind=safety", 422, Some("kind")),
        ("/packages?limit=0", 422, Some("limit")),
        ("/packages/nothing", 404, None),
    ] {
        host.get(path).await.assert_problem(status, field);
    }
    let backup = host.get("/backups").await.json()[0]["id"].as_str().unwrap().to_owned();
    host.get(&format!("/packages/{backup}")).await.assert_problem(404, None);
    host.get(&format!("/packages/{backup}/download")).await.assert_problem(404, None);
}

#[tokio::test]
async fn a_dry_run_tells_the_members_and_makes_nothing() {
    let host = with_backups().await;
    let bare = add(&host, "bare", false).await;
    let answer = host.post("/packages", &json!({"dry_run": true, "format": "tar.gz"})).await;
    assert_eq!(answer.status, 200);
    let plan = answer.json();
    assert_eq!((&plan["complete"], &plan["format"]), (&json!(false), &json!("tar.gz")));
    assert_eq!(plan["members"].as_array().unwrap().len(), 2);
    assert_eq!(plan["left_out"][0]["database_id"], bare);
    assert_eq!(host.get("/packages").await.json(), json!([]));
}

#[tokio::test]
async fn a_package_is_answered_with_every_field_that_clients_rely_on() {
    let host = with_backups().await;
    let package = packaged(&host, &json!({})).await;
    assert_eq!(package["status"], "succeeded", "{package}");
    for field in [
        "id",
        "name",
        "kind",
        "status",
        "format",
        "created_at",
        "started_at",
        "finished_at",
        "duration_seconds",
        "size_bytes",
        "md5",
        "sha256",
        "location",
        "progress",
    ] {
        assert!(!package[field].is_null(), "{field}: {package}");
    }
    assert!(package["error"].is_null());
    assert_eq!(package["left_out"], json!([]));
    let members = package["members"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    for field in [
        "database_id",
        "database",
        "engine",
        "backup_id",
        "backup_created_at",
        "file",
        "size_bytes",
        "sha256",
    ] {
        assert!(!members[0][field].is_null(), "{field}: {package}");
    }
    assert!(members[0].get("config_id").is_some());
    let job = host.get(&format!("/jobs/{}", package["id"].as_str().unwrap())).await.json();
    assert_eq!(job["result"]["package_id"], package["id"]);
}

#[tokio::test]
async fn an_archive_and_its_members_are_downloaded_whole_and_in_part_with_their_digests() {
    let host = with_backups().await;
    for format in ["zip", "tar.gz"] {
        let package = packaged(&host, &json!({"format": format})).await;
        let path = format!("/packages/{}/download", package["id"].as_str().unwrap());
        let whole = host.get(&path).await;
        assert_eq!(whole.bytes.len() as u64, package["size_bytes"].as_u64().unwrap());
        assert_eq!(whole.header("etag"), format!("\"{}\"", package["sha256"].as_str().unwrap()));
        assert!(whole.header("content-disposition").contains(package["name"].as_str().unwrap()));
        assert_eq!(part(&host, &path, "bytes=2-9").await.bytes, whole.bytes[2..10]);

        let member = &package["members"][1];
        let path = format!("{path}?member={}", member["file"].as_str().unwrap());
        let backup = format!("/backups/{}/download", member["backup_id"].as_str().unwrap());
        let (one, backup) = (host.get(&path).await, host.get(&backup).await);
        assert_eq!(one.bytes, backup.bytes, "{format}");
        for header in ["etag", "repr-digest", "content-disposition", "content-length"] {
            assert_eq!(one.header(header), backup.header(header), "{format}: {header}");
        }
        let middle = part(&host, &path, "bytes=3-").await;
        assert_eq!((middle.status.as_u16(), &middle.bytes[..]), (206, &backup.bytes[3..]), "{format}");
        part(&host, &path, "bytes=999999999-").await.assert_problem(416, None);
        let had = one.header("etag").to_owned();
        let not_modified = host.send("GET", &path, &[("if-none-match", &had)], Body::empty()).await;
        assert_eq!(not_modified.status, 304);
        let head = host.send("HEAD", &path, &[], Body::empty()).await;
        assert_eq!((head.bytes.len(), head.header("content-length")), (0, one.header("content-length")));
        host.get(&format!("{path}x")).await.assert_problem(404, Some("member"));
    }
}

#[tokio::test]
async fn packages_are_listed_by_page_and_kind_and_deleted() {
    let host = with_backups().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.insert(0, packaged(&host, &json!({})).await["id"].clone());
    }
    let page = host.get("/packages?limit=2&kind=manual&status=succeeded").await;
    let listed: Vec<Value> =
        page.json().as_array().unwrap().iter().map(|package| package["id"].clone()).collect();
    assert_eq!(listed, ids[..2]);
    let next = page.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    assert_eq!(host.get(&next).await.json()[0]["id"], ids[2]);
    assert_eq!(host.get("/packages?kind=scheduled").await.json(), json!([]));
    assert_eq!(
        host.get("/backups?limit=10").await.json().as_array().unwrap().len(),
        2,
        "packages are no backups"
    );
    let path = format!("/packages/{}", ids[0].as_str().unwrap());
    assert_eq!(host.send("DELETE", &path, &[], Body::empty()).await.status, 204);
    host.get(&path).await.assert_problem(404, None);
}

#[tokio::test]
async fn who_waits_is_answered_when_the_package_has_ended_and_a_repeat_is_the_same_package() {
    let host = with_backups().await;
    let key = [("idempotency-key", "k"), ("prefer", "wait=30")];
    let queued = host.send("POST", "/packages", &key[..1], "{}").await.json();
    let id = queued["id"].as_str().unwrap().parse().unwrap();
    let (answer, _job) = tokio::join!(host.send("POST", "/packages", &key, "{}"), host.test.run_to_end(id));
    assert_eq!(answer.status, 201);
    assert_eq!((&answer.json()["id"], &answer.json()["status"]), (&queued["id"], &json!("succeeded")));
    assert_eq!(package::list(&host.test.app, None, None, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_package_says_which_database_it_was() {
    let host = with_backups().await;
    let bare = add(&host, "bare", false).await;
    let failed = packaged(&host, &json!({})).await;
    assert_eq!(failed["status"], "failed");
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("database {bare} (bare)")), "{message}");
    let id = failed["id"].as_str().unwrap();
    host.get(&format!("/packages/{id}/download")).await.assert_problem(409, None);
}

#[tokio::test]
async fn only_the_delete_key_deletes_a_package() {
    let host = Host::with_keys("admin", "restore", "delete");
    let path = "/packages/01KAJ5Q4R8Z0V5T3WQ2N7M6XYB";
    for (method, key, expected) in
        [("GET", "admin", 404), ("GET", "delete", 403), ("DELETE", "admin", 403), ("DELETE", "delete", 404)]
    {
        let bearer = format!("Bearer {key}");
        let answer = host.send(method, path, &[("authorization", &bearer)], Body::empty()).await;
        assert_eq!(answer.status.as_u16(), expected, "{method} {key}");
    }
}
