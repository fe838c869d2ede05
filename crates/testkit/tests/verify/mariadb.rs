//! MariaDB: tested on a private server.

use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::{Database, VerificationStatus};
use respaldo_core::ports::SecretString;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::mysql::Mysql;
use serde_json::{Value, json};

use super::postgres::reachable;
use super::support::{assert_differs_in, assert_ok, log_of, replace_dump, tested, verdict};

pub(crate) async fn register(test: &TestApp, server: &Mysql, engine: &str, database: &str) -> Database {
    let fields = json!({
        "name": "tienda", "engine": engine, "host": server.host(), "port": server.port(),
        "database_name": database,
    });
    let Value::Object(fields) = fields else { unreachable!() };
    let login = Login {
        username: Some(server.user().to_owned()),
        password: Some(SecretString::from(server.password().to_owned())),
    };
    databases::register(&test.app, Registration { fields, login: Some(login), uid: None }).await.unwrap()
}

/// Healthy, the sample is ok; without one row it fails and names the table.
async fn the_sample_on(test: &TestApp, server: &Mysql, engine: &str) {
    let source = server.fresh_database("tienda");
    server.sample_schema(&source);
    server.sql(
        &source,
        "CREATE TABLE `cuenta atrás` (n INT PRIMARY KEY); INSERT INTO `cuenta atrás` VALUES (1), (2), (3)",
    );
    let database = register(test, server, engine, &source).await;
    let backup = test.back_up(&database).await;
    let job = tested(test, &backup).await;
    let healthy = job.test_restore().unwrap().verdict.clone();
    let healthy = healthy.unwrap_or_else(|| panic!("{:?}", job.error));
    assert!(healthy.status == VerificationStatus::Ok, "{healthy:?}\n{}", log_of(test, &job).await);
    assert_ok(&healthy);
    server.sql(&source, "DELETE FROM `cuenta atrás` WHERE n = 2");
    let poorer = test.back_up(&database).await;
    replace_dump(test, &backup, &test.opened(&poorer)).await;
    assert_differs_in(&verdict(test, &backup).await, "cuenta atrás");
    test.assert_promises().await;
    server.drop_database(&source);
}

#[tokio::test]
async fn a_backup_of_mariadb_is_ok_and_fails_when_it_misses_one_row() {
    the_sample_on(&reachable(), Mysql::shared(), "mariadb").await;
}

#[tokio::test]
async fn without_its_server_on_this_machine_it_is_not_verified() {
    let mut test = reachable();
    let server = Mysql::shared();
    let source = server.fresh_database("sola");
    let database = register(&test, server, "mysql", &source).await;
    let backup = test.back_up(&database).await;
    let tools = test.folder().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for tool in ["mariadb", "mariadb-dump"] {
        std::os::unix::fs::symlink(server.bin_dir().join(tool), tools.join(tool)).unwrap();
    }
    test = test.with_tools(tools);
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::NotVerified, "{verdict:?}");
    assert!(verdict.reason.as_ref().unwrap().contains("apt-get install mariadb-server"), "{verdict:?}");
    server.drop_database(&source);
}
