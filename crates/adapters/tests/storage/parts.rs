//! How an artifact goes up to S3: in parts of bounded size, each with its checksum, few at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use respaldo_core::ErrorKind;
use respaldo_testkit::host::eventually;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};

use super::support::{MIB, PATIENT, ROOT, SMALL, USUAL, noise, read, s3, s3_tuned, upload};

const LEAST: u64 = 5 * MIB as u64;

#[tokio::test]
async fn every_part_is_at_most_a_quarter_of_the_budget_and_carries_its_checksum() {
    for (budget, at_once) in [(SMALL, 1), (USUAL, 2), (128 * MIB, 2)] {
        let server = S3Server::start();
        let bytes = noise(70 * MIB + 1);
        upload(&s3(&server, ""), "a/", &bytes, budget).await.unwrap();
        let requests = server.requests();
        let parts: Vec<_> = requests.iter().filter(|r| r.operation == Operation::UploadPart).collect();
        assert!(parts.len() > 4, "{budget}");
        let last =
            parts.iter().max_by_key(|part| part.parameter("partNumber").unwrap().parse::<u32>().unwrap());
        for part in &parts {
            assert!(part.content_length <= budget as u64 / 4, "{part:?}");
            assert!(part.content_length >= LEAST || Some(part) == last, "{part:?}");
            assert_eq!(part.checksums, ["x-amz-checksum-crc32c"], "{part:?}");
        }
        assert!(server.largest_body() <= budget as u64 / 4, "{budget}");
        assert!(server.most_parts_at_once() <= at_once, "{budget}: {}", server.most_parts_at_once());
        assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0));
    }
}

#[tokio::test]
async fn an_artifact_of_one_part_goes_up_in_one_request_with_its_checksum() {
    let server = S3Server::start();
    upload(&s3(&server, ""), "a/", &noise(5 * MIB), SMALL).await.unwrap();
    let requests = server.requests();
    let puts: Vec<_> = requests.iter().filter(|r| r.operation == Operation::PutObject).collect();
    assert_eq!(puts.len(), 1);
    assert_eq!(puts[0].checksums, ["x-amz-checksum-crc32c"]);
    assert_eq!(server.count(Operation::CreateUpload), 0);
    // What needs no parts needs no look for unfinished ones.
    assert_eq!(server.count(Operation::ListUploads), 0);
}

/// A piece of the artifact that tells when it is let go.
struct Held {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_to_a_store_that_stalls_holds_at_most_half_of_the_budget() {
    for (budget, parts) in [(SMALL, 3), (USUAL, 4), (256 * MIB, 4)] {
        let server = S3Server::start();
        let storage = s3(&server, "");
        let part = (budget / 8).max(5 * MIB);
        let alive = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        server.fail(When::every(Operation::UploadPart), Fault::Hang);
        let sending = tokio::spawn({
            let (alive, most) = (Arc::clone(&alive), Arc::clone(&most));
            async move {
                let mut upload = storage.upload(budget, |number| format!("a/{number}"));
                for _ in 0..7 * part / MIB {
                    let now = alive.fetch_add(MIB, Ordering::SeqCst) + MIB;
                    most.fetch_max(now, Ordering::SeqCst);
                    let held = Held { bytes: vec![7; MIB], alive: Arc::clone(&alive) };
                    upload.write(Bytes::from_owner(held)).await.unwrap();
                }
                upload.finish().await.unwrap()
            }
        });
        let at_once = if budget == SMALL { 1 } else { 2 };
        eventually("the parts are stuck", PATIENT.io_timeout, || server.hanging() == at_once);
        // It goes on filling until it can hold no more; then it waits.
        eventually("it is full", PATIENT.io_timeout, || alive.load(Ordering::SeqCst) >= (at_once + 1) * part);
        server.heal();
        let volumes = sending.await.unwrap();
        assert_eq!(volumes[0].size_bytes, (7 * part / MIB * MIB) as u64);
        let held = most.load(Ordering::SeqCst);
        assert!(held <= parts * part + MIB, "{held} bytes at once in {budget}");
        assert!(held <= budget / 2 + MIB, "{held} bytes at once in {budget}");
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn bytes_damaged_on_their_way_are_never_confirmed() {
    let bytes = noise(16 * MIB);
    for (operation, length) in [(Operation::UploadPart, 16 * MIB), (Operation::PutObject, MIB)] {
        let server = S3Server::start();
        let storage = s3(&server, "");
        server.fail(When::every(operation), Fault::CorruptBody);
        upload(&storage, "a/", &bytes.slice(..length), SMALL).await.unwrap_err();
        assert!(storage.list("a/").await.unwrap().is_empty());
        assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0));
        server.heal();
        let artifact = upload(&storage, "a/", &bytes.slice(..length), SMALL).await.unwrap();
        assert!(read(&storage, &artifact, 0..length as u64).await == bytes[..length]);
    }
}

#[tokio::test]
async fn a_passing_fault_is_retried_without_a_second_dump() {
    let bytes = noise(16 * MIB);
    let faults = [Fault::Status(500), Fault::Status(503), Fault::Drop, Fault::LoseResponse];
    let operations = [
        Operation::CreateUpload,
        Operation::UploadPart,
        Operation::CompleteUpload,
        Operation::HeadObject,
        Operation::ListUploads,
    ];
    for fault in faults {
        for operation in operations {
            let server = S3Server::start();
            let storage = s3(&server, "");
            server.fail(When::nth(operation, 1), fault);
            let artifact = upload(&storage, "a/", &bytes, SMALL).await;
            let artifact = artifact.unwrap_or_else(|e| panic!("{operation:?} {fault:?}: {e}"));
            assert!(read(&storage, &artifact, 0..bytes.len() as u64).await == bytes);
            let left = (server.open_uploads(), server.leftover_parts());
            assert_eq!(left, (0, 0), "{operation:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up_after_its_time() {
    let server = S3Server::start();
    let storage = s3_tuned(&server, "", super::support::IMPATIENT);
    server.fail(When::every(Operation::ListUploads), Fault::Hang);
    let error = storage.abort_unfinished("a/").await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true), "{error}");
    server.fail(When::every(Operation::PutObject), Fault::Hang);
    let error = storage.put("a/b", "x").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn unfinished_uploads_are_aborted_page_by_page_and_only_below_their_folder() {
    let server = S3Server::start();
    server.list_uploads(respaldo_testkit::s3::UploadListing { page: 2, ..Default::default() });
    let storage = s3(&server, "");
    for key in ["a/1/x", "a/1/ñ é&<>'+%", "a/1/y", "a/1/z", "a/1/x", "a/11/x", "b/1/x"] {
        let mut upload = storage.upload(SMALL, move |_| key.to_owned());
        upload.write(noise(11 * MIB)).await.unwrap();
        // Dropped, as a crash drops it.
    }
    assert_eq!(server.open_uploads(), 7);
    assert_eq!(storage.abort_unfinished("a/1/").await.unwrap(), 5);
    assert_eq!(server.open_keys(), [format!("{ROOT}a/11/x"), format!("{ROOT}b/1/x")]);
    assert_eq!(storage.abort_unfinished("a/1/").await.unwrap(), 0);
    assert_eq!(storage.abort_unfinished("b/1/x").await.unwrap(), 1);
    assert_eq!(storage.delete_below("a/").await.unwrap(), 0);
    assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0));
}
