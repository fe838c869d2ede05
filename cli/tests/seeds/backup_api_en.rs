//! The document in English: two databases without an `id`, one of them a MongoDB with credentials that is not
//! compressed; and the list of endpoints.

use reqwest::Method;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::{Respaldo, read};
use serde_json::{Value, json};

use super::{BINARY, filled, gunzip, md5sum, names};

/// Every character that a URI, a shell or YAML would take for something else.
const PASSWORD: &str = "s3cret:/?#[]@!$&'()*+,;=%\\\"` {}<>|^~ñ";

/// `config.yaml` as printed, with the addresses of these servers.
fn config(postgres: &Postgres, database: &str, mongo: &NotMongod) -> String {
    format!(
        r#"databases:
  - name: "my-postgres-db"
    engine: "postgres"
    host: "{}"
    port: {}
    username_var: "POSTGRES_USER"
    password_var: "POSTGRES_PASSWORD"
    database_name: "{database}"
    schedule: "0 3 * * *"
    retention_days: 7
    max_backups: 5
    compression: "gzip"
  - name: "my-mongo-db"
    engine: "mongodb"
    host: "127.0.0.1"
    port: {}
    username_var: "MONGO_USER"
    password_var: "MONGO_PASSWORD"
    database_name: "admin"
    schedule: "0 4 * * *"
    retention_days: 14
    max_backups: 10
    compression: "none"
"#,
        postgres.host(),
        postgres.port(),
        mongo.port()
    )
}

async fn started(folder: &std::path::Path, config: &str, postgres: &Postgres) -> Respaldo {
    Respaldo::new(BINARY, folder, config)
        .env("POSTGRES_USER", postgres.user())
        .env("POSTGRES_PASSWORD", postgres.password())
        .env("MONGO_USER", "root")
        .env("MONGO_PASSWORD", PASSWORD)
        .start()
        .await
}

/// What the second list of settings says.
fn expected_settings() -> [Value; 2] {
    [
        json!({
            "name": "my-postgres-db", "config_id": "my-postgres-db", "engine": "postgres",
            "schedule": "0 3 * * *", "retention_days": 7, "max_backups": 5, "compression": "gzip"
        }),
        json!({
            "name": "my-mongo-db", "config_id": "my-mongo-db", "engine": "mongodb", "database_name": "admin",
            "schedule": "0 4 * * *", "retention_days": 14, "max_backups": 10, "compression": "none"
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_config_yaml_registers_and_backs_up_both_databases() {
    let postgres = Postgres::shared();
    let source = postgres.fresh_database("testdb");
    postgres.sample_schema(&source);
    let mongo = filled("admin", Some(("root", PASSWORD)));
    let folder = tempfile::tempdir().unwrap();
    let respaldo = started(folder.path(), &config(postgres, &source, &mongo), postgres).await;

    let (status, list) = respaldo.read("/databases").await;
    assert_eq!((status, list.as_array().unwrap().len()), (200, 2), "{list}");
    for (database, expected) in list.as_array().unwrap().iter().zip(expected_settings()) {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&database[field], value, "{field} of {database}");
        }
        assert_eq!(database["held_back"], Value::Null, "{database}");
    }

    let first = respaldo.back_up(&list[0]).await;
    let second = respaldo.back_up(&list[1]).await;
    let backups = folder.path().join("data/backups");
    for (backup, beginning, end) in [
        (&first, format!("postgres_{source}_"), ".sql.gz"),
        (&second, "mongodb_admin_".to_owned(), ".archive"),
    ] {
        assert_eq!(backup["status"], "succeeded", "{backup}");
        let name = backup["name"].as_str().unwrap();
        let stamp = name.strip_prefix(&beginning).and_then(|rest| rest.strip_suffix(end));
        let stamp = stamp.unwrap_or_else(|| panic!("{name} is not engine_dbname_timestamp"));
        let digits = stamp.replacen('_', "", 1);
        assert!(digits.len() == 14 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
        assert_eq!(md5sum(&backups.join(name)), backup["md5"].as_str().unwrap());
    }
    let copy = postgres.fresh_database("copy");
    postgres.load_plain(&copy, gunzip(&backups.join(first["name"].as_str().unwrap())).as_slice());
    assert_eq!(postgres.dump_normalised(&copy), postgres.dump_normalised(&source));
    let archive = std::fs::read(backups.join(second["name"].as_str().unwrap())).unwrap();
    assert_eq!(archive[..4], [0x6d, 0xe2, 0x99, 0x81], "it is no archive of mongodump's");
    for secret in [PASSWORD, postgres.password()] {
        assert!(!respaldo.log().contains(secret), "the log shows a password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_of_the_list_answers_as_it_is_described() {
    let postgres = Postgres::shared();
    let source = postgres.fresh_database("testdb");
    postgres.sample_schema(&source);
    let mongo = filled("admin", Some(("root", PASSWORD)));
    let folder = tempfile::tempdir().unwrap();
    let respaldo = started(folder.path(), &config(postgres, &source, &mongo), postgres).await;

    let body = json!({
        "name": "a third", "engine": "mongodb", "host": "127.0.0.1", "port": mongo.port(), "database_name": "admin",
        "credentials": {"username": "root", "password": PASSWORD}
    });
    let (status, registered) = respaldo.post("/databases", &body).await;
    assert_eq!((status, &registered["id"]), (201, &json!(3)), "{registered}");
    assert!(!registered.to_string().contains("s3cret"), "{registered}");

    let changes =
        json!({"schedule": "30 6 * * 1-5", "retention_days": 21, "max_backups": 12, "compression": "gzip"});
    let (status, changed) =
        read(respaldo.request(Method::PATCH, "/databases/3").json(&changes).send().await.unwrap()).await;
    assert_eq!(status, 200, "{changed}");
    for (field, value) in changes.as_object().unwrap() {
        assert_eq!(&changed[field], value, "{field}");
    }

    let (status, queued) = respaldo.post("/backups", &json!({"database_id": 3})).await;
    assert_eq!((status, &queued["database_id"]), (202, &json!(3)), "{queued}");
    let backup = respaldo.ended(queued["id"].as_str().unwrap()).await;
    assert_eq!((&backup["status"], &backup["id"]), (&json!("succeeded"), &queued["id"]), "{backup}");
    let (status, one) = respaldo.read(&format!("/backups/{}", queued["id"].as_str().unwrap())).await;
    assert_eq!((status, &one), (200, &backup));
    let (status, all) = respaldo.read("/backups").await;
    assert_eq!((status, &all), (200, &json!([backup])));
    assert!(
        names(&folder.path().join("data/backups")).contains(&backup["name"].as_str().unwrap().to_owned())
    );

    let metrics = respaldo.get("/metrics").send().await.unwrap();
    assert_eq!(metrics.status(), 200);
    assert!(metrics.text().await.unwrap().contains("backup_total{"));
    assert_eq!(respaldo.get("/docs").send().await.unwrap().status(), 200);
}
