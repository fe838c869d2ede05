//! Promise 1 on S3: whatever request fails or hangs, no multipart upload stays open and no object that
//! nobody committed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::tick::tick;
use respaldo_core::{jobs, keys};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
use serde_json::json;

fn app(server: &S3Server) -> TestApp {
    TestApp::on(server.storage(), |limits| limits.memory_budget = 32 << 20)
}

/// A database of four parts.
async fn large(test: &TestApp) -> Database {
    let path = test.folder().join("large.db");
    respaldo_testkit::sqlite::open(&path)
        .execute_batch("CREATE TABLE t (filler BLOB); INSERT INTO t VALUES (randomblob(18000000))")
        .unwrap();
    let fields = json!({"name": "large", "engine": "sqlite", "database_name": path, "compression": "none"});
    test.register(fields).await
}

/// What lies in the bucket beside definitions.
fn objects(server: &S3Server) -> Vec<String> {
    server.keys().into_iter().filter(|key| !key.starts_with("databases/")).collect()
}

fn assert_only(server: &S3Server, job: &Job, shown: &str) {
    let artifact = job.backup().unwrap().artifact.as_ref().unwrap();
    let mut expected: Vec<String> = artifact.volumes.iter().map(|volume| volume.key.clone()).collect();
    expected.push(keys::manifest(job.owner().unwrap().uid, job.id, artifact.attempt));
    expected.sort();
    assert_eq!(objects(server), expected, "{shown}");
    assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0), "{shown}");
    let stored = std::fs::read(server.file(&artifact.volumes[0].key)).unwrap();
    let mut digester = respaldo_core::seal::Digester::new();
    digester.update(&stored);
    assert_eq!(digester.finish().sha256_hex(), artifact.sha256, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_leaves_nothing_and_the_next_attempt_succeeds() {
    let cases = [
        (Operation::CreateUpload, 1, Fault::Status(500)),
        (Operation::UploadPart, 1, Fault::Drop),
        (Operation::UploadPart, 2, Fault::Status(503)),
        (Operation::UploadPart, 3, Fault::LoseResponse),
        (Operation::UploadPart, 2, Fault::CorruptBody),
        (Operation::CompleteUpload, 1, Fault::Status(500)),
        (Operation::CompleteUpload, 1, Fault::OkWithErrorBody),
        (Operation::CompleteUpload, 1, Fault::LoseResponse),
        (Operation::PutObject, 1, Fault::Drop),
        (Operation::PutObject, 1, Fault::LoseResponse),
    ];
    for (operation, n, fault) in cases {
        let shown = format!("{operation:?} {n} {fault:?}");
        let server = S3Server::start();
        let test = app(&server);
        let database = large(&test).await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        server.fail(When::nth(operation, n), fault);
        // A lost answer to the completion is made good by looking at the object.
        let looked = (operation, fault) == (Operation::CompleteUpload, Fault::LoseResponse);
        let expected = if looked { Ran::Ended } else { Ran::Queued };
        assert_eq!(test.run(job.id).await.unwrap(), expected, "{shown}");
        assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0), "{shown}");
        let job = test.run_to_end(job.id).await;
        assert_eq!(job.status, Status::Succeeded, "{shown}: {:?}", job.error);
        test.clock.advance(SignedDuration::from_hours(2));
        tick(&test.app).await.unwrap();
        assert_only(&server, &test.job(job.id).await, &shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cancelled_while_a_request_hangs_leaves_nothing() {
    for (operation, n) in [
        (Operation::CreateUpload, 1),
        (Operation::UploadPart, 1),
        (Operation::UploadPart, 3),
        (Operation::CompleteUpload, 1),
        (Operation::PutObject, 1),
    ] {
        let shown = format!("{operation:?} {n}");
        let server = S3Server::start();
        let test = app(&server);
        let database = large(&test).await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        server.fail(When::nth(operation, n), Fault::Hang);
        let (app, id) = (test.app.clone(), job.id);
        let running = tokio::spawn(async move { backup::run(&app, id, &Worker::new("test")).await });
        let hanging = async {
            while server.hanging() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), hanging).await.expect("a request hangs");
        jobs::cancel(&test.app, job.id).await.unwrap();
        let ran = tokio::time::timeout(Duration::from_secs(30), running).await.expect("the run ends");
        assert_eq!(ran.unwrap().unwrap(), Ran::Ended, "{shown}");
        assert_eq!(test.job(job.id).await.status, Status::Cancelled, "{shown}");
        server.heal();
        test.clock.advance(SignedDuration::from_hours(2));
        tick(&test.app).await.unwrap();
        assert_eq!(objects(&server), Vec::<String>::new(), "{shown}");
        assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0), "{shown}");
    }
}
