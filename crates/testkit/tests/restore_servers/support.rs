//! Asking for restores, and looking at what became of them.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::{BackupKind, Database, Job, JobId, Ownership, Restoration, RestoreMode, Status};
use respaldo_core::ports::SecretString;
use respaldo_core::restore::{self, Request};
use respaldo_core::upload;
use respaldo_core::{Error, Result};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;
use respaldo_testkit::host::run;
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;
use serde_json::{Value, json};

/// What is asked for when nobody chooses anything.
pub(crate) fn request_of(backup: JobId) -> Request {
    Request {
        backup,
        target: None,
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    }
}

pub(crate) fn in_mode(backup: JobId, mode: RestoreMode) -> Request {
    Request { mode: Some(mode), ..request_of(backup) }
}

pub(crate) fn new_id(test: &TestApp) -> JobId {
    JobId(test.app.ids.ulid(test.app.now()))
}

pub(crate) async fn register(test: &TestApp, fields: Value, user: &str, password: &str) -> Database {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let login =
        Login { username: Some(user.to_owned()), password: Some(SecretString::from(password.to_owned())) };
    let registration = Registration { fields, login: Some(login), uid: None };
    databases::register(&test.app, registration).await.unwrap()
}

pub(crate) fn fields_of_postgres(server: &Postgres, database: &str, format: &str) -> Value {
    json!({
        "name": "tienda", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": database, "format": format, "compression": "zstd",
    })
}

pub(crate) fn fields_of_mariadb(server: &Mysql, database: &str) -> Value {
    json!({
        "name": "tienda", "engine": "mariadb", "host": server.host(), "port": server.port(),
        "database_name": database, "compression": "gzip",
    })
}

pub(crate) async fn request(test: &TestApp, request: &Request) -> Job {
    Box::pin(restore::request(&test.app, request, new_id(test))).await.unwrap()
}

/// Restores, and answers the record.
pub(crate) async fn restored(test: &TestApp, wanted: &Request) -> Job {
    let job = request(test, wanted).await;
    succeeds(test, job).await
}

pub(crate) async fn undone(test: &TestApp, of: &Job) -> Job {
    let job = Box::pin(restore::undo(&test.app, of.id, false, new_id(test))).await.unwrap();
    succeeds(test, job).await
}

pub(crate) async fn confirmed(test: &TestApp, of: &Job) -> Job {
    let job = Box::pin(restore::confirm(&test.app, of.id, new_id(test))).await.unwrap();
    succeeds(test, job).await
}

async fn succeeds(test: &TestApp, job: Job) -> Job {
    let ended = Box::pin(test.run_to_end(job.id)).await;
    assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
    ended
}

pub(crate) fn restoration(job: &Job) -> &Restoration {
    job.restoration().unwrap()
}

/// The safety backup of a restore, which is good and stays until the restore is confirmed.
pub(crate) async fn safety_of(test: &TestApp, restore: &Job) -> Job {
    let safety = test.job(restoration(restore).safety_backup.expect("it has a safety backup")).await;
    let backup = safety.backup().unwrap();
    assert_eq!((safety.status, backup.kind, backup.pinned), (Status::Succeeded, BackupKind::Safety, true));
    assert!(backup.name.as_ref().unwrap().starts_with("safety_"), "{backup:?}");
    safety
}

/// How a worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// Storage and catalog are out of its reach; what it still tells the database's server is done.
    CutOff,
    /// It does nothing any more.
    Killed,
}

/// Runs a job until its worker dies behind its `n`th call to storage or catalog; answers whether it came so far.
pub(crate) async fn dies_behind(test: &TestApp, job: JobId, n: usize, how: Death) -> bool {
    test.faults.reset();
    match how {
        Death::CutOff => {
            test.faults.fail_at(n, FaultMode::CrashAfter);
            let _it_may_know = Box::pin(test.run(job)).await;
        }
        Death::Killed => {
            test.faults.freeze_at(n + 1);
            let stands_still = async {
                while test.faults.frozen() == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                _ran = Box::pin(test.run(job)) => {}
                () = stands_still => {}
            }
        }
    }
    let came = test.faults.calls() >= n;
    test.faults.reset();
    came
}

/// Everything that `pg_dump` knows of a database, its own settings and grants too.
pub(crate) fn picture(server: &Postgres, database: &str) -> String {
    let mut tool = server.client("pg_dump", database);
    tool.env("PGTZ", "UTC").args(["--create", "--restrict-key=key"]);
    String::from_utf8(run(tool, std::io::empty()).stdout).unwrap()
}

/// Says where two pictures differ, which is shorter than both.
#[track_caller]
pub(crate) fn assert_same(expected: &str, found: &str, what: &str) {
    let differing = expected.lines().zip(found.lines()).enumerate().find(|(_, (a, b))| a != b);
    let lengths = (expected.len(), found.len());
    assert!(expected == found, "{what}: line, expected, found: {differing:?}; {lengths:?} bytes");
}

/// The databases that restores of this one have left on the server.
pub(crate) fn beside(server: &Postgres, database: &str) -> Vec<String> {
    let sql = format!("SELECT datname FROM pg_database WHERE starts_with(datname, '{database}_') ORDER BY 1");
    server.psql("postgres", &sql).lines().map(str::to_owned).collect()
}

/// The same on MariaDB.
pub(crate) fn beside_in(server: &Mysql, database: &str) -> Vec<String> {
    let sql = format!(
        "SELECT schema_name FROM information_schema.schemata WHERE LEFT(schema_name, {}) = '{database}_'",
        database.len() + 1
    );
    server.sql("mysql", &sql).lines().map(str::to_owned).collect()
}

/// Sends a file as a backup of this database.
pub(crate) async fn send(test: &TestApp, database: &Database, file: &[u8]) -> Result<Job> {
    let request = upload::Request { id: None, database: database.id, filename: None, length: None };
    let pieces: Vec<Result<Bytes, Error>> =
        file.chunks(16 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(upload::receive(&test.app, request, stream::iter(pieces))).await.map(|received| received.job)
}
