//! Backups whose host ends them while S3 is being asked: what it does after all is nobody's, and swept.

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Job, Status};
use respaldo_core::tick::tick;
use respaldo_core::{backup, jobs};
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
use tokio::time::Instant;

use super::support::{Installation, s3};

/// Four parts at this budget.
const MEBIBYTES: u64 = 18;

async fn run(installation: &Installation, worker: &Worker) -> (Job, Ran) {
    let test = &installation.test;
    let job = backup::request(&test.app, installation.database.id, None).await.unwrap();
    let ran = Box::pin(jobs::run(&test.app, job.id, worker)).await.expect("the outcome is recorded");
    (test.job(job.id).await, ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_deadline_cuts_a_backup_off_s3_keeps_no_part_of_it() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    let mut handed_over = 0;
    for works_for in [100, 200, 300, 400, 600, 900, 1_500] {
        server.fail(When::every(Operation::UploadPart), Fault::Slow(Duration::from_millis(150)));
        let margin = Duration::from_millis(600);
        let deadline = Instant::now() + Duration::from_millis(works_for) + margin;
        let (job, ran) = run(&installation, &Worker::new("hasty").with_margin(deadline, margin)).await;
        match ran {
            Ran::Ended => assert_eq!(job.status, Status::Succeeded, "{works_for} ms: {:?}", job.error),
            Ran::HandedOver => assert!(job.needs_long_runner() && job.lease.is_none(), "{job:#?}"),
            _ => panic!("{works_for} ms: {ran:?} {job:#?}"),
        }
        handed_over += u32::from(ran == Ran::HandedOver);
        server.heal();
        installation.settle().await;
        assert_eq!(installation.test.job(job.id).await.status, Status::Succeeded);
        installation.assert_promises(&server).await;
    }
    assert!(handed_over > 0, "none was cut off");
}

/// A backup whose host goes while S3 is asked to begin an upload, which it does when nobody waits for it.
async fn begun_too_late(installation: &Installation, server: &S3Server) -> Job {
    server.fail(When::nth(Operation::CreateUpload, 1), Fault::Slow(Duration::from_secs(3)));
    let worker = Worker::new("hasty");
    let ((job, ran), ()) = tokio::join!(run(installation, &worker), async {
        while server.hanging() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        worker.stop();
    });
    assert_eq!((ran, server.open_uploads()), (Ran::Queued, 0), "not yet");
    while server.open_uploads() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_store_begins_after_all_is_aborted_by_the_next_attempt() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    let left = begun_too_late(&installation, &server).await;
    assert_eq!((left.status, left.lease), (Status::Queued, None));
    assert_eq!(installation.test.run_to_end(left.id).await.status, Status::Succeeded);
    installation.assert_promises(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_store_begins_after_all_is_aborted_though_nobody_tries_again() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    let left = begun_too_late(&installation, &server).await;
    let test = &installation.test;
    jobs::cancel(&test.app, left.id).await.unwrap();
    // One tells its end, one looks, and one looks again.
    for _ in 0..3 {
        test.clock.advance(SignedDuration::from_hours(2));
        Box::pin(tick(&test.app)).await.unwrap();
    }
    installation.assert_promises(&server).await;
    assert!(test.job(left.id).await.attempts.litter.is_empty());
}
