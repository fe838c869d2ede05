//! When an attempt is stopped, and when it is not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::Limits;
use respaldo_core::backup;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_core::ports::{LogEntry, SecretString};
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{Call, FaultMode};
use respaldo_testkit::host::{eventually, is_alive, run};
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const STALL: SignedDuration = SignedDuration::from_millis(600);
const LONGER: Duration = Duration::from_millis(1800);

/// Short enough to wait for.
fn short(limits: &mut Limits) {
    limits.stall = STALL;
    limits.lease = SignedDuration::from_secs(2);
}

async fn start(test: &TestApp, database: &Database) -> (JobId, JoinHandle<Result<Ran>>) {
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let (app, id) = (test.app.clone(), job.id);
    (id, tokio::spawn(async move { backup::run(&app, id, &Worker::new("test")).await }))
}

async fn frozen(test: &TestApp) {
    let waiting = async {
        while test.faults.frozen() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("a call waits");
}

/// A database whose `pg_dump` is simulated.
async fn with_fake_dump(
    behaviour: Behaviour,
    adjust: impl FnOnce(&mut Limits),
) -> (TestApp, Database, Toolbox) {
    let server = Postgres::shared();
    let tools = Toolbox::new();
    let version = format!("pg_dump (PostgreSQL) {}.0", server.major());
    tools.add(&FakeTool::new("pg_dump").version(&version).behaviour(behaviour));
    std::os::unix::fs::symlink(server.bin_dir().join("psql"), tools.path().join("psql")).unwrap();
    let test = TestApp::with(adjust).with_tools(tools.path());
    let Value::Object(fields) = json!({
        "name": "kept", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": "postgres",
    }) else {
        unreachable!()
    };
    let login = Login {
        username: Some(server.user().to_owned()),
        password: Some(SecretString::from(server.password().to_owned())),
    };
    let registration = Registration { fields, login: Some(login), uid: None };
    let database = databases::register(&test.app, registration).await.unwrap();
    (test, database, tools)
}

fn sample_dump(folder: &std::path::Path) -> PathBuf {
    let server = Postgres::shared();
    let name = server.fresh_database("kept");
    server.sample_schema(&name);
    let mut dump = server.client("pg_dump", &name);
    dump.arg(&name);
    let path = folder.join("dump.sql");
    fs::write(&path, run(dump, std::io::empty()).stdout).unwrap();
    path
}

async fn log(test: &TestApp, job: &Job) -> Vec<LogEntry> {
    test.catalog.log(job.id, 0, 10_000).await.unwrap()
}

#[tokio::test]
async fn a_store_that_takes_long_to_complete_an_artifact_is_waited_for() {
    for call in [Call::Close, Call::Rename] {
        let test = TestApp::with(short);
        let database = test.register_sample().await;
        test.faults.freeze_call(call);
        let (id, running) = start(&test, &database).await;
        frozen(&test).await;
        tokio::time::sleep(LONGER).await;
        test.faults.thaw();
        assert_eq!(running.await.unwrap().unwrap(), Ran::Ended, "{call:?}");
        let job = test.job(id).await;
        assert_eq!((job.status, job.attempts.failures), (Status::Succeeded, 0), "{call:?}: {:?}", job.error);
    }
}

#[tokio::test]
async fn a_store_that_takes_no_byte_is_told_apart_from_a_source_that_gives_none() {
    let test = TestApp::with(short);
    let database = test.register_sample().await;
    test.faults.freeze_call(Call::Write);
    let (id, running) = start(&test, &database).await;
    assert_eq!(running.await.unwrap().unwrap(), Ran::Queued);
    let error = test.job(id).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("storage took no byte for"), "{error}");
    test.faults.thaw();
    test.run_to_end(id).await;
    test.assert_promises().await;
}

#[tokio::test]
async fn a_catalog_that_does_not_answer_keeps_no_tool_alive() {
    let folder = tempfile::tempdir().unwrap();
    let behaviour = Behaviour::HangsAfter { file: sample_dump(folder.path()), bytes: 100_000 };
    let (test, database, tools) = with_fake_dump(behaviour, |limits| {
        short(limits);
        limits.stall = SignedDuration::from_hours(1);
    })
    .await;
    let (id, running) = start(&test, &database).await;
    let pid = loop {
        // The first call asks for the version.
        if let Some(call) = tools.calls("pg_dump").get(1) {
            break call.pid;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    test.faults.freeze_call(Call::Catalog);
    frozen(&test).await;
    let dead = tokio::task::spawn_blocking(move || {
        eventually("the tool is dead", Duration::from_secs(20), || !is_alive(pid));
    });
    dead.await.unwrap();
    test.faults.thaw();
    assert_eq!(running.await.unwrap().unwrap(), Ran::NotOurs);
    let version = format!("pg_dump (PostgreSQL) {}.0", Postgres::shared().major());
    let failing = Behaviour::Fails { stderr: "no".to_owned(), code: 1 };
    tools.add(&FakeTool::new("pg_dump").version(&version).behaviour(failing));
    assert_eq!(test.run_to_end(id).await.status, Status::Failed);
    test.clock.advance(SignedDuration::from_hours(2));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_process_that_a_tool_left_behind_cannot_hold_a_whole_dump_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    // It leaves the tool's process group and keeps its standard error open.
    let lines = format!("cat {}\nsetsid sleep 25 > /dev/null < /dev/null &\necho warned >&2", file.display());
    let (test, database, _tools) = with_fake_dump(Behaviour::Script(lines), |limits| {
        limits.stall = SignedDuration::from_secs(15);
    })
    .await;
    let job = test.back_up(&database).await;
    assert_eq!((job.status, job.attempts.failures), (Status::Succeeded, 0), "{:?}", job.error);
    assert!(log(&test, &job).await.iter().any(|entry| entry.line.contains("warned")));
}

#[tokio::test]
async fn a_secret_in_a_line_without_end_is_not_shown_in_halves() {
    let password = Postgres::shared().password();
    let (begin, end) = password.split_at(password.len() / 2);
    for before in [4096 - begin.len(), 8192 - begin.len()] {
        let lines = format!(
            "head -c {before} /dev/zero | tr '\\0' x >&2\nprintf '%s and more' '{password}' >&2\nexit 1"
        );
        let (test, database, _tools) = with_fake_dump(Behaviour::Script(lines), |_| {}).await;
        let job = test.back_up(&database).await;
        assert_eq!(job.status, Status::Failed);
        let log = log(&test, &job).await;
        let shown = |part: &str| log.iter().any(|entry| entry.line.contains(part));
        assert!(!shown(begin) && !shown(end), "after {before} bytes");
        let error = job.error.unwrap().to_string();
        assert!(!error.contains(begin) && !error.contains(end), "{error}");
    }
}

#[tokio::test]
async fn a_gigabyte_of_complaints_without_a_line_break_is_read_and_forgotten() {
    let lines = "head -c 1000000000 /dev/zero | tr '\\0' x >&2\nexit 1";
    let (test, database, _tools) = with_fake_dump(Behaviour::Script(lines.to_owned()), |limits| {
        limits.attempts = 1;
    })
    .await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Failed);
    assert!(job.error.as_ref().unwrap().to_string().len() < 20_000);
    let bytes: usize = log(&test, &job).await.iter().map(|entry| entry.line.len()).sum();
    assert!(bytes < 100_000, "{bytes} bytes of log");
}

#[tokio::test]
async fn whoever_sees_that_a_dump_has_ended_finds_its_whole_log() {
    let mut seen = 0;
    for step in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let job = backup::request(&test.app, database.id, None).await.unwrap();
        let (app, plan) = test.another_process();
        plan.fail_at(step, FaultMode::CrashAfter);
        let _crashed = backup::run(&app, job.id, &Worker::new("test")).await;
        if plan.calls() < step {
            break;
        }
        if test.job(job.id).await.status == Status::Succeeded {
            let log = test.catalog.log(job.id, 0, 100).await.unwrap();
            let last = log.last().map(|line| line.line.as_str()).unwrap_or_default();
            assert!(last.contains("manifest written"), "step {step}: {log:?}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no crash came behind the end");
}
