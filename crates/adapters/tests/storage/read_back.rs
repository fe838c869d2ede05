//! Stores that confirm no checksum.

use respaldo_core::ErrorKind;
use respaldo_core::model::Status;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};

use super::support::{Installation, MIB, SMALL, further, noise, s3, upload};

#[tokio::test]
async fn a_part_that_was_damaged_on_its_way_is_found_out_without_any_checksum() {
    for operation in [Operation::UploadPart, Operation::PutObject] {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, "&confirm=read_back"), 12, |_| {}).await;
        let test = &installation.test;
        let job = respaldo_core::backup::request(&test.app, installation.database.id, None).await.unwrap();
        server.fail(When::nth(operation, 1), Fault::CorruptBody);
        test.run(job.id).await.unwrap();
        let error = test.job(job.id).await.error.expect("it failed");
        assert_eq!(
            (error.kind(), error.is_retryable()),
            (ErrorKind::Corrupt, true),
            "{operation:?}: {error}"
        );
        server.heal();
        installation.settle().await;
        assert_eq!(test.job(job.id).await.status, Status::Succeeded, "{operation:?}");
        installation.assert_promises(&server).await;
    }
}

#[tokio::test]
async fn a_store_of_s3s_kind_is_sent_no_checksum_when_it_is_read_back() {
    for (parameter, expected) in [("", true), ("&confirm=checksums", true), ("&confirm=read_back", false)] {
        let server = S3Server::start();
        let storage = s3(&server, parameter);
        storage.put("databases/a.json", "{}").await.unwrap();
        upload(&storage, "a/", &noise(11 * MIB), SMALL).await.unwrap();
        let writes = server.requests().into_iter();
        let writes: Vec<_> = writes
            .filter(|seen| matches!(seen.operation, Operation::PutObject | Operation::UploadPart))
            .collect();
        assert!(writes.len() > 3);
        assert!(writes.iter().all(|seen| seen.checksums.is_empty() != expected), "{parameter}: {writes:?}");
    }
}

/// Whole backups on the stores that the environment names.
#[tokio::test]
async fn databases_are_backed_up_to_further_stores() {
    for (name, storage) in further() {
        let installation = Installation::on(storage, 27, |_| {}).await;
        let test = &installation.test;
        let job = test.back_up(&installation.database).await;
        assert_eq!(job.status, Status::Succeeded, "{name}: {:?}", job.error);
        assert_eq!(job.backup().unwrap().artifact.as_ref().unwrap().volumes.len(), 3, "{name}");
        let mut expected = installation.assert_readable(&job).await;
        expected.sort();
        let mut stored = test.app.storage.list("backups/").await.unwrap();
        stored.sort();
        assert_eq!(stored, expected, "{name}");
        respaldo_core::backup::delete(&test.app, job.id).await.unwrap();
        assert!(test.app.storage.list("backups/").await.unwrap().is_empty(), "{name}");
    }
}
