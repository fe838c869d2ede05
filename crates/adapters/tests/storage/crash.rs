//! A process that dies in the middle of an upload in parts leaves one that nobody knows.

use std::time::Duration;

use respaldo_core::backup;
use respaldo_core::jobs::Worker;
use respaldo_core::model::{Job, Status};
use respaldo_core::ports::Event;
use respaldo_testkit::host::eventually;
use respaldo_testkit::s3::{Fault, Operation, S3Server, UploadListing, When};

use super::support::{Installation, s3};

/// Runs a backup in a process of its own, as far as a test can, and ends it without a word when the
/// `n`th part is on its way. (Idle connections belong to the runtime that opened them, so the test's own
/// must go on turning meanwhile: hence its threads.)
async fn crash_at_part(n: usize, installation: &Installation, server: &S3Server) -> Job {
    let app = installation.test.app.clone();
    let job = backup::request(&app, installation.database.id, None).await.unwrap();
    server.fail(When::nth(Operation::UploadPart, n), Fault::Hang);
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let id = job.id;
    process.spawn(async move { backup::run(&app, id, &Worker::new("doomed")).await });
    eventually("the part is on its way", Duration::from_mins(1), || server.hanging() == 1);
    std::thread::spawn(move || process.shutdown_timeout(Duration::from_secs(10))).join().unwrap();
    server.heal();
    eventually("the request is let go", Duration::from_secs(10), || server.hanging() == 0);
    assert_eq!(server.open_uploads(), 1);
    assert!(server.leftover_parts() > 0);
    installation.test.job(job.id).await
}

fn refusals(installation: &Installation) -> Vec<respaldo_core::Error> {
    let events = installation.test.events.all();
    let refused = events.into_iter().filter_map(|event| match event {
        Event::StorageRefused(error) => Some(error),
        _ => None,
    });
    refused.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_an_upload_leaves_nothing_after_the_next_tick() {
    let one_a_page = UploadListing { page: 1, ..UploadListing::default() };
    let exact = UploadListing { exact_key: true, ..UploadListing::default() };
    // Two parts make a volume: the fourth is in the second one, the sixth in the third.
    for (listing, part) in [(UploadListing::default(), 4), (one_a_page, 2), (exact, 2), (exact, 6)] {
        let server = S3Server::start();
        server.list_uploads(listing);
        let installation = Installation::on(s3(&server, "&max_parts=2"), 27, |_| {}).await;
        let job = crash_at_part(part, &installation, &server).await;
        assert_eq!(job.status, Status::Running, "nobody has said otherwise");
        installation.settle().await;
        let ended = installation.test.job(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
        assert_eq!(ended.backup().unwrap().artifact.as_ref().unwrap().attempt, 2);
        installation.assert_promises(&server).await;
        assert!(refusals(&installation).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_job_that_is_cancelled_then_leaves_nothing_either() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), 32, |_| {}).await;
    let job = crash_at_part(2, &installation, &server).await;
    respaldo_core::jobs::cancel(&installation.test.app, job.id).await.unwrap();
    installation.settle().await;
    assert_eq!(installation.test.job(job.id).await.status, Status::Cancelled);
    installation.assert_promises(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_to_list_uploads_is_told_of_once_and_holds_nothing_up() {
    for status in [403, 501] {
        let server = S3Server::start();
        let installation = Installation::on(s3(&server, ""), 32, |_| {}).await;
        let job = crash_at_part(2, &installation, &server).await;
        server.fail(When::every(Operation::ListUploads), Fault::Status(status));
        installation.settle().await;
        installation.test.back_up(&installation.database).await;
        let ended = installation.test.job(job.id).await;
        assert_eq!(ended.status, Status::Succeeded, "{status}: {:?}", ended.error);
        let refusals = refusals(&installation);
        assert_eq!(refusals.len(), 1, "{status}: {refusals:?}");
        assert!(refusals[0].message().contains(&status.to_string()), "{}", refusals[0]);
        let mend = refusals[0].mend().unwrap();
        assert!(mend.contains("s3:ListBucketMultipartUploads") && mend.contains("lifecycle"), "{mend}");
        // All else went on: the objects are exactly those of two backups.
        assert_eq!(server.keys().len(), 5, "{:?}", server.keys());
        assert_eq!(server.open_uploads(), 1, "that is what the mend is for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refusal_is_told_of_before_anything_was_left_behind() {
    let server = S3Server::start();
    server.fail(When::every(Operation::ListUploads), Fault::Status(403));
    let installation = Installation::on(s3(&server, ""), 12, |_| {}).await;
    for _ in 0..2 {
        let job = installation.test.back_up(&installation.database).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    }
    assert_eq!(refusals(&installation).len(), 1);
    installation.assert_promises(&server).await;
}
