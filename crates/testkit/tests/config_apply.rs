//! The file meets the catalog: both documents' `config.yaml` load, edits by API survive, and two
//! servers that read one file at once make one database of each entry.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use respaldo_core::backup;
use respaldo_core::config::sync::Action;
use respaldo_core::config::{Config, apply};
use respaldo_core::databases::{self, Change};
use respaldo_core::model::Database;
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

const FIRST: &str = r#"
global:
  schedule: "0 2 * * *"
  compression: "gzip"
  retention_days: 15
  max_backups: 10
  max_parallel_jobs: 4
package-conf:
  schedule: "0 5 * * 1"
  compression: "zip"
  retention_days: 30
  max_backups: 4
databases:
  - id: "pg_ventas_prod"
    name: "PostgreSQL Ventas"
    engine: "postgres"
    host: "postgres-db"
    port: 5432
    username_var: "POSTGRES_USER"
    password_var: "POSTGRES_PASSWORD"
    database_name: "ventasdb"
    schedule: "0 3 * * *"
    package: true
  - id: "mongo_logs_dev"
    name: "MongoDB Logs"
    engine: "mongodb"
    host: "mongo-db"
    port: 27017
    database_name: "logsdb"
"#;

async fn all(test: &TestApp) -> Vec<Database> {
    databases::list(&test.app, None, 100).await.unwrap()
}

async fn change(test: &TestApp, database: &Database, fields: Value) -> Database {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    let change = Change { fields, may_shorten_retention: true, ..Change::default() };
    databases::change(&test.app, database.id, change).await.unwrap()
}

#[tokio::test]
async fn the_first_document_s_file_loads_and_what_cannot_run_is_held_back_with_its_reason() {
    let test = TestApp::new();
    let applied = apply(&test.app, &Config::parse(FIRST).unwrap()).await.unwrap();
    assert_eq!(applied.len(), 2);
    let [ventas, logs] = &all(&test).await[..] else { panic!("two databases") };
    assert_eq!(ventas.config_id.as_deref(), Some("pg_ventas_prod"));
    assert_eq!((ventas.settings.retention_days, ventas.settings.max_backups), (Some(15), Some(10)));
    assert_eq!(ventas.settings.schedule.as_deref(), Some("0 3 * * *"));
    assert_eq!(logs.settings.schedule.as_deref(), Some("0 2 * * *"));
    let held = databases::held_back(&test.app, ventas).await.unwrap().unwrap();
    assert!(held.contains("POSTGRES_USER"), "{held}");
    assert_eq!(databases::held_back(&test.app, logs).await.unwrap(), None);
    assert!(backup::request(&test.app, ventas.id, None).await.is_err());

    test.secrets.set("POSTGRES_USER", "admin");
    test.secrets.set("POSTGRES_PASSWORD", "secret");
    assert_eq!(databases::held_back(&test.app, ventas).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_read_again_changes_nothing_and_an_edit_by_api_survives_it() {
    let test = TestApp::new();
    let config = Config::parse(FIRST).unwrap();
    apply(&test.app, &config).await.unwrap();
    assert_eq!(apply(&test.app, &config).await.unwrap(), []);
    let edited = change(&test, &all(&test).await[0], json!({"max_backups": 3})).await;

    let moved = FIRST.replace("schedule: \"0 3 * * *\"", "schedule: \"30 3 * * *\"");
    let applied = apply(&test.app, &Config::parse(&moved).unwrap()).await.unwrap();
    assert_eq!(applied.len(), 1);
    let ventas = databases::get(&test.app, edited.id).await.unwrap();
    assert_eq!(ventas.settings.schedule.as_deref(), Some("30 3 * * *"));
    assert_eq!(ventas.settings.max_backups, Some(3));
    assert_ne!(ventas.next_due_at, edited.next_due_at);
}

#[tokio::test]
async fn an_entry_that_left_the_file_is_disabled_and_comes_back_as_the_same_database() {
    let test = TestApp::new();
    apply(&test.app, &Config::parse(FIRST).unwrap()).await.unwrap();
    let (without, _) = FIRST.split_once("  - id: \"mongo_logs_dev\"").unwrap();
    let applied = apply(&test.app, &Config::parse(without).unwrap()).await.unwrap();
    assert_eq!(applied[0].action, Action::Disable);
    let logs = all(&test).await[1].clone();
    assert!(!logs.settings.enabled && logs.attention_at().is_none());
    apply(&test.app, &Config::parse(FIRST).unwrap()).await.unwrap();
    let back = databases::get(&test.app, logs.id).await.unwrap();
    assert!(back.settings.enabled && back.attention_at().is_some());
    assert_eq!(all(&test).await.len(), 2);
}

#[tokio::test]
async fn an_entry_that_is_refused_keeps_every_other_from_being_written() {
    let test = TestApp::new();
    let bad = format!("{FIRST}  - name: outside\n    engine: sqlite\n    database_name: /etc/passwd\n");
    let error = apply(&test.app, &Config::parse(&bad).unwrap()).await.unwrap_err();
    assert_eq!(error.field(), Some("databases.outside.database_name"));
    assert_eq!(all(&test).await, []);
}

#[tokio::test]
async fn an_entry_of_another_engine_is_another_database() {
    let test = TestApp::new();
    apply(&test.app, &Config::parse(FIRST).unwrap()).await.unwrap();
    let before = all(&test).await;
    let other = FIRST.replace("engine: \"postgres\"", "engine: \"mysql\"");
    let error = apply(&test.app, &Config::parse(&other).unwrap()).await.unwrap_err();
    assert_eq!(error.field(), Some("databases.pg_ventas_prod.engine"));
    assert!(error.mend().unwrap().contains("id of its own"), "{error}");
    assert_eq!(all(&test).await, before);
    let renamed = other.replace("id: \"pg_ventas_prod\"", "id: \"my_ventas_prod\"");
    apply(&test.app, &Config::parse(&renamed).unwrap()).await.unwrap();
    let engines: Vec<_> =
        all(&test).await.iter().map(|one| (one.settings.engine.to_string(), one.settings.enabled)).collect();
    assert_eq!(engines, [("postgres".into(), false), ("mongodb".into(), true), ("mysql".into(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_read_one_file_at_once_make_one_database_of_each_entry() {
    let test = TestApp::new();
    let tasks = (0..8).map(|_| {
        let app = test.app.clone();
        tokio::spawn(async move { apply(&app, &Config::parse(FIRST).unwrap()).await })
    });
    let mut created = 0;
    for task in tasks.collect::<Vec<_>>() {
        let applied = task.await.unwrap().unwrap();
        created += applied.iter().filter(|applied| applied.action == Action::Create).count();
    }
    assert_eq!((created, all(&test).await.len()), (2, 2));
}
