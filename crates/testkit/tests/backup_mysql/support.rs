//! Registering a database of a real server, and looking at what became of a backup.

use std::path::PathBuf;

use respaldo_core::Error;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::engine::Probe;
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::ports::SecretString;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::mysql::Mysql;
use serde_json::{Value, json};

pub(crate) fn login(user: &str, password: &str) -> Login {
    Login { username: Some(user.to_owned()), password: Some(SecretString::from(password.to_owned())) }
}

pub(crate) async fn register_as(
    test: &TestApp,
    server: &Mysql,
    database: &str,
    login: Login,
    more: Value,
) -> Database {
    let mut fields = json!({
        "name": "MySQL Producción", "engine": "mariadb", "host": server.host(), "port": server.port(),
        "database_name": database, "schedule": "0 4 * * *", "retention_days": 30, "max_backups": 15,
        "compression": "gzip",
    });
    let Value::Object(more) = more else { panic!("fields are an object") };
    fields.as_object_mut().unwrap().extend(more);
    let Value::Object(fields) = fields else { unreachable!() };
    let registration = Registration { fields, login: Some(login), uid: None };
    databases::register(&test.app, registration).await.unwrap()
}

pub(crate) async fn register(test: &TestApp, server: &Mysql, database: &str, more: Value) -> Database {
    register_as(test, server, database, login(server.user(), server.password()), more).await
}

pub(crate) async fn probe(test: &TestApp, database: &Database) -> respaldo_core::Result<Probe> {
    databases::test(&test.app, database.id).await
}

pub(crate) fn error_of(job: &Job) -> &Error {
    assert_eq!(job.status, Status::Failed, "{:?}", job.error);
    job.error.as_ref().unwrap()
}

pub(crate) fn artifact(test: &TestApp, job: &Job) -> PathBuf {
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    test.backups().join(job.backup().unwrap().name.as_ref().unwrap())
}

pub(crate) async fn log_of(test: &TestApp, job: &Job) -> String {
    let lines = test.catalog.log(job.id, 0, 1_000).await.unwrap();
    lines.into_iter().map(|entry| entry.line + "\n").collect()
}
