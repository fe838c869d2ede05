//! `/uploads`
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use crate::support::{Answer, Host};
use axum::body::{Body, Bytes};
use futures::stream;
use respaldo_core::model::Status;
use respaldo_testkit::host::{command, run};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const BOUNDARY: &str = "----boundary";

/// A host with a database, and a file of such a database packed by gzip.
async fn with_file() -> (Host, Vec<u8>, Vec<u8>) {
    let host = Host::open();
    let sample = host.test.register_sample().await;
    let raw = std::fs::read(&sample.settings.database_name).unwrap();
    let packed = run(command("gzip"), raw.as_slice()).stdout;
    (host, raw, packed)
}

async fn send(host: &Host, query: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut all = vec![("content-type", "application/octet-stream")];
    all.retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
    all.extend_from_slice(headers);
    host.send("POST", &format!("/uploads{query}"), &all, body).await
}

fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, bytes) in parts {
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {name}\r\n\r\n").into_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

#[tokio::test]
async fn a_file_becomes_a_backup_that_is_listed_and_downloaded_like_any() {
    let (host, raw, packed) = with_file().await;
    let answer = send(&host, "?database_id=1&filename=shop.db.gz", &[], packed).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    let body = answer.json();
    assert_eq!(
        (&body["kind"], &body["status"], &body["warnings"]),
        (&json!("uploaded"), &json!("succeeded"), &json!([]))
    );
    assert_eq!(body["raw_bytes"], raw.len());
    let location = answer.header("location").to_owned();
    assert_eq!(location, format!("/backups/{}", body["id"].as_str().unwrap()));
    assert_eq!(host.get(&location).await.json()["kind"], "uploaded");
    assert_eq!(host.get("/backups?kind=uploaded").await.json().as_array().unwrap().len(), 1);
    let job = host.test.job(body["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(host.get(&format!("{location}/download")).await.bytes, host.test.stored(&job));
    assert_eq!(host.test.opened(&job), raw);
    let log = host.get(&format!("/jobs/{}/log", job.id)).await.json().to_string();
    assert!(log.contains("shop.db.gz"), "{log}");
}

#[tokio::test]
async fn a_form_with_the_file_as_its_only_part_is_taken_and_any_other_is_refused() {
    let (host, raw, packed) = with_file().await;
    let file = ("name=\"file\"; filename=\"shop.db.gz\"", packed.as_slice());
    let (media_type, body) = form(&[file]);
    let answer = send(&host, "?database_id=1", &[("content-type", &media_type)], body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    let job = host.test.job(answer.json()["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(host.test.opened(&job), raw);
    let log = host.get(&format!("/jobs/{}/log", job.id)).await.json().to_string();
    assert!(log.contains("shop.db.gz"), "{log}");

    for parts in [&[][..], &[file, ("name=\"more\"", b"x")]] {
        let (media_type, body) = form(parts);
        send(&host, "?database_id=1", &[("content-type", &media_type)], body)
            .await
            .assert_problem(422, Some("file"));
    }
    let (media_type, mut body) = form(&[file]);
    body.truncate(body.len() - 40);
    send(&host, "?database_id=1", &[("content-type", &media_type)], body)
        .await
        .assert_problem(422, Some("file"));
    let mixed = [("content-type", "multipart/mixed; boundary=b")];
    send(&host, "?database_id=1", &mixed, "x").await.assert_problem(415, None);
    host.test.assert_promises().await;
}

#[tokio::test]
async fn what_is_refused_is_told_by_its_status_its_field_and_what_to_do() {
    let (host, raw, packed) = with_file().await;
    send(&host, "", &[], "x").await.assert_problem(422, Some("database_id"));
    send(&host, "?database_id=99", &[], "x").await.assert_problem(404, None);
    send(&host, "?database_id=1&colour=red", &[], "x").await.assert_problem(422, Some("colour"));
    let zip = send(&host, "?database_id=1", &[], "PK\u{3}\u{4}").await;
    zip.assert_problem(415, Some("file"));
    assert!(zip.json()["detail"].as_str().unwrap().contains("zip") && zip.json()["mend"].is_string());
    send(&host, "?database_id=1", &[], raw[..raw.len() - 9].to_vec()).await.assert_problem(422, Some("file"));
    send(&host, "?database_id=1", &[], packed[..packed.len() - 9].to_vec())
        .await
        .assert_problem(422, Some("file"));
    let announced = [("content-length", "200000000000")];
    send(&host, "?database_id=1", &announced, "x").await.assert_problem(413, Some("file"));
    let short = (packed.len() + 1).to_string();
    send(&host, "?database_id=1", &[("content-length", &short)], packed)
        .await
        .assert_problem(422, Some("file"));
    host.test.assert_promises().await;
}

#[tokio::test]
async fn a_body_longer_than_any_json_may_be_is_streamed() {
    let (host, _, _) = with_file().await;
    let path = host.test.folder().join("large.db");
    let filled =
        "CREATE TABLE t (a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)
         INSERT INTO t SELECT randomblob(1000) FROM n";
    respaldo_testkit::sqlite::open(&path).execute_batch(filled).unwrap();
    let raw = std::fs::read(&path).unwrap();
    assert!(raw.len() > 4 << 20);
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        raw.chunks(9_999).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let length = raw.len().to_string();
    let body = Body::from_stream(stream::iter(pieces));
    let answer = send(&host, "?database_id=1", &[("content-length", &length)], body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    let (media_type, body) = form(&[("name=\"file\"; filename=\"large.db\"", &raw)]);
    let answer = send(&host, "?database_id=1", &[("content-type", &media_type)], body).await;
    assert_eq!(answer.status, 201, "{:?}", answer.bytes);
    host.test.assert_promises().await;
}

#[tokio::test]
async fn the_same_key_makes_one_backup_and_a_failed_upload_may_be_sent_again_with_it() {
    let (host, _, packed) = with_file().await;
    let length = packed.len().to_string();
    let headers = [("idempotency-key", "k"), ("content-length", length.as_str())];
    send(&host, "?database_id=1", &headers, packed[..100].to_vec()).await.assert_problem(422, Some("file"));
    let first = send(&host, "?database_id=1", &headers, packed.clone()).await;
    let again = send(&host, "?database_id=1", &headers, packed.clone()).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let other = [("idempotency-key", "k"), ("content-length", "1")];
    send(&host, "?database_id=1", &other, "x").await.assert_problem(422, Some("Idempotency-Key"));
    let succeeded = host.test.jobs().await.iter().filter(|job| job.status == Status::Succeeded).count();
    assert_eq!(succeeded, 1);
}

#[tokio::test]
async fn the_admin_key_and_the_restore_key_open_it_and_the_delete_key_does_not() {
    let host = Host::with_keys("a", "r", "d");
    let database = host.test.register_sample().await;
    let raw = std::fs::read(database.settings.database_name).unwrap();
    for (key, status) in [("a", 201), ("r", 201), ("d", 403), ("x", 401)] {
        let header = [("x-admin-key", key)];
        assert_eq!(send(&host, "?database_id=1", &header, raw.clone()).await.status, status, "{key}");
    }
}

/// The beginning of an upload on a connection of its own, up to so many bytes of the file.
async fn connected(host: &Host, announced: usize, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(host.serve().await).await.unwrap();
    let head = format!(
        "POST /uploads?database_id=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn a_connection_that_breaks_half_way_leaves_a_failed_record_and_nothing_else() {
    let (host, raw, _) = with_file().await;
    let file = [raw.as_slice(), &vec![0; 200_000]].concat();
    let stream = connected(&host, file.len() + 1_000_000, &file).await;
    let status = async |wanted: fn(Status) -> bool| {
        loop {
            if let Some(job) = host.test.jobs().await.first().filter(|job| wanted(job.status)) {
                return job.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    status(|status| status == Status::Running).await;
    drop(stream);
    let ended = status(Status::is_terminal).await;
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.error.as_ref().unwrap().message().contains("broke off"), "{:?}", ended.error);
    host.test.assert_promises().await;
}

#[tokio::test]
async fn a_refusal_is_answered_while_its_sender_still_sends() {
    let (host, _, _) = with_file().await;
    let mut stream = connected(&host, 5_000_000, b"PK\x03\x04").await;
    stream.write_all(&vec![7; 4_999_996]).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 415");
}
