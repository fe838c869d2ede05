//! `/backups` and `/jobs`

use crate::support::Host;
use axum::body::Body;
use serde_json::json;

/// A host with the sample database and one succeeded backup of it; the backup's id.
async fn with_backup() -> (Host, String) {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let job = host.test.back_up(&sample).await;
    (host, job.id.to_string())
}

#[tokio::test]
async fn post_queues_a_backup_and_says_where_it_is() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let answer = host.post("/backups", &json!({"database_id": sample.id.0})).await;
    assert_eq!(answer.status, 202, "{:?}", answer.bytes);
    let body = answer.json();
    assert_eq!((body["status"].as_str(), body["kind"].as_str()), (Some("queued"), Some("manual")));
    assert_eq!(answer.header("location"), format!("/backups/{}", body["id"].as_str().unwrap()));
    host.post("/backups", &json!({"database_id": 99})).await.assert_problem(404, None);
    host.post("/backups", &json!({"database_id": "1"})).await.assert_problem(422, Some("database_id"));
    host.post("/backups", &json!({})).await.assert_problem(422, Some("database_id"));
    host.post("/backups", &json!({"database_id": 1, "x": 1})).await.assert_problem(422, Some("x"));
}

#[tokio::test]
async fn who_waits_is_answered_when_the_backup_has_ended() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let key = [("idempotency-key", "k"), ("prefer", "wait=30")];
    let body = json!({"database_id": sample.id.0}).to_string();
    let queued = host.send("POST", "/backups", &key[..1], body.clone()).await.json();
    let id = queued["id"].as_str().unwrap().parse().unwrap();
    let (answer, _job) = tokio::join!(host.send("POST", "/backups", &key, body), host.test.run_to_end(id));
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["id"], queued["id"], "the repeat is the same backup");
    assert_eq!(answer.json()["status"], "succeeded", "{}", answer.json());
    assert!(answer.header("preference-applied").starts_with("wait="));
}

#[tokio::test]
async fn a_request_that_is_repeated_when_its_backup_was_deleted_makes_none_in_its_place() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let file = std::fs::read(&sample.settings.database_name).unwrap();
    for (path, media_type, body) in [
        ("/backups", "application/json", json!({"database_id": sample.id.0}).to_string().into_bytes()),
        ("/uploads?database_id=1", "application/octet-stream", file),
    ] {
        let headers = [("idempotency-key", path), ("content-type", media_type)];
        let first = host.send("POST", path, &headers, body.clone()).await.json();
        let id = first["id"].as_str().unwrap();
        host.test.run_to_end(id.parse().unwrap()).await;
        let gone = host.send("DELETE", &format!("/backups/{id}"), &[], Body::empty()).await;
        assert_eq!(gone.status, 204, "{:?}", gone.bytes);
        let again = host.send("POST", path, &headers, body).await;
        again.assert_problem(409, None);
        assert!(again.json()["mend"].as_str().unwrap().contains("Idempotency-Key"), "{:?}", again.bytes);
        host.get(&format!("/backups/{id}")).await.assert_problem(404, None);
    }
}

#[tokio::test]
async fn a_backup_is_listed_shown_and_summed() {
    let (host, id) = with_backup().await;
    let shown = host.get(&format!("/backups/{id}")).await.json();
    assert_eq!(shown["status"], "succeeded");
    for field in [
        "name",
        "started_at",
        "finished_at",
        "duration_seconds",
        "size_bytes",
        "raw_bytes",
        "md5",
        "sha256",
        "location",
    ] {
        assert!(!shown[field].is_null(), "{field} of {shown}");
    }
    for path in
        ["/backups", "/backups?status=succeeded&kind=manual", "/backups?since=2000-01-01&database_id=1"]
    {
        assert_eq!(host.get(path).await.json(), json!([shown]), "{path}");
    }
    assert_eq!(host.get("/backups?status=failed").await.json(), json!([]));
    host.get("/backups?status=great").await.assert_problem(422, Some("status"));
    let stats = host.get("/backups/stats").await.json();
    assert_eq!((stats["total"].as_u64(), &stats["size_bytes"]), (Some(1), &shown["size_bytes"]));
}

#[tokio::test]
async fn a_download_is_whole_in_parts_or_not_needed() {
    let (host, id) = with_backup().await;
    let path = format!("/backups/{id}/download");
    let whole = host.get(&path).await;
    let job = host.test.job(id.parse().unwrap()).await;
    assert_eq!(whole.status, 200);
    assert_eq!(whole.bytes, host.test.stored(&job));
    assert!(!whole.headers.contains_key("content-encoding"));
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    let length = whole.bytes.len();
    assert_eq!(whole.header("content-length"), length.to_string());

    let part = host.send("GET", &path, &[("range", "bytes=5-9")], Body::empty()).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.bytes, whole.bytes.slice(5..10));
    assert_eq!(part.header("content-range"), format!("bytes 5-9/{length}"));

    let had = [("if-none-match", whole.header("etag"))];
    assert_eq!(host.send("GET", &path, &had, Body::empty()).await.status, 304);
    host.send("GET", &path, &[("range", "bytes=99999999-")], Body::empty()).await.assert_problem(416, None);

    let head = host.send("HEAD", &path, &[], Body::empty()).await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    assert_eq!(head.header("content-length"), length.to_string());
}

#[tokio::test]
async fn a_deleted_backup_is_gone_and_one_that_never_was_is_404() {
    let (host, id) = with_backup().await;
    let path = format!("/backups/{id}");
    assert_eq!(host.send("DELETE", &path, &[], Body::empty()).await.status, 204);
    host.get(&path).await.assert_problem(404, None);
    host.get("/backups/01ARZ3NDEKTSV4RRFFQ69G5FAV/download").await.assert_problem(404, None);
    host.get("/backups/..%2f..%2fetc").await.assert_problem(404, None);
}

#[tokio::test]
async fn a_waiting_backup_has_nothing_to_download_and_can_be_cancelled() {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let body = host.post("/backups", &json!({"database_id": sample.id.0})).await.json();
    let id = body["id"].as_str().unwrap();
    host.get(&format!("/backups/{id}/download")).await.assert_problem(409, None);
    let cancelled = host.send("POST", &format!("/jobs/{id}/cancel"), &[], Body::empty()).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.json()["status"].as_str()), (200, Some("cancelled")));
    host.send("POST", &format!("/jobs/{id}/cancel"), &[], Body::empty()).await.assert_problem(409, None);
}

#[tokio::test]
async fn an_ended_job_tells_its_log_and_its_status_as_events_and_the_stream_ends() {
    let (host, id) = with_backup().await;
    let job = host.get(&format!("/jobs/{id}")).await.json();
    assert_eq!((job["kind"].as_str(), &job["result"]["backup_id"]), (Some("dump"), &json!(id)));
    assert_eq!(host.get("/jobs").await.json(), json!([job]));
    let log = host.get(&format!("/jobs/{id}/log")).await.json();
    let events = host.get(&format!("/jobs/{id}/events")).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    let text = String::from_utf8(events.bytes.to_vec()).unwrap();
    assert_eq!(text.matches("event: log").count(), log.as_array().unwrap().len());
    assert_eq!(text.matches("event: status").count(), 1);
    let last = log.as_array().unwrap().last().map_or("0".to_owned(), |line| line["seq"].to_string());
    let rest =
        host.send("GET", &format!("/jobs/{id}/events"), &[("last-event-id", &last)], Body::empty()).await;
    assert!(!String::from_utf8(rest.bytes.to_vec()).unwrap().contains("event: log"));
}
