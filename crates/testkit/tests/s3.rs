//! The S3 server works, fails as told, and keeps count.

#![expect(clippy::expect_used, reason = "these are tests, helpers included")]

use std::time::Duration;

use opendal::{ErrorKind, Operator};
use respaldo_testkit::host;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};

const PART: usize = 5 * 1024 * 1024;

fn operator(server: &S3Server, checksum: Option<&str>) -> Operator {
    let mut settings = S3Server::settings(&server.endpoint());
    if let Some(algorithm) = checksum {
        settings = settings.checksum_algorithm(algorithm);
    }
    Operator::new(settings).expect("the settings are valid")
}

/// Two whole parts and a rest, and an abort when something fails.
async fn upload(operator: &Operator, key: &str) -> opendal::Result<()> {
    let mut writer = operator.writer_with(key).chunk(PART).await?;
    let mut result = Ok(());
    for fill in 0..5_u8 {
        if result.is_ok() {
            result = writer.write(vec![fill; PART / 2]).await;
        }
    }
    if result.is_ok() {
        result = writer.close().await.map(|_| ());
    }
    if result.is_err() {
        writer.abort().await.ok();
    }
    result
}

#[tokio::test]
async fn a_multipart_upload_arrives_and_is_counted() {
    let server = S3Server::start();
    let operator = operator(&server, Some("crc32c"));
    upload(&operator, "folder/big").await.expect("it works");
    assert_eq!(operator.stat("folder/big").await.expect("it is there").content_length(), 5 * PART as u64 / 2);
    assert_eq!(server.count(Operation::UploadPart), 3);
    assert_eq!(server.largest_body(), PART as u64);
    assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0));
    assert_eq!(server.keys(), ["folder/big"]);
    let requests = server.requests();
    let parts = requests.iter().filter(|seen| seen.operation == Operation::UploadPart);
    for part in parts {
        assert_eq!(part.checksums, ["x-amz-checksum-crc32c"], "{part:?}");
        assert_eq!(part.status, Some(200));
    }
}

#[tokio::test]
async fn the_wrong_secret_is_refused() {
    let server = S3Server::start();
    operator(&server, None).write("a", "x").await.expect("the right secret works");
    let wrong = S3Server::settings(&server.endpoint()).secret_access_key("wrong");
    let wrong = Operator::new(wrong).expect("the settings are valid");
    assert_eq!(wrong.read("a").await.expect_err("it is refused").kind(), ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_refused_part_fails_the_upload_and_the_abort_is_seen() {
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Status(403), Fault::Drop] {
        let server = S3Server::start();
        let operator = operator(&server, None);
        server.fail(When::nth(Operation::UploadPart, 2), fault);
        assert!(upload(&operator, "big").await.is_err(), "{fault:?}");
        assert_eq!(server.count(Operation::AbortUpload), 1, "{fault:?}");
        assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0), "{fault:?}");
        assert!(server.keys().is_empty(), "{fault:?}");
        upload(&operator, "big").await.expect("the fault comes once");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_aborts_stays_open() {
    let server = S3Server::start();
    let operator = operator(&server, None);
    server.fail(When::every(Operation::AbortUpload), Fault::Status(500));
    server.fail(When::every(Operation::CompleteUpload), Fault::Status(403));
    assert!(upload(&operator, "big").await.is_err());
    assert_eq!(server.open_uploads(), 1);
    assert_eq!(server.leftover_parts(), 3);
}

#[tokio::test]
async fn a_completion_that_fails_with_200_leaves_no_object() {
    let server = S3Server::start();
    let operator = operator(&server, None);
    server.fail(When::nth(Operation::CompleteUpload, 1), Fault::OkWithErrorBody);
    assert!(upload(&operator, "big").await.is_err());
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn a_lost_answer_has_had_its_effect() {
    let server = S3Server::start();
    let operator = operator(&server, None);
    server.fail(When::nth(Operation::CompleteUpload, 1), Fault::LoseResponse);
    assert!(upload(&operator, "big").await.is_err());
    assert_eq!(server.keys(), ["big"]);
    assert_eq!(server.open_uploads(), 0);
    let requests = server.requests();
    let lost = requests.iter().find(|seen| seen.operation == Operation::CompleteUpload).expect("it came");
    assert_eq!(lost.status, None);
}

#[tokio::test]
async fn a_hanging_request_hangs_until_it_is_healed() {
    let server = S3Server::start();
    let operator = operator(&server, None);
    operator.write("a", "x").await.expect("it works");
    server.fail(When::nth(Operation::HeadObject, 1), Fault::Hang);
    let stat = tokio::spawn({
        let operator = operator.clone();
        async move { operator.stat("a").await }
    });
    while server.hanging() == 0 {
        tokio::task::yield_now().await;
    }
    operator.stat("a").await.expect("others go on meanwhile");
    assert!(!stat.is_finished());
    server.heal();
    assert!(stat.await.expect("the task ends").is_err());
    assert_eq!(server.hanging(), 0);
}

#[tokio::test]
async fn bytes_damaged_on_their_way_are_found_out_by_their_checksum() {
    let server = S3Server::start();
    let operator = operator(&server, Some("crc32c"));
    for hit in [Operation::PutObject, Operation::UploadPart] {
        server.heal();
        server.fail(When::nth(hit, 1), Fault::CorruptBody);
        let small = operator.write("small", vec![7; 1000]).await;
        let large = upload(&operator, "large").await;
        assert_eq!(small.is_err(), hit == Operation::PutObject);
        assert_eq!(large.is_err(), hit == Operation::UploadPart);
    }
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn bytes_damaged_on_their_way_are_stored_when_nothing_tells() {
    let server = S3Server::start();
    let operator = operator(&server, None);
    server.fail(When::nth(Operation::PutObject, 1), Fault::CorruptBody);
    operator.write("small", vec![7; 1000]).await.expect("nobody notices");
    assert_ne!(std::fs::read(server.file("small")).expect("it is stored"), vec![7; 1000]);
}

#[tokio::test]
async fn the_server_answers_a_test_that_blocks_its_runtime() {
    let server = S3Server::start();
    host::eventually("the port takes connections", Duration::from_secs(5), || {
        std::net::TcpStream::connect(server.endpoint().trim_start_matches("http://")).is_ok()
    });
}
