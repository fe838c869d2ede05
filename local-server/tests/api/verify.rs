//! `/backups/{id}/verify`

use crate::support::Host;
use axum::body::Body;
use serde_json::json;

/// A host with one succeeded backup of the sample database; its id.
async fn with_backup() -> (Host, String) {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let job = host.test.back_up(&sample).await;
    (host, job.id.to_string())
}

#[tokio::test]
async fn post_queues_a_test_restore_whose_verdict_and_duration_are_answered() {
    let (host, backup) = with_backup().await;
    let path = format!("/backups/{backup}/verify");
    let answer = host.send("POST", &path, &[], Body::empty()).await;
    assert_eq!(answer.status, 202, "{:?}", answer.bytes);
    let queued = answer.json();
    assert_eq!((queued["kind"].as_str(), queued["status"].as_str()), (Some("verify"), Some("queued")));
    assert!(queued["result"].is_null());
    let id = queued["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/jobs/{id}"));
    // While it waits, whoever asks is answered that one.
    let again = host.send("POST", &path, &[], Body::empty()).await.json();
    assert_eq!(again["id"], queued["id"]);

    let waiting = [("prefer", "wait=30")];
    let (answer, _job) = tokio::join!(
        host.send("POST", &path, &waiting, Body::empty()),
        host.test.run_to_end(id.parse().unwrap())
    );
    assert_eq!(answer.status, 200, "{:?}", answer.bytes);
    assert!(answer.header("preference-applied").starts_with("wait="));
    let job = answer.json();
    assert_eq!((job["id"].as_str(), job["status"].as_str()), (Some(id.as_str()), Some("succeeded")));
    let verification = &job["result"]["verification"];
    assert_eq!(job["result"]["backup_id"], backup.as_str());
    assert_eq!(
        (verification["status"].as_str(), verification["differences"].clone()),
        (Some("ok"), json!([]))
    );
    assert!(verification["duration_seconds"].as_f64().is_some(), "{verification}");
    let shown = host.get(&format!("/backups/{backup}")).await.json();
    assert_eq!(shown["verification"], *verification);
    let listed = host.get("/jobs").await.json();
    assert_eq!(listed.as_array().unwrap().iter().filter(|job| job["kind"] == "verify").count(), 1);
}

#[tokio::test]
async fn a_request_with_the_same_key_is_the_same_test_restore() {
    let (host, backup) = with_backup().await;
    let path = format!("/backups/{backup}/verify");
    let key = [("idempotency-key", "k")];
    let first = host.send("POST", &path, &key, Body::empty()).await.json();
    host.test.run_to_end(first["id"].as_str().unwrap().parse().unwrap()).await;
    let repeated = host.send("POST", &path, &key, Body::empty()).await.json();
    assert_eq!(repeated["id"], first["id"]);
    assert_eq!(repeated["status"], "succeeded");
    let other = host.send("POST", &path, &[], Body::empty()).await.json();
    assert_ne!(other["id"], first["id"]);
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let (host, backup) = with_backup().await;
    let path = format!("/backups/{backup}/verify");
    host.post(&path, &json!({"server": "x"})).await.assert_problem(422, Some("server"));
    host.send("POST", "/backups/01KAJ5Q4R8Z0V5T3WQ2N7M6XYB/verify", &[], Body::empty())
        .await
        .assert_problem(404, None);
    let queued = host.post("/backups", &json!({"database_id": 1})).await.json();
    let path = format!("/backups/{}/verify", queued["id"].as_str().unwrap());
    host.send("POST", &path, &[], Body::empty()).await.assert_problem(409, None);
}

#[tokio::test]
async fn it_takes_the_admin_key() {
    let host = Host::with_keys(&"a".repeat(32), &"r".repeat(32), &"d".repeat(32));
    let sample = host.test.register_sample().await;
    let path = format!("/backups/{}/verify", host.test.back_up(&sample).await.id);
    for (header, key, status) in [
        ("x-admin-key", "a".repeat(32), 202),
        ("x-restore-key", "r".repeat(32), 403),
        ("x-delete-key", "d".repeat(32), 403),
    ] {
        let answer = host.send("POST", &path, &[(header, &key)], Body::empty()).await;
        assert_eq!(answer.status.as_u16(), status, "{header}: {:?}", answer.bytes);
    }
}
