//! Files that are sent to storage, and become backups there.
#![expect(clippy::unwrap_used, reason = "a panic is how a test's helper fails its test")]

use axum::body::Body;
use jiff::SignedDuration;
use respaldo_core::jobs;
use respaldo_core::model::{Job, Status};
use respaldo_core::tick::tick;
use respaldo_testkit::app::LEASE;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
use serde_json::{Value, json};

use crate::support::{Answer, Host};

/// A host that takes no file itself, with a database, and a file of such a database packed by gzip.
async fn scene(server: &S3Server) -> (Host, Vec<u8>) {
    let host = Host::on_s3(server, "", |limits| {
        limits.host.presigned_uploads = true;
        limits.uploads.most_sent = 2_000_000;
    });
    let sample = host.test.register_sample().await;
    let raw = std::fs::read(&sample.settings.database_name).unwrap();
    let packed = run(command("gzip"), raw.as_slice()).stdout;
    (host, packed)
}

async fn ticket(host: &Host) -> Value {
    let answer = host.post("/uploads", &json!({"database_id": 1, "filename": "shop.db.gz"})).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    answer.json()
}

/// Sends a file as a ticket says.
async fn put(ticket: &Value, bytes: impl Into<Vec<u8>>) {
    assert_eq!(ticket["method"], "PUT");
    let mut request = reqwest::Client::new().put(ticket["url"].as_str().unwrap()).body(bytes.into());
    for (name, value) in ticket["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    assert_eq!(request.send().await.unwrap().status(), 200);
}

async fn complete(host: &Host, ticket: &Value) -> Answer {
    host.send("POST", ticket["complete"].as_str().unwrap(), &[], Body::empty()).await
}

fn incoming(server: &S3Server) -> Vec<String> {
    server.keys().into_iter().filter(|key| key.contains("incoming/")).collect()
}

async fn job_of(host: &Host, ticket: &Value) -> Job {
    host.test.job(ticket["upload_id"].as_str().unwrap().parse().unwrap()).await
}

#[tokio::test]
async fn a_file_that_was_sent_to_storage_becomes_a_backup_and_goes() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    let expires: jiff::Timestamp = ticket["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires > host.test.app.now());
    assert_eq!(ticket["most_bytes"], 2_000_000);
    put(&ticket, packed).await;
    let answer = complete(&host, &ticket).await;
    assert_eq!(answer.status, 202, "{:?}", answer.bytes);
    let body = answer.json();
    assert_eq!((&body["kind"], &body["status"]), (&json!("uploaded"), &json!("queued")));
    assert_eq!((&body["id"], &body["warnings"]), (&ticket["upload_id"], &json!([])));
    assert_eq!(answer.header("location"), format!("/backups/{}", ticket["upload_id"].as_str().unwrap()));

    let again = complete(&host, &ticket).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (202, &ticket["upload_id"]));
    let job = host.test.run_to_end(body["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(incoming(&server), Vec::<String>::new(), "what became a backup is not kept twice");
    let sample = std::fs::read(host.test.folder().join("sample.db")).unwrap();
    assert_eq!(job.artifact().unwrap().raw_bytes, sample.len() as u64);
    let log = host.get(&format!("/jobs/{}/log", job.id)).await.json().to_string();
    assert!(log.contains("shop.db.gz"), "{log}");
    let ended = complete(&host, &ticket).await;
    assert_eq!((ended.status.as_u16(), &ended.json()["status"]), (201, &json!("succeeded")));
    assert_eq!(host.get("/backups?kind=uploaded").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_is_followed_by_one_that_reads_the_file_again() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    put(&ticket, packed).await;
    complete(&host, &ticket).await;
    let mut job = job_of(&host, &ticket).await;
    job.lease("dies", host.test.app.now(), LEASE).unwrap();
    host.test.catalog.update_job(&job).await.unwrap();
    host.test.clock.advance(LEASE + SignedDuration::from_secs(1));
    assert_eq!(tick(&host.test.app).await.unwrap().rung, 1);
    let job = host.test.run_to_end(job.id).await;
    assert_eq!((job.status, job.attempts.current), (Status::Succeeded, 2), "{:?}", job.error);
    assert_eq!(incoming(&server), Vec::<String>::new());
}

#[tokio::test]
async fn storage_that_refuses_the_backup_fails_the_job_and_the_file_goes_with_it() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    put(&ticket, packed).await;
    complete(&host, &ticket).await;
    server.fail(When::nth(Operation::PutObject, 1), Fault::Status(403));
    let job = host.test.run_to_end(job_of(&host, &ticket).await.id).await;
    assert_eq!(job.status, Status::Failed, "{:?}", job.error);
    assert_eq!(incoming(&server), Vec::<String>::new());
}

#[tokio::test]
async fn what_has_not_arrived_or_is_not_what_was_announced_waits_for_the_file() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let body = json!({"database_id": 1, "size_bytes": packed.len()});
    let ticket = host.post("/uploads", &body).await.json();
    let early = complete(&host, &ticket).await;
    early.assert_problem(409, None);
    assert!(early.json()["mend"].as_str().unwrap().contains("PUT"));
    put(&ticket, &packed[..packed.len() - 1]).await;
    complete(&host, &ticket).await.assert_problem(422, Some("file"));
    put(&ticket, packed).await;
    assert_eq!(complete(&host, &ticket).await.status, 202);
}

#[tokio::test]
async fn what_is_refused_by_its_beginning_or_its_length_leaves_nothing() {
    let server = S3Server::start();
    let (host, _) = scene(&server).await;
    for (bytes, status) in [
        (b"PK\x03\x04 a zip archive".to_vec(), 415),
        (b"PGDMP is no database of SQLite".to_vec(), 415),
        (vec![b'x'; 2_000_001], 413),
        (b"\x1f\x8b\x08 is no gzip after all".to_vec(), 422),
    ] {
        let ticket = ticket(&host).await;
        put(&ticket, bytes).await;
        complete(&host, &ticket).await.assert_problem(status, Some("file"));
        assert_eq!(incoming(&server), Vec::<String>::new());
        let backups = host.get("/backups").await.json();
        assert_eq!(backups, json!([]), "no record either");
    }
    let announced = json!({"database_id": 1, "size_bytes": 2_000_001});
    host.post("/uploads", &announced).await.assert_problem(413, Some("file"));
}

#[tokio::test]
async fn a_file_that_is_replaced_after_it_was_completed_is_found_out() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    put(&ticket, packed.clone()).await;
    complete(&host, &ticket).await;
    put(&ticket, [packed, b"and more".to_vec()].concat()).await;
    let job = host.test.run_to_end(job_of(&host, &ticket).await.id).await;
    assert_eq!(job.status, Status::Failed);
    assert_eq!(incoming(&server), Vec::<String>::new());
}

#[tokio::test]
async fn what_nobody_completes_goes_after_a_day_and_what_is_somebody_else_s_stays() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let storage = &host.test.app.storage;
    let (forgotten, waiting) = (ticket(&host).await, ticket(&host).await);
    put(&forgotten, packed.clone()).await;
    put(&waiting, packed).await;
    complete(&host, &waiting).await;
    storage.put("incoming/01ARZ3NDEKTSV4RRFFQ69G5FAV", "another catalog's").await.unwrap();
    storage.put("incoming/notes.txt", "a person's").await.unwrap();
    host.test.clock.advance(SignedDuration::from_hours(24));
    tick(&host.test.app).await.unwrap();
    assert_eq!(incoming(&server).len(), 4, "a day has not passed since the last could be completed");
    host.test.clock.advance(SignedDuration::from_hours(2));
    tick(&host.test.app).await.unwrap();
    let left = incoming(&server);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.iter().any(|key| key.ends_with(forgotten["upload_id"].as_str().unwrap())));
    complete(&host, &forgotten).await.assert_problem(404, None);
    // The one that was completed is still there for its worker.
    let job = host.test.run_to_end(job_of(&host, &waiting).await.id).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
}

#[tokio::test]
async fn a_host_that_takes_no_file_says_what_to_do_and_one_that_does_takes_both_ways() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    for media_type in ["application/octet-stream", "multipart/form-data; boundary=b"] {
        let headers = [("content-type", media_type)];
        let answer = host.send("POST", "/uploads?database_id=1", &headers, packed.clone()).await;
        answer.assert_problem(415, None);
        assert!(answer.json()["mend"].as_str().unwrap().contains("complete"), "{:?}", answer.bytes);
    }
    host.post("/uploads", &json!({})).await.assert_problem(422, Some("database_id"));
    host.post("/uploads", &json!({"database_id": 9})).await.assert_problem(404, None);
    host.post("/uploads", &json!({"database_id": 1, "color": 1})).await.assert_problem(422, Some("color"));
    host.post("/uploads", &json!({"database_id": 1, "size_bytes": -1}))
        .await
        .assert_problem(422, Some("size_bytes"));

    let local = Host::on_s3(&server, "", |_| {});
    local.test.register_sample().await;
    let headers = [("content-type", "application/octet-stream")];
    assert_eq!(local.send("POST", "/uploads?database_id=1", &headers, packed.clone()).await.status, 201);
    let sent = ticket(&local).await;
    put(&sent, packed).await;
    assert_eq!(complete(&local, &sent).await.status, 202);

    let disk = Host::open();
    disk.test.register_sample().await;
    let answer = disk.post("/uploads", &json!({"database_id": 1})).await;
    answer.assert_problem(422, Some("body"));
    assert!(answer.json()["mend"].as_str().unwrap().contains("--data-binary"));
}

#[tokio::test]
async fn a_cancelled_upload_and_a_foreign_id_leave_nothing_and_reach_nothing() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    put(&ticket, packed).await;
    complete(&host, &ticket).await;
    jobs::cancel(&host.test.app, job_of(&host, &ticket).await.id).await.unwrap();
    assert_eq!(incoming(&server), Vec::<String>::new());
    let manual = host.post("/backups", &json!({"database_id": 1})).await.json();
    let path = format!("/uploads/{}/complete", manual["id"].as_str().unwrap());
    host.send("POST", &path, &[], Body::empty()).await.assert_problem(404, None);
    let unknown = "/uploads/01ARZ3NDEKTSV4RRFFQ69G5FAV/complete";
    host.send("POST", unknown, &[], Body::empty()).await.assert_problem(404, None);
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_one_upload() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let body = json!({"database_id": 1}).to_string();
    let ask = async || host.send("POST", "/uploads", &[("idempotency-key", "k")], body.clone()).await;
    let (first, second) = (ask().await.json(), ask().await.json());
    assert_eq!(first["upload_id"], second["upload_id"]);
    put(&second, packed).await;
    assert_eq!(complete(&host, &first).await.status, 202);
    ask().await.assert_problem(409, None);
}

#[tokio::test]
async fn a_file_that_storage_refuses_to_read_is_not_removed_for_that() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ticket = ticket(&host).await;
    put(&ticket, packed).await;
    server.fail(When::every(Operation::GetObject), Fault::Status(403));
    let refused = complete(&host, &ticket).await;
    assert!(refused.status.is_server_error(), "{:?}", refused.bytes);
    assert_eq!(incoming(&server).len(), 1, "its sender would have to send it again");
    server.heal();
    assert_eq!(complete(&host, &ticket).await.status, 202);
}

#[tokio::test]
async fn an_upload_whose_backup_was_deleted_is_over_whatever_is_sent_to_its_address_afterwards() {
    let server = S3Server::start();
    let (host, packed) = scene(&server).await;
    let ask = [("idempotency-key", "k")];
    let body = json!({"database_id": 1}).to_string();
    let ticket = host.send("POST", "/uploads", &ask, body.clone()).await.json();
    put(&ticket, packed.clone()).await;
    complete(&host, &ticket).await;
    let id = job_of(&host, &ticket).await.id;
    assert_eq!(host.test.run_to_end(id).await.status, Status::Succeeded);
    assert!(respaldo_core::backup::delete(&host.test.app, id).await.unwrap());

    put(&ticket, packed).await;
    complete(&host, &ticket).await.assert_problem(404, None);
    host.send("POST", "/uploads", &ask, body).await.assert_problem(409, None);
    assert_eq!(host.test.catalog.job(id).await.unwrap(), None, "no id is given twice");
    host.test.clock.advance(SignedDuration::from_hours(26));
    tick(&host.test.app).await.unwrap();
    assert_eq!(incoming(&server), Vec::<String>::new());
}
