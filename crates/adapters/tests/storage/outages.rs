//! Whole backups to a store that is slow, throttles, goes away, or refuses for a reason that it names.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::ErrorKind;
use respaldo_core::backup;
use respaldo_core::databases::{self, Change, Registration};
use respaldo_core::jobs::Ran;
use respaldo_core::model::Status;
use respaldo_core::tick::tick;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
use serde_json::{Value, json};

use super::support::{Installation, s3};

/// Three parts at the tests' budget.
const MEBIBYTES: u64 = 12;

/// Status, code, the error's kind, and what its mend must name.
const REFUSALS: [(u16, &str, ErrorKind, &str); 9] = [
    (400, "ExpiredToken", ErrorKind::Storage, "session token"),
    (400, "InvalidToken", ErrorKind::Storage, "session token"),
    (403, "AccessDenied", ErrorKind::Storage, "permissions"),
    (403, "InvalidAccessKeyId", ErrorKind::Storage, "credentials"),
    (403, "SignatureDoesNotMatch", ErrorKind::Storage, "credentials"),
    (403, "RequestTimeTooSkewed", ErrorKind::Storage, "clock"),
    (404, "NoSuchBucket", ErrorKind::Config, "bucket"),
    (400, "KMS.DisabledException", ErrorKind::Storage, "sse_kms_key_id"),
    (400, "KMS.NotFoundException", ErrorKind::Storage, "sse_kms_key_id"),
];

#[tokio::test]
async fn a_refusal_that_only_a_person_can_mend_fails_at_once_and_says_how() {
    for operation in [Operation::CreateUpload, Operation::UploadPart, Operation::CompleteUpload] {
        for (status, code, kind, mend) in REFUSALS {
            let what = format!("{code} at {operation:?}");
            let server = S3Server::start();
            let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
            let test = &installation.test;
            let job = backup::request(&test.app, installation.database.id, None).await.unwrap();
            server.fail(When::every(operation), Fault::Code(status, code));
            assert_eq!(test.run(job.id).await.unwrap(), Ran::Ended, "{what}");
            let ended = test.job(job.id).await;
            assert_eq!(ended.status, Status::Failed, "{what}");
            let error = ended.error.as_ref().unwrap();
            assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{what}: {error}");
            assert!(error.message().contains(code) && !error.message().contains('\n'), "{what}: {error}");
            assert!(error.mend().is_some_and(|told| told.contains(mend)), "{what}: {:?}", error.mend());
            installation.settle().await;
            installation.assert_promises(&server).await;
        }
    }
}

fn registration() -> Registration {
    let fields = json!({"name": "a", "engine": "mysql", "host": "db", "database_name": "a"});
    let Value::Object(fields) = fields else { unreachable!("it is an object") };
    Registration {
        fields,
        uid: Some("01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()),
        ..Registration::default()
    }
}

#[tokio::test]
async fn where_the_bucket_is_not_there_nothing_is_registered_and_later_it_is_once() {
    let server = S3Server::start();
    let mut test = TestApp::new();
    test.app.storage = s3(&server, "");
    server.fail(When::always(), Fault::Code(404, "NoSuchBucket"));
    for _twice in 0..2 {
        let error = databases::register(&test.app, registration()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.mend().unwrap().contains("make the bucket"), "{error}");
        assert_eq!(databases::list(&test.app, None, 9).await.unwrap(), []);
    }
    server.heal();
    let database = databases::register(&test.app, registration()).await.unwrap();
    assert_eq!(databases::list(&test.app, None, 9).await.unwrap(), [database]);
    assert_eq!(server.keys().len(), 1, "its definition");
}

#[tokio::test]
async fn what_a_store_refuses_to_keep_of_a_database_is_written_by_a_later_tick() {
    let server = S3Server::start();
    let mut test = TestApp::new();
    test.app.storage = s3(&server, "");
    let changed = databases::register(&test.app, registration()).await.unwrap();
    let id = changed.id;
    for (status, code) in [(403, "AccessDenied"), (400, "ExpiredToken"), (404, "NoSuchBucket")] {
        server.fail(When::always(), Fault::Code(status, code));
        // A change is made in the catalog, whatever storage says.
        let Value::Object(fields) = json!({"name": code}) else { unreachable!("it is an object") };
        let change = Change { fields, ..Change::default() };
        let changed = databases::change(&test.app, id, change).await.unwrap();
        assert_eq!((&*changed.settings.name, changed.definition_stale), (code, true));
        server.heal();
        test.clock.advance(SignedDuration::from_mins(2));
        assert_eq!(tick(&test.app).await.unwrap().defined, 1, "{code}");
        assert!(fs::read_to_string(server.file(&server.keys()[0])).unwrap().contains(code));
    }
}

#[tokio::test]
async fn a_store_that_throttles_every_other_request_gets_a_whole_backup() {
    for status in [429, 503] {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
        let asked = AtomicUsize::new(0);
        let every_other = move |_: &_| asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        server.fail(When::matching(every_other), Fault::Code(status, "SlowDown"));
        let job = installation.test.back_up(&installation.database).await;
        assert_eq!(job.status, Status::Succeeded, "{status}: {:?}", job.error);
        assert_eq!(job.backup().unwrap().artifact.as_ref().unwrap().attempt, 1, "{status}: no second dump");
        server.heal();
        installation.assert_promises(&server).await;
    }
}

#[tokio::test]
async fn a_store_that_throttles_all_the_time_is_told_of_and_tried_again() {
    for status in [429, 503] {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
        let test = &installation.test;
        let job = backup::request(&test.app, installation.database.id, None).await.unwrap();
        server.fail(When::every(Operation::UploadPart), Fault::Code(status, "SlowDown"));
        assert_eq!(test.run(job.id).await.unwrap(), Ran::Queued, "{status}");
        let error = test.job(job.id).await.error.unwrap();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(error.message().contains("SlowDown"), "{error}");
        server.heal();
        installation.settle().await;
        assert_eq!(test.job(job.id).await.status, Status::Succeeded);
        installation.assert_promises(&server).await;
    }
}

/// All connections fail, also those by which the attempt would give up; later they do not.
#[tokio::test]
async fn a_store_that_is_gone_for_a_while_gets_its_backup_when_it_is_back() {
    for passing in [0, 1, 2, 3, 4] {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
        let test = &installation.test;
        let job = backup::request(&test.app, installation.database.id, None).await.unwrap();
        server.fail(When::always().after(passing), Fault::Drop);
        test.run(job.id).await.unwrap();
        let waiting = test.job(job.id).await;
        assert!(!waiting.status.is_terminal(), "{passing}: {:?}", waiting.error);
        server.heal();
        installation.settle().await;
        let ended = test.job(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "{passing}: {:?}", ended.error);
        installation.assert_promises(&server).await;
    }
}

#[tokio::test]
async fn a_slow_store_gets_a_whole_backup_at_the_first_attempt() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    server.fail(When::always(), Fault::Slow(Duration::from_millis(100)));
    let job = installation.test.back_up(&installation.database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(job.backup().unwrap().artifact.as_ref().unwrap().attempt, 1);
    installation.assert_promises(&server).await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_a_part_costs_that_part_alone() {
    for n in 1..=3 {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
        server.fail(When::nth(Operation::UploadPart, n), Fault::CutBody);
        let job = installation.test.back_up(&installation.database).await;
        assert_eq!(job.status, Status::Succeeded, "{n}: {:?}", job.error);
        assert_eq!(job.backup().unwrap().artifact.as_ref().unwrap().attempt, 1, "{n}");
        installation.assert_promises(&server).await;
    }
}

/// What the store answers is no proof; what it checked before it stored the part is.
#[tokio::test]
async fn a_checksum_that_the_store_answers_wrongly_leaves_a_whole_backup() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    server.fail(When::every(Operation::UploadPart), Fault::LieAboutChecksum);
    let job = installation.test.back_up(&installation.database).await;
    assert_eq!(server.count(Operation::UploadPart), 3);
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    server.heal();
    installation.settle().await;
    installation.assert_promises(&server).await;
}
