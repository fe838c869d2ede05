//! Whole backups to S3, and each request that they make failed in every way.

use respaldo_core::model::Status;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};

use super::support::{IMPATIENT, Installation, MIB, PATIENT, USUAL, s3, s3_tuned};

const FAULTS: [Fault; 8] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::Status(403),
    Fault::Drop,
    Fault::Hang,
    Fault::OkWithErrorBody,
    Fault::LoseResponse,
    Fault::CorruptBody,
];

/// What a backup of several parts asks of a store that obeys.
const ASKED: [Operation; 6] = [
    Operation::CreateUpload,
    Operation::UploadPart,
    Operation::CompleteUpload,
    Operation::HeadObject,
    Operation::ListUploads,
    Operation::PutObject,
];

/// Three parts at this budget.
const MEBIBYTES: u64 = 12;

fn tuning_for(fault: Fault) -> respaldo_adapters::storage::Tuning {
    if fault == Fault::Hang { IMPATIENT } else { PATIENT }
}

#[tokio::test]
async fn databases_are_backed_up_to_s3() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), 60, |limits| limits.memory_budget = USUAL).await;
    let test = &installation.test;
    let job = test.back_up(&installation.database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert!(job.backup().unwrap().artifact.as_ref().unwrap().size_bytes > 60 * MIB as u64);
    assert!(server.count(Operation::UploadPart) >= 8);
    installation.assert_promises(&server).await;
    respaldo_core::backup::delete(&test.app, job.id).await.unwrap();
    installation.assert_promises(&server).await;

    let server = S3Server::start();
    let sample = TestApp::on(s3(&server, ""), |_| {});
    let database = sample.register_sample().await;
    let job = sample.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(server.keys().len(), 3, "definition, artifact, manifest");
}

#[tokio::test]
async fn a_backup_of_several_volumes_is_one_backup() {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, "&max_parts=2"), 27, |_| {}).await;
    let job = installation.test.back_up(&installation.database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(job.backup().unwrap().artifact.as_ref().unwrap().volumes.len(), 3);
    installation.assert_promises(&server).await;
}

/// How often each operation is asked for by a backup to which nothing happens.
async fn undisturbed() -> Vec<(Operation, usize)> {
    let server = S3Server::start();
    let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
    let before: Vec<usize> = ASKED.iter().map(|operation| server.count(*operation)).collect();
    installation.test.back_up(&installation.database).await;
    let asked: Vec<_> =
        ASKED.iter().zip(before).map(|(asked, before)| (*asked, server.count(*asked) - before)).collect();
    assert!(asked.iter().all(|(_, times)| *times > 0), "{asked:?}");
    asked
}

async fn one_fault(fault: Fault, operation: Operation, n: usize) {
    let what = format!("{fault:?} at {operation:?} {n}");
    let server = S3Server::start();
    let installation = Installation::on(s3_tuned(&server, "", tuning_for(fault)), MEBIBYTES, |_| {}).await;
    let test = &installation.test;
    let job = respaldo_core::backup::request(&test.app, installation.database.id, None).await.unwrap();
    server.fail(When::nth(operation, n), fault);
    test.run(job.id).await.unwrap();
    let record = test.job(job.id).await;
    if record.status == Status::Succeeded {
        installation.assert_readable(&record).await;
    }
    server.heal();
    installation.settle().await;
    let ended = test.job(job.id).await;
    let refused = fault == Fault::Status(403) && operation != Operation::ListUploads;
    let expected = if refused { Status::Failed } else { Status::Succeeded };
    assert_eq!(ended.status, expected, "{what}: {:?}", ended.error);
    installation.assert_promises(&server).await;
}

async fn at_every_request(fault: Fault) {
    for (operation, times) in undisturbed().await {
        for n in 1..=times {
            Box::pin(one_fault(fault, operation, n)).await;
        }
    }
}

#[tokio::test]
async fn a_server_error_at_any_request_ends_in_a_whole_backup() {
    at_every_request(Fault::Status(500)).await;
    at_every_request(Fault::Status(503)).await;
}

#[tokio::test]
async fn a_refusal_at_any_request_ends_in_a_failed_backup_that_leaves_nothing() {
    at_every_request(Fault::Status(403)).await;
}

#[tokio::test]
async fn a_dropped_connection_at_any_request_ends_in_a_whole_backup() {
    at_every_request(Fault::Drop).await;
}

#[tokio::test]
async fn a_request_that_hangs_ends_in_a_whole_backup() {
    at_every_request(Fault::Hang).await;
}

#[tokio::test]
async fn an_error_that_says_200_at_any_request_ends_in_a_whole_backup() {
    at_every_request(Fault::OkWithErrorBody).await;
}

#[tokio::test]
async fn a_lost_answer_at_any_request_ends_in_a_whole_backup() {
    at_every_request(Fault::LoseResponse).await;
}

#[tokio::test]
async fn damage_on_the_way_at_any_request_ends_in_a_whole_backup() {
    at_every_request(Fault::CorruptBody).await;
}

/// A store that goes on failing: the backup fails, and what it left goes when the store is back, even
/// when giving up fails too.
#[tokio::test]
async fn a_store_that_stays_broken_leaves_nothing_once_it_is_mended() {
    for fault in FAULTS.into_iter().filter(|fault| *fault != Fault::Hang) {
        for operation in [Operation::UploadPart, Operation::CompleteUpload, Operation::PutObject] {
            let what = format!("{fault:?} at every {operation:?}");
            let server = S3Server::start();
            let installation = Installation::on(s3(&server, ""), MEBIBYTES, |_| {}).await;
            let test = &installation.test;
            server.fail(When::every(operation), fault);
            for giving_up in [Operation::AbortUpload, Operation::DeleteObject, Operation::ListUploads] {
                server.fail(When::every(giving_up), Fault::Status(500));
            }
            let job =
                respaldo_core::backup::request(&test.app, installation.database.id, None).await.unwrap();
            let ended = test.run_to_end(job.id).await;
            if ended.status == Status::Succeeded {
                installation.assert_readable(&ended).await;
            }
            server.heal();
            installation.settle().await;
            assert!(test.job(job.id).await.status.is_terminal(), "{what}");
            installation.assert_promises(&server).await;
        }
    }
}
