//! Databases to package, and asking for packages of them.

use std::path::PathBuf;

use respaldo_core::model::{Database, DatabaseId, Job, JobId, PackageFormat, Status};
use respaldo_core::package::{self, Request};
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

pub(crate) const FORMATS: [PackageFormat; 2] = [PackageFormat::Zip, PackageFormat::TarGz];

/// An id for a job that somebody asks for.
pub(crate) fn new_id(test: &TestApp) -> JobId {
    JobId(test.app.ids.ulid(test.app.now()))
}

/// Registers a SQLite database of that name, with `package: true`.
pub(crate) async fn sqlite(test: &TestApp, name: &str, more: Value) -> Database {
    let path = test.folder().join(format!("{name}.db"));
    respaldo_testkit::sqlite::sample(&path);
    let mut fields = json!({
        "name": name, "engine": "sqlite", "database_name": path, "package": true,
    });
    let Value::Object(more) = more else { panic!("fields are an object") };
    fields.as_object_mut().unwrap().extend(more);
    test.register(fields).await
}

/// So many databases, each with a backup.
pub(crate) async fn backed_up(test: &TestApp, names: &[&str]) -> Vec<(Database, Job)> {
    let mut made = Vec::new();
    for name in names {
        let database = sqlite(test, name, json!({})).await;
        let backup = test.back_up(&database).await;
        assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
        made.push((database, backup));
    }
    made
}

pub(crate) fn request(format: PackageFormat) -> Request {
    Request { format: Some(format), ..Request::default() }
}

pub(crate) fn of(databases: &[DatabaseId]) -> Request {
    Request { databases: Some(databases.to_vec()), ..Request::default() }
}

pub(crate) fn incomplete(format: PackageFormat) -> Request {
    Request { allow_incomplete: Some(true), ..request(format) }
}

/// Asks for a package and answers its record when it has ended.
pub(crate) async fn packaged(test: &TestApp, asked: &Request) -> Job {
    let job = package::request(&test.app, asked, new_id(test)).await.expect("a package is queued");
    test.run_to_end(job.id).await
}

/// The same for one that must succeed.
pub(crate) async fn good(test: &TestApp, asked: &Request) -> Job {
    let job = packaged(test, asked).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    job
}

/// Where an archive lies.
pub(crate) fn archive(test: &TestApp, job: &Job) -> PathBuf {
    test.backups().join(job.file_name().expect("it has a name"))
}

/// The one file that a backup lies in.
pub(crate) fn artifact(test: &TestApp, backup: &Job) -> PathBuf {
    test.backups().join(&backup.artifact().expect("it is stored").volumes[0].key)
}

/// Everything that belongs to a package in storage.
pub(crate) fn files_of_packages(test: &TestApp) -> Vec<String> {
    test.files().into_iter().filter(|file| file.starts_with("package")).collect()
}

/// Why a package failed.
pub(crate) fn failure(job: &Job) -> String {
    assert_eq!(job.status, Status::Failed, "{:?}", job.error);
    job.error.as_ref().expect("it says why").to_string()
}
