//! Senders that go away, stand still or are slow; jobs that are cancelled; places that are taken.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use jiff::SignedDuration;
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::upload::{self, Request};
use respaldo_core::{Error, ErrorKind, Result, jobs};
use respaldo_testkit::app::{LEASE, TestApp};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::{PLAIN, packed, request, send, unasked};

/// An upload that is under way, fed by hand.
struct Sending {
    sender: mpsc::Sender<Result<Bytes>>,
    task: JoinHandle<Result<upload::Received>>,
}

impl Sending {
    fn begin(test: &TestApp, request: Request) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let app = test.app.clone();
        let body =
            stream::unfold(pieces, async |mut pieces| pieces.recv().await.map(|piece| (piece, pieces)));
        let task = tokio::spawn(async move { upload::receive(&app, request, body).await });
        Self { sender, task }
    }

    async fn piece(&self, bytes: &'static [u8]) {
        self.sender.send(Ok(Bytes::from_static(bytes))).await.expect("somebody receives");
    }
}

/// Waits for the record of the upload.
async fn running(test: &TestApp) -> Job {
    loop {
        if let Some(job) = test.jobs().await.into_iter().find(|job| job.status == Status::Running) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ended(test: &TestApp, job: &Job) -> Job {
    loop {
        let job = test.job(job.id).await;
        if job.status.is_terminal() {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// More than is looked at before there is a record.
fn long_beginning() -> &'static [u8] {
    static BEGINNING: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BEGINNING.get_or_init(|| format!("SELECT 1;\n{}", "-- on and on\n".repeat(40_000)).into_bytes())
}

async fn half_way(test: &TestApp) -> (Database, Sending, Job) {
    let database = unasked(test, "postgres").await;
    let sending = Sending::begin(test, request(&database));
    sending.piece(long_beginning()).await;
    let job = running(test).await;
    (database, sending, job)
}

#[tokio::test]
async fn a_sender_that_goes_away_half_way_leaves_a_failed_record_and_nothing_else() {
    let test = TestApp::new();
    let (_, sending, job) = half_way(&test).await;
    // As when the connection breaks: whoever handles the request is dropped with it.
    sending.task.abort();
    let ended = ended(&test, &job).await;
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.error.unwrap().message().contains("broke off"));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_body_that_breaks_or_is_shorter_than_announced_is_refused_and_leaves_nothing() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    let broken = [Ok(Bytes::from_static(PLAIN)), Err(Error::invalid("file", "the connection broke"))];
    let error =
        Box::pin(upload::receive(&test.app, request(&database), stream::iter(broken))).await.unwrap_err();
    assert_eq!(error.message(), "the connection broke");
    let announced = Request { length: Some(PLAIN.len() as u64 + 1), ..request(&database) };
    let body = stream::iter([Ok(Bytes::from_static(PLAIN))]);
    let error = Box::pin(upload::receive(&test.app, announced, body)).await.unwrap_err();
    assert!(error.message().contains("broke off"), "{error}");
    assert!(test.jobs().await.iter().all(|job| job.status == Status::Failed));
    test.assert_promises().await;
}

#[tokio::test]
async fn an_upload_that_stands_still_is_cut_and_one_that_is_slow_is_not() {
    let test = TestApp::with(|limits| limits.stall = SignedDuration::from_millis(600));
    let (database, sending, _) = half_way(&test).await;
    let error = sending.task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.mend().unwrap().contains("send the file again"), "{error}");
    // Before its beginning has come there is no record, and it is cut all the same.
    let silent = Sending::begin(&test, request(&database));
    silent.piece(b"--").await;
    assert_eq!(silent.task.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);

    let file = packed(&["zstd", "-q"], PLAIN);
    let pieces: Vec<Bytes> = file.chunks(file.len() / 6 + 1).map(Bytes::copy_from_slice).collect();
    let slow = stream::iter(pieces).then(async |piece| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(piece)
    });
    Box::pin(upload::receive(&test.app, request(&database), slow)).await.unwrap();
    test.assert_promises().await;
}

#[tokio::test]
async fn an_upload_is_cancelled_like_any_job() {
    let test = TestApp::new();
    let (_, sending, job) = half_way(&test).await;
    jobs::cancel(&test.app, job.id).await.unwrap();
    let error = sending.task.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(test.job(job.id).await.status, Status::Cancelled);
    test.assert_promises().await;
}

#[tokio::test]
async fn when_all_places_are_taken_the_next_upload_is_sent_away_and_told_to_come_again() {
    let test = TestApp::with(|limits| limits.max_parallel_jobs = 1);
    let (database, sending, job) = half_way(&test).await;
    let error = send(&test, &database, PLAIN).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
    drop(sending.sender);
    sending.task.await.unwrap().unwrap();
    assert_eq!(test.job(job.id).await.status, Status::Succeeded);
    send(&test, &database, PLAIN).await.unwrap();
    test.assert_promises().await;
}

#[tokio::test]
async fn an_upload_whose_receiver_counts_as_dead_is_ended_and_its_database_is_not_dumped_instead() {
    let test = TestApp::new();
    let (_, sending, job) = half_way(&test).await;
    let (other, _) = test.another_process();
    // The receiver is stopped where it is.
    test.faults.reset();
    test.faults.freeze_at(1);
    test.clock.advance(LEASE + LEASE);
    respaldo_core::tick::tick(&other).await.unwrap();
    jobs::run(&other, job.id, &respaldo_core::jobs::Worker::new("another")).await.unwrap();
    let ended = test.job(job.id).await;
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.error.unwrap().message().contains("broke off"));
    test.faults.thaw();
    drop(sending.sender);
    let _told = sending.task.await.unwrap().unwrap_err();
    // Whatever the receiver wrote since is swept, at once and an hour later.
    test.clock.advance(SignedDuration::from_hours(2));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_schedule_does_not_wait_for_an_upload() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = serde_json::json!({
        "name": "sample", "engine": "sqlite", "database_name": path, "schedule": "* * * * *",
    });
    let database = test.register(fields).await;
    let file: &'static [u8] = std::fs::read(&path).unwrap().leak();
    let sending = Sending::begin(&test, request(&database));
    sending.piece(&file[..file.len() - 1]).await;
    let job = running(&test).await;
    test.clock.advance(SignedDuration::from_secs(61));
    respaldo_core::tick::tick(&test.app).await.unwrap();
    let scheduled = test.jobs().await.into_iter().filter(|other| other.id != job.id);
    let waits: Vec<Status> =
        scheduled.map(|job| job.status).filter(|status| *status == Status::Queued).collect();
    assert_eq!(waits, [Status::Queued]);
    sending.task.abort();
}
