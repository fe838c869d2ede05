//! The requests that the two "Backup API" documents print, as printed but for host and names, against
//! the real server and a real PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;

use reqwest::Method;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::{Respaldo, read};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// The body of the first document's `POST /databases`, with the address of a real server.
fn body(server: &Postgres, database: &str) -> Value {
    json!({
        "name": "PostgreSQL Producción",
        "engine": "postgres",
        "host": server.host(),
        "port": server.port(),
        "database_name": database,
        "schedule": "0 4 * * *",
        "retention_days": 30,
        "max_backups": 15,
        "compression": "gzip",
        "credentials": {"username": server.user(), "password": server.password()}
    })
}

#[tokio::test]
async fn a_registered_postgresql_database_is_backed_up_and_equals_its_source_when_loaded() {
    let server = Postgres::shared();
    let source = server.fresh_database("production_db");
    server.sample_schema(&source);
    let folder = tempfile::tempdir().unwrap();
    let respaldo = Respaldo::new(BINARY, folder.path(), "databases: []\n").start().await;

    let (status, database) = respaldo.post("/databases", &body(server, &source)).await;
    assert_eq!(status, 201, "{database}");
    let expected = json!({
        "id": 1, "config_id": null, "name": "PostgreSQL Producción", "engine": "postgres",
        "host": server.host(), "port": server.port(), "database_name": source, "schedule": "0 4 * * *",
        "retention_days": 30, "max_backups": 15, "compression": "gzip"
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&database[field], value, "{field}");
    }
    assert!(database.get("credentials").is_none() && !database.to_string().contains(server.password()));

    let (status, list) = respaldo.read("/databases").await;
    assert_eq!((status, &list[0]["id"], &list[0]["name"]), (200, &json!(1), &json!("PostgreSQL Producción")));

    let request = respaldo.request(Method::PATCH, "/databases/1").json(&json!({"schedule": "0 1 * * 1-5"}));
    let (status, patched) = read(request.send().await.unwrap()).await;
    assert_eq!((status, &patched["schedule"]), (200, &json!("0 1 * * 1-5")));
    assert_ne!(patched["next_run_at"], database["next_run_at"]);

    let (status, queued) = respaldo.post("/backups", &json!({"database_id": 1})).await;
    assert_eq!(status, 202, "{queued}");
    let id = queued["id"].as_str().unwrap();
    let backup = respaldo.ended(id).await;
    assert_eq!(backup["status"], "succeeded", "{backup}");
    let (status, listed) = respaldo.read("/backups").await;
    assert_eq!((status, &listed[0]["id"]), (200, &queued["id"]));

    // The file lies where the document looks for it, and the stock tools restore it.
    let name = backup["name"].as_str().unwrap();
    assert!(name.starts_with("postgres_production_db") && name.ends_with(".sql.gz"), "{name}");
    let file = folder.path().join("data/backups").join(name);
    let mut md5sum = command("md5sum");
    md5sum.arg(&file);
    let md5 = String::from_utf8(run(md5sum, std::io::empty()).stdout).unwrap();
    assert_eq!(md5.split_whitespace().next(), backup["md5"].as_str());
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(&file);
    let copy = server.fresh_database("copy");
    server.load_plain(&copy, run(gunzip, std::io::empty()).stdout.as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
}

#[tokio::test]
async fn sqlite_is_backed_up_through_the_api_while_it_is_being_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let path = folder.path().join("data/busy.db");
    let writer = respaldo_testkit::sqlite::Writer::start(&path);
    let respaldo = Respaldo::new(BINARY, folder.path(), "databases: []\n").start().await;
    let body = json!({"name": "busy", "engine": "sqlite", "database_name": "data/busy.db"});
    let (status, database) = respaldo.post("/databases", &body).await;
    assert_eq!(status, 201, "{database}");
    writer.wait_for(50);
    let before = writer.committed();
    let backup = respaldo.back_up(&database).await;
    let after = writer.stop();
    assert_eq!(backup["status"], "succeeded", "{backup}");
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(folder.path().join("data/backups").join(backup["name"].as_str().unwrap()));
    let copy = folder.path().join("copy.db");
    fs::write(&copy, run(gunzip, std::io::empty()).stdout).unwrap();
    let rows = respaldo_testkit::sqlite::Writer::consistent_rows(&copy);
    assert!(before <= rows && rows <= after, "{before} <= {rows} <= {after}");
}

#[tokio::test]
async fn a_mysql_entry_of_config_yaml_is_backed_up_from_a_mariadb_and_loads_with_the_stock_client() {
    let server = Mysql::shared();
    let source = server.fresh_database("shop");
    server.sample_schema(&source);
    let config = format!(
        r#"
databases:
  - name: "my-mysql-db"
    engine: "mysql"
    host: "localhost"
    port: {}
    username_var: "MYSQL_USER"
    password_var: "MYSQL_PASSWORD"
    database_name: "{source}"
    schedule: "0 3 * * *"
    retention_days: 7
    max_backups: 5
    compression: "gzip"
"#,
        server.port()
    );
    let folder = tempfile::tempdir().unwrap();
    let respaldo = Respaldo::new(BINARY, folder.path(), &config)
        .env("MYSQL_USER", server.user())
        .env("MYSQL_PASSWORD", server.password())
        .start()
        .await;
    let (_, list) = respaldo.read("/databases").await;
    assert_eq!((&list[0]["engine"], &list[0]["held_back"]), (&json!("mysql"), &Value::Null), "{list}");
    let backup = respaldo.back_up(&list[0]).await;
    assert_eq!(backup["status"], "succeeded", "{backup}");
    let name = backup["name"].as_str().unwrap();
    assert!(name.starts_with("mysql_shop") && name.ends_with(".sql.gz"), "{name}");
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(folder.path().join("data/backups").join(name));
    let copy = server.fresh_database("copy");
    server.load(&copy, run(gunzip, std::io::empty()).stdout.as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
    assert!(!respaldo.log().contains(server.password()), "the log shows a password");
}

#[tokio::test]
async fn both_documents_config_files_are_served_and_what_cannot_run_says_why() {
    let server = Postgres::shared();
    let source = server.fresh_database("testdb");
    server.sample_schema(&source);
    let config = format!(
        r#"
databases:
  - name: "my-postgres-db"
    engine: "postgres"
    host: "{}"
    port: {}
    username_var: "POSTGRES_USER"
    password_var: "POSTGRES_PASSWORD"
    database_name: "{source}"
    schedule: "0 3 * * *"
    retention_days: 7
    max_backups: 5
    compression: "gzip"
  - name: "my-mongo-db"
    engine: "mongodb"
    host: "mongo-db"
    port: 27017
    username_var: "MONGO_USER"
    password_var: "MONGO_PASSWORD"
    database_name: "admin"
    schedule: "0 4 * * *"
    retention_days: 14
    max_backups: 10
    compression: "none"
"#,
        server.host(),
        server.port()
    );
    let folder = tempfile::tempdir().unwrap();
    let respaldo = Respaldo::new(BINARY, folder.path(), &config)
        .env("POSTGRES_USER", server.user())
        .env("POSTGRES_PASSWORD", server.password())
        .start()
        .await;
    let (_, list) = respaldo.read("/databases").await;
    assert_eq!(
        (&list[0]["config_id"], &list[1]["config_id"]),
        (&json!("my-postgres-db"), &json!("my-mongo-db"))
    );
    assert_eq!(list[0]["held_back"], Value::Null);
    assert!(list[1]["held_back"].as_str().unwrap().contains("mongodb"), "{}", list[1]);
    let backup = respaldo.back_up(&list[0]).await;
    assert_eq!(backup["status"], "succeeded", "{backup}");
    let (status, problem) = respaldo.post("/backups", &json!({"database_id": list[1]["id"]})).await;
    assert_eq!((status, &problem["field"]), (422, &json!("database_id")), "{problem}");
    assert!(!respaldo.log().contains(server.password()), "the log shows a password");
}

#[tokio::test]
async fn docs_and_openapi_come_from_the_server_itself() {
    let folder = tempfile::tempdir().unwrap();
    let respaldo = Respaldo::new(BINARY, folder.path(), "databases: []\n").start().await;
    let page = respaldo.get("/docs/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    assert!(!page.contains("https://") && !page.contains("http://"), "the page loads from elsewhere: {page}");
    let (status, document) = respaldo.read("/openapi.json").await;
    assert_eq!(status, 200);
    for path in
        ["/databases", "/databases/{id}", "/backups", "/backups/{id}", "/backups/{id}/download", "/jobs/{id}"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}
