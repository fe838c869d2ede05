//! `respaldo worker`, the real one, on a catalog that somebody else queues jobs in.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use respaldo_core::backup;
use respaldo_core::jobs::Worker;
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::command;
use respaldo_testkit::respaldo::failure;
use serde_json::json;
use tokio::time::{Instant, sleep};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const PATIENCE: Duration = Duration::from_mins(1);

/// An installation with a key that a process of its own takes: the tests' is none that anybody would make.
fn installation() -> TestApp {
    let mut test = TestApp::new();
    test.app.key = Arc::new(MasterKey::generate(std::array::from_fn(|n| u8::try_from(n * 7).unwrap())));
    test
}

/// The command that starts a worker on a test's catalog and storage.
fn worker(test: &TestApp, arguments: &[&str]) -> Command {
    let folder = test.folder().display();
    let config = format!("server: {{sqlite_roots: [\"{folder}\"], lease_seconds: 5}}\n");
    fs::write(test.folder().join("config.yaml"), config).unwrap();
    let mut command = command(BINARY);
    command.current_dir(test.folder()).args(["worker", "--config", "config.yaml"]);
    command.arg("--catalog").arg(format!("sqlite://{folder}/catalog.db"));
    command.arg("--storage").arg(format!("file://{folder}/backups"));
    command.args(arguments).env("RESPALDO_MASTER_KEY", test.app.key.to_base64().as_str());
    command
}

/// A worker that is ended with the test.
struct Running {
    process: Child,
    log: std::path::PathBuf,
}

impl Running {
    fn start(mut command: Command, folder: &Path) -> Self {
        let log = folder.join("worker.log");
        let file = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        Self { process: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has ended; answers whether well.
    async fn ended(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.success();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end: {}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn ask_to_end(&self) {
        let pid = self.process.id().to_string();
        assert!(command("kill").arg(pid).status().unwrap().success());
    }

    /// Asks it to end; answers whether it ended well.
    async fn terminate(&mut self) -> bool {
        self.ask_to_end();
        self.ended().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn until(test: &TestApp, id: JobId, status: Status, worker: &Running) -> Job {
    let begun = Instant::now();
    loop {
        let job = test.job(id).await;
        if job.status == status {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?} {:?}\n{}", job.status, job.error, worker.log());
        sleep(Duration::from_millis(20)).await;
    }
}

/// A job that waits for a host without a deadline.
async fn handed_over(test: &TestApp, database: &Database) -> Job {
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let hasty = Worker::new("hasty").with_deadline(Instant::now() + Duration::from_secs(1));
    Box::pin(respaldo_core::jobs::run(&test.app, job.id, &hasty)).await.unwrap();
    let job = test.job(job.id).await;
    assert!(job.long);
    job
}

#[tokio::test]
async fn a_worker_for_one_job_works_on_it_alone_and_ends() {
    let test = installation();
    let database = test.register_sample().await;
    let (job, other) = (handed_over(&test, &database).await, handed_over(&test, &database).await);
    let once = worker(&test, &["--once", &job.id.to_string()]);
    let mut running = Running::start(once, test.folder());
    assert!(running.ended().await, "{}", running.log());
    assert_eq!(test.job(job.id).await.status, Status::Succeeded);
    assert_eq!(test.job(other.id).await.status, Status::Queued);
    // A second one for the same finds nothing to do.
    let mut again = Running::start(worker(&test, &["--once", &job.id.to_string()]), test.folder());
    assert!(again.ended().await, "{}", again.log());
    assert_eq!(test.job(job.id).await.attempts.current, 1);
    test.run_to_end(other.id).await;
    test.assert_promises().await;
}

#[tokio::test]
async fn a_worker_takes_what_waits_in_the_catalog_and_ends_when_it_is_asked_to() {
    let test = installation();
    let database = test.register_sample().await;
    let long = handed_over(&test, &database).await;
    let short = backup::request(&test.app, database.id, None).await.unwrap();
    let mut running = Running::start(worker(&test, &[]), test.folder());
    for id in [long.id, short.id] {
        until(&test, id, Status::Succeeded, &running).await;
    }
    assert!(running.terminate().await, "{}", running.log());
    test.assert_promises().await;
}

#[tokio::test]
async fn a_worker_that_is_asked_to_end_puts_its_job_back() {
    let test = installation();
    let path = test.folder().join("locked.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({"name": "locked", "engine": "sqlite", "database_name": path});
    let database = test.register(fields).await;
    // Nobody can read it while somebody writes exclusively: the dump waits.
    let writer = respaldo_testkit::sqlite::open(&path);
    writer.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let mut running = Running::start(worker(&test, &[]), test.folder());
    until(&test, job.id, Status::Running, &running).await;
    running.ask_to_end();
    let left = until(&test, job.id, Status::Queued, &running).await;
    assert_eq!(left.attempts.failures, 0, "{:?}", left.error);
    drop(writer);
    assert!(running.ended().await, "{}", running.log());
    assert_eq!(test.run_to_end(job.id).await.status, Status::Succeeded);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_job_that_is_not_there_is_named() {
    let test = installation();
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let (code, said) = failure(worker(&test, &["--once", &id.to_string()]));
    assert_eq!(code, 1);
    assert!(said.contains(&format!("there is no job {id}")), "{said}");
    let (code, said) = failure(worker(&test, &["--once", "../x"]));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("it is no id of a job"), "{said}");
}

#[cfg(feature = "aws")]
mod on_sqs {
    use respaldo_testkit::aws::{Moto, Queue};

    use super::*;

    fn heard(test: &TestApp, moto: &Moto, queue: &Queue) -> Command {
        let mut command = worker(test, &[]);
        command.envs(moto.environment()).env("QUEUE_URL_LONG", &queue.url);
        command
    }

    fn message(id: JobId) -> String {
        json!({"v": 1, "job_id": id.to_string()}).to_string()
    }

    async fn emptied(moto: &Moto, queue: &Queue, left: usize, worker: &Running) {
        let begun = Instant::now();
        loop {
            let (visible, hidden) = moto.queued(&queue.url).await;
            if visible + hidden == left {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{visible} and {hidden} are left\n{}", worker.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    #[tokio::test]
    async fn messages_twice_and_out_of_order_have_one_outcome_and_leave_the_queue() {
        let (moto, test) = (Moto::shared(), installation());
        let queue = moto.queue("long", 5, 30).await;
        let database = test.register_sample().await;
        // What is short is the functions', although this worker sees it.
        let short = backup::request(&test.app, database.id, None).await.unwrap();
        let gone = JobId(test.app.ids.ulid(test.app.now()));
        let running = Running::start(heard(&test, &moto, &queue), test.folder());
        let (first, second) = (handed_over(&test, &database).await, handed_over(&test, &database).await);
        for id in [second.id, first.id, gone, second.id, first.id] {
            moto.send(&queue.url, &message(id)).await;
        }
        for id in [first.id, second.id] {
            let job = until(&test, id, Status::Succeeded, &running).await;
            assert_eq!(job.attempts.current, 1);
        }
        emptied(&moto, &queue, 0, &running).await;
        assert_eq!(test.job(short.id).await.status, Status::Queued);
        test.run_to_end(short.id).await;
        test.assert_promises().await;
    }

    #[tokio::test]
    async fn a_message_that_nobody_can_read_is_left_to_the_dead_letters() {
        let (moto, test) = (Moto::shared(), installation());
        let queue = moto.queue("long", 1, 1).await;
        let database = test.register_sample().await;
        moto.send(&queue.url, r#"{"v":7,"job_id":"?"}"#).await;
        let mut running = Running::start(heard(&test, &moto, &queue), test.folder());
        let begun = Instant::now();
        while !running.log().contains("cannot be read") {
            assert!(begun.elapsed() < PATIENCE, "{}", running.log());
            sleep(Duration::from_millis(50)).await;
        }
        // And the worker goes on.
        let job = handed_over(&test, &database).await;
        moto.send(&queue.url, &message(job.id)).await;
        until(&test, job.id, Status::Succeeded, &running).await;
        let begun = Instant::now();
        while moto.queued(&queue.dead_letters).await.0 == 0 {
            assert!(begun.elapsed() < PATIENCE, "it is not among the dead letters");
            sleep(Duration::from_millis(100)).await;
        }
        assert!(running.terminate().await, "{}", running.log());
    }

    #[tokio::test]
    async fn an_event_of_a_schedule_makes_it_tick() {
        let (moto, test) = (Moto::shared(), installation());
        let queue = moto.queue("long", 5, 30).await;
        let path = test.folder().join("due.db");
        respaldo_testkit::sqlite::sample(&path);
        let fields =
            json!({"name": "due", "engine": "sqlite", "database_name": path, "schedule": "* * * * *"});
        let mut database = test.register(fields).await;
        let slot = test.app.now() - jiff::SignedDuration::from_mins(2);
        database.set_due(Some(respaldo_core::schedule::Due { slot, start: slot }));
        test.catalog.update_database(&database).await.unwrap();
        let event = json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event"});
        moto.send(&queue.url, &event.to_string()).await;
        let running = Running::start(heard(&test, &moto, &queue), test.folder());
        emptied(&moto, &queue, 0, &running).await;
        assert!(!test.jobs().await.is_empty(), "{}", running.log());
    }
}
