//! Downloads that the store gives out, on a host that sends no more than so many bytes.
#![expect(clippy::unwrap_used, reason = "a panic is how a test's helper fails its test")]

use axum::body::Body;
use jiff::SignedDuration;
use respaldo_core::model::Job;
use respaldo_core::seal::Digester;
use respaldo_core::tick::tick;
use respaldo_testkit::s3::S3Server;
use serde_json::{Value, json};

use crate::support::{Answer, Host};

/// What this host sends at most.
const MOST: u64 = 1_000;

fn host(server: &S3Server, parameters: &str) -> Host {
    Host::on_s3(server, parameters, |limits| {
        limits.host.inline_download = Some(MOST);
        limits.memory_budget = 32 << 20;
    })
}

/// The bytes at an address, asked for without a key.
async fn follow(url: &Value, range: Option<&str>) -> Vec<u8> {
    let request = reqwest::Client::new().get(url.as_str().unwrap());
    let request = range.into_iter().fold(request, |request, range| request.header("range", range));
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.bytes().await.unwrap().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    let mut digester = Digester::new();
    digester.update(bytes);
    digester.finish().sha256_hex()
}

async fn with_backup(server: &S3Server) -> (Host, Job, String) {
    let host = host(server, "");
    let database = host.test.register_sample().await;
    let job = host.test.back_up(&database).await;
    let path = format!("/backups/{}/download", job.id);
    (host, job, path)
}

async fn asked(host: &Host, method: &str, path: &str, header: (&str, &str)) -> Answer {
    host.send(method, path, &[header], Body::empty()).await
}

#[tokio::test]
async fn a_long_download_is_answered_with_its_address_its_length_and_its_digest() {
    let server = S3Server::start();
    let (host, job, path) = with_backup(&server).await;
    let artifact = job.artifact().unwrap();
    assert!(artifact.size_bytes > MOST);
    let answer = host.get(&path).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["size_bytes"], artifact.size_bytes);
    assert_eq!((&body["sha256"], &body["name"]), (&json!(artifact.sha256), &json!(job.file_name())));
    let expires: jiff::Timestamp = body["expires_at"].as_str().unwrap().parse().unwrap();
    let left = expires.duration_since(host.test.app.now());
    assert!(left <= SignedDuration::from_mins(5) && left > SignedDuration::from_mins(4), "{left}");
    assert_eq!((body.get("parts"), body.get("range")), (None, None));
    let bytes = follow(&body["url"], None).await;
    assert_eq!((bytes.len() as u64, sha256(&bytes)), (artifact.size_bytes, artifact.sha256.clone()));
    let shown = reqwest::get(body["url"].as_str().unwrap()).await.unwrap();
    let disposition = shown.headers()["content-disposition"].to_str().unwrap();
    assert_eq!(disposition, format!("attachment; filename=\"{}\"", job.file_name().unwrap()));
}

#[tokio::test]
async fn what_is_short_enough_is_sent_and_validators_are_answered_as_anywhere() {
    let server = S3Server::start();
    let (host, job, path) = with_backup(&server).await;
    let artifact = job.artifact().unwrap();
    let whole = follow(&host.get(&path).await.json()["url"], None).await;
    let part = asked(&host, "GET", &path, ("range", "bytes=5-104")).await;
    assert_eq!((part.status.as_u16(), &part.bytes[..]), (206, &whole[5..105]));
    let long = asked(&host, "GET", &path, ("range", "bytes=5-")).await;
    assert_eq!((long.status.as_u16(), long.header("content-type")), (200, "application/json"));
    let outside = format!("bytes={}-", artifact.size_bytes);
    assert_eq!(asked(&host, "GET", &path, ("range", &outside)).await.status, 416);
    let etag = format!("\"{}\"", artifact.sha256);
    assert_eq!(asked(&host, "GET", &path, ("if-none-match", &etag)).await.status, 304);
    assert_eq!(asked(&host, "GET", &path, ("if-match", "\"x\"")).await.status, 412);
    let head = asked(&host, "HEAD", &path, ("accept", "*/*")).await;
    assert_eq!((head.status.as_u16(), head.header("etag")), (200, etag.as_str()));
    assert_eq!(head.header("content-length"), artifact.size_bytes.to_string());
}

#[tokio::test]
async fn as_long_as_an_address_opens_it_a_backup_is_not_removed() {
    let server = S3Server::start();
    let (host, job, path) = with_backup(&server).await;
    let url = host.get(&path).await.json()["url"].clone();
    let deleted = host.send("DELETE", &format!("/backups/{}", job.id), &[], Body::empty()).await;
    assert_eq!(deleted.status, 202);
    host.test.clock.advance(SignedDuration::from_mins(4));
    tick(&host.test.app).await.unwrap();
    assert_eq!(sha256(&follow(&url, None).await), job.artifact().unwrap().sha256);
    assert_eq!(host.get(&path).await.status, 409, "no further address is given out");
    host.test.clock.advance(SignedDuration::from_mins(3));
    tick(&host.test.app).await.unwrap();
    assert_eq!(host.get(&path).await.status, 404);
    assert!(server.keys().iter().all(|key| !key.contains("/backups/")), "{:?}", server.keys());
}

#[tokio::test]
async fn an_artifact_in_several_volumes_is_answered_in_parts() {
    let server = S3Server::start();
    let host = host(&server, "&max_parts=1");
    let path = host.test.folder().join("large.db");
    let filler = "CREATE TABLE t (filler BLOB); INSERT INTO t VALUES (randomblob(12000000))";
    respaldo_testkit::sqlite::open(&path).execute_batch(filler).unwrap();
    let fields = json!({"name": "large", "engine": "sqlite", "database_name": path, "compression": "none"});
    let database = host.test.register(fields).await;
    let job = host.test.back_up(&database).await;
    let artifact = job.artifact().unwrap();
    assert!(artifact.volumes.len() > 2, "{artifact:?}");
    let body = host.get(&format!("/backups/{}/download", job.id)).await.json();
    assert_eq!((body.get("url"), &body["sha256"]), (None, &json!(artifact.sha256)));
    let mut bytes = Vec::new();
    for (part, volume) in body["parts"].as_array().unwrap().iter().zip(&artifact.volumes) {
        let piece = follow(&part["url"], None).await;
        assert_eq!((&part["size_bytes"], &part["sha256"]), (&json!(piece.len()), &json!(sha256(&piece))));
        assert_eq!(part["sha256"], json!(volume.sha256));
        bytes.extend(piece);
    }
    assert_eq!(sha256(&bytes), artifact.sha256);
}

#[tokio::test]
async fn a_package_and_a_member_of_its_zip_file_have_addresses_and_a_member_of_a_tar_file_has_ranges() {
    let server = S3Server::start();
    let host = host(&server, "");
    let path = host.test.folder().join("a.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "a", "engine": "sqlite", "database_name": path, "package": true, "compression": "none"});
    host.test.back_up(&host.test.register(fields).await).await;
    for format in ["zip", "tar.gz"] {
        let asked_for = host.post("/packages", &json!({"format": format})).await.json();
        let id = asked_for["id"].as_str().unwrap().to_owned();
        host.test.run_to_end(id.parse().unwrap()).await;
        let package = host.get(&format!("/packages/{id}")).await.json();
        let body = host.get(&format!("/packages/{id}/download")).await.json();
        assert_eq!(json!(sha256(&follow(&body["url"], None).await)), package["sha256"]);
        let member = &package["members"][0];
        let of_member = format!("/packages/{id}/download?member={}", member["file"].as_str().unwrap());
        let answer = host.get(&of_member).await;
        if format == "zip" {
            let body = answer.json();
            let bytes = follow(&body["url"], body["range"].as_str()).await;
            assert_eq!(json!(sha256(&bytes)), member["sha256"]);
            assert_eq!((&body["sha256"], &body["size_bytes"]), (&member["sha256"], &json!(bytes.len())));
        } else {
            answer.assert_problem(413, Some("member"));
            assert!(answer.json()["mend"].as_str().unwrap().contains("Range"));
            let first = asked(&host, "GET", &of_member, ("range", "bytes=0-15")).await;
            assert_eq!((first.status.as_u16(), &first.bytes[..]), (206, &b"SQLite format 3\0"[..]));
        }
    }
}

#[tokio::test]
async fn storage_that_gives_out_no_addresses_is_read_through_the_host_whatever_its_limit() {
    let host = Host::open_with(|limits| limits.host.inline_download = Some(1));
    let database = host.test.register_sample().await;
    let job = host.test.back_up(&database).await;
    let answer = host.get(&format!("/backups/{}/download", job.id)).await;
    assert_eq!((answer.status.as_u16(), &answer.bytes[..]), (200, &host.test.stored(&job)[..]));
}

#[tokio::test]
async fn a_host_that_ends_events_tells_what_is_new_and_no_more() {
    let host = Host::open_with(|limits| limits.host.events_end = true);
    let database = host.test.register_sample().await;
    let queued = respaldo_core::backup::request(&host.test.app, database.id, None).await.unwrap();
    let path = format!("/jobs/{}/events", queued.id);
    // It has not ended, and still the answer does.
    let text = String::from_utf8(host.get(&path).await.bytes.to_vec()).unwrap();
    assert!(text.contains("event: status") && text.contains("queued"), "{text}");
    host.test.run_to_end(queued.id).await;
    let text = String::from_utf8(host.get(&path).await.bytes.to_vec()).unwrap();
    assert!(text.contains("id: 1\n") || text.contains("id:1\n"), "{text}");
    let later = asked(&host, "GET", &path, ("last-event-id", "1")).await;
    let later = String::from_utf8(later.bytes.to_vec()).unwrap();
    assert!(!later.contains("id: 1\n") && later.contains("succeeded"), "{later}");
}

#[tokio::test]
async fn nobody_waits_longer_than_the_host_lets_them() {
    let host = Host::open_with(|limits| limits.host.longest_wait = std::time::Duration::from_secs(1));
    host.test.register_sample().await;
    let answer =
        host.send("POST", "/backups", &[("prefer", "wait=60")], json!({"database_id": 1}).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("preference-applied")), (202, "wait=1"));
}
