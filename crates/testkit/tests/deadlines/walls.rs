//! What becomes of jobs that do not end before their host's deadline.

use std::time::Duration;

use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, JobId, Ownership, Status};
use respaldo_core::restore::{self, Request};
use respaldo_core::{ErrorKind, backup, package};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::Call;
use respaldo_testkit::s3::{Fault, Operation, S3Server, When};
use serde_json::json;

use crate::support::{assert_handed_over, ends_in, listened_to, log_of, run, soon};

/// A database whose artifact has four parts.
async fn large(test: &TestApp) -> Database {
    let path = test.folder().join("large.db");
    respaldo_testkit::sqlite::open(&path)
        .execute_batch("CREATE TABLE t (filler BLOB); INSERT INTO t VALUES (randomblob(18000000))")
        .unwrap();
    let fields = json!({"name": "large", "engine": "sqlite", "database_name": path, "compression": "none"});
    test.register(fields).await
}

fn on_s3(server: &S3Server) -> TestApp {
    TestApp::on(server.storage(), |limits| limits.memory_budget = 32 << 20)
}

/// That a run has either succeeded or handed its job over: nothing in between, and nobody's.
fn assert_whole(job: &Job, ran: Ran, deadline: u32) {
    match ran {
        Ran::Ended => assert_eq!(job.status, Status::Succeeded, "{deadline}: {:?}", job.error),
        Ran::HandedOver => assert_handed_over(job),
        _ => panic!("{deadline}: {ran:?} {job:#?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_deadline_no_job_is_left_running_and_it_ends_on_a_worker_without_one() {
    for test in [TestApp::new(), TestApp::in_memory()] {
        let database = test.register_sample().await;
        for deadline in 1..=45 {
            let job = backup::request(&test.app, database.id, None).await.unwrap();
            let ran = run(&test, job.id, &ends_in(deadline)).await;
            assert_whole(&test.job(job.id).await, ran, deadline);
            assert!(deadline > 40 || ran == Ran::HandedOver, "{deadline}: {ran:?}");
            assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
        }
        test.assert_promises().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_is_aborted_before_the_job_is_handed_over() {
    let server = S3Server::start();
    let (test, rings) = listened_to(on_s3(&server));
    let database = large(&test).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    server.fail(When::nth(Operation::UploadPart, 2), Fault::Hang);
    assert_eq!(run(&test, job.id, &soon()).await, Ran::HandedOver);
    assert!(server.count(Operation::CreateUpload) > 0, "it had begun");
    assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0));
    let left = test.job(job.id).await;
    assert_handed_over(&left);
    assert_eq!((left.attempts.current, left.attempts.litter.len()), (1, 1), "a part may yet arrive");
    assert_eq!(rings.all().last(), Some(&(job.id, true)));
    let log = log_of(&test, job.id).await;
    assert!(log.contains("the time of this host is up"), "{log}");
    server.heal();
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_let_go_holds_no_job_past_the_deadline() {
    let server = S3Server::start();
    let test = on_s3(&server);
    let database = large(&test).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    for operation in [Operation::UploadPart, Operation::AbortUpload] {
        server.fail(When::every(operation), Fault::Hang);
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(run(&test, job.id, &ends_in(50)).await, Ran::HandedOver);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let left = test.job(job.id).await;
    assert_handed_over(&left);
    assert_eq!(left.attempts.litter.len(), 1, "the next attempt sweeps it");
    server.heal();
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_database_that_insists_on_its_function_fails_at_the_wall_and_says_what_to_set() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "sample", "engine": "sqlite", "database_name": path, "runner": "lambda"});
    let database = test.register(fields).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    test.faults.freeze_call(Call::Write);
    assert_eq!(run(&test, job.id, &soon()).await, Ran::Ended);
    test.faults.thaw();
    let failed = test.job(job.id).await;
    assert_eq!(failed.status, Status::Failed);
    let error = failed.error.unwrap();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, false));
    assert!(error.mend().unwrap().contains("runner: fargate"), "{error}");
    test.assert_promises().await;
}

#[tokio::test]
async fn a_package_that_does_not_end_in_time_is_handed_over() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    test.back_up(&database).await;
    let asked = package::Request { databases: Some(vec![database.id]), ..package::Request::default() };
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let job = package::request(&test.app, &asked, id).await.unwrap();
    test.faults.freeze_call(Call::Write);
    assert_eq!(run(&test, job.id, &soon()).await, Ran::HandedOver);
    test.faults.thaw();
    assert_handed_over(&test.job(job.id).await);
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    test.assert_promises().await;
}

/// A restore whose safety backup comes to the wall: both are handed over, and neither is left to nobody.
async fn stopped_while_saving(stop: impl Fn(&Worker), expected: Ran) {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let backup = test.back_up(&database).await;
    let wanted = Request {
        backup: backup.id,
        target: None,
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    };
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let job = Box::pin(restore::request(&test.app, &wanted, id)).await.unwrap();
    test.faults.freeze_call(Call::Write);
    let worker = soon();
    let (ran, ()) = tokio::join!(run(&test, job.id, &worker), async {
        while test.faults.frozen() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        stop(&worker);
    });
    test.faults.thaw();
    assert_eq!(ran, expected);
    let safety = job.restoration().unwrap().safety_backup.unwrap();
    for id in [job.id, safety] {
        let left = test.job(id).await;
        assert_eq!((left.status, left.attempts.failures), (Status::Queued, 0), "{:?}", left.error);
        assert!(left.lease.is_none());
        assert_eq!(left.long, expected == Ran::HandedOver);
    }
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    assert_eq!(test.job(safety).await.status, Status::Succeeded);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_restore_is_handed_over_with_the_safety_backup_that_it_was_making() {
    stopped_while_saving(|_| {}, Ran::HandedOver).await;
}

#[tokio::test]
async fn a_restore_is_put_back_with_the_safety_backup_that_it_was_making() {
    stopped_while_saving(Worker::stop, Ran::Queued).await;
}

#[tokio::test]
async fn a_restore_that_does_not_end_in_time_leaves_its_target_alone() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let path = std::path::PathBuf::from(&database.settings.database_name);
    let backup = test.back_up(&database).await;
    let healthy = respaldo_testkit::sqlite::dump(&path);
    respaldo_testkit::sqlite::open(&path).execute_batch("CREATE TABLE written_since (a)").unwrap();
    let before = respaldo_testkit::sqlite::dump(&path);
    let wanted = Request {
        backup: backup.id,
        target: None,
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    };
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let job = Box::pin(restore::request(&test.app, &wanted, id)).await.unwrap();
    test.faults.freeze_call(Call::ReadNext);
    assert_eq!(run(&test, job.id, &soon()).await, Ran::HandedOver);
    test.faults.thaw();
    assert_handed_over(&test.job(job.id).await);
    assert_eq!(respaldo_testkit::sqlite::dump(&path), before);
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    assert_eq!(respaldo_testkit::sqlite::dump(&path), healthy);
    test.assert_promises().await;
}
