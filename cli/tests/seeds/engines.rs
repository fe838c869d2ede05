//! The same requests for the other engines, and the description of the API.

use std::fs;

use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::respaldo::Respaldo;
use serde_json::{Value, json};

use super::{BINARY, gunzip};

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
    let file = folder.path().join("data/backups").join(backup["name"].as_str().unwrap());
    let copy = folder.path().join("copy.db");
    fs::write(&copy, gunzip(&file)).unwrap();
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
    let dump = gunzip(&folder.path().join("data/backups").join(name));
    let copy = server.fresh_database("copy");
    server.load(&copy, dump.as_slice());
    assert_eq!(server.dump_normalised(&copy), server.dump_normalised(&source));
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
