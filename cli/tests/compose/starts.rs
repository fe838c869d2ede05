//! The server as the compose file starts it, on this machine: its own command and variables, with other folders.

use std::fs;

use respaldo_testkit::host::random_hex;
use respaldo_testkit::prometheus::of_repository;
use respaldo_testkit::respaldo::{Respaldo, read};
use serde_json::json;

use crate::file::{Compose, list};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// 32 bytes in base64, as `openssl rand -base64 32` prints them.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A variable's value as compose would fill it in.
fn filled(name: &str, value: &str, secret: &str) -> String {
    match value.strip_prefix("${") {
        None => value.to_owned(),
        Some(_) if name == "TZ" => "Europe/Madrid".to_owned(),
        Some(_) if name == "RESPALDO_MASTER_KEY" => MASTER_KEY.to_owned(),
        Some(_) => format!("{name}-{secret}"),
    }
}

#[tokio::test]
async fn the_server_starts_with_what_the_compose_file_gives_it_and_its_three_keys_open_what_they_should() {
    let (compose, folder, secret) = (Compose::ours(), tempfile::tempdir().unwrap(), random_hex(8));
    let app = folder.path().canonicalize().unwrap();
    for place in ["data", "backups"] {
        fs::create_dir(app.join(place)).unwrap();
    }
    assert_eq!(list(&compose.service("backend")["command"]), ["serve", "--config", "/app/config.yaml"]);
    let mut respaldo = Respaldo::new(BINARY, &app, &of_repository("infra/compose/config.yaml"));
    for (name, value) in compose.environment("backend") {
        let value = filled(name, value, &secret).replace("///app/", &format!("//{}/", app.display()));
        respaldo = respaldo.env(name, &value);
    }
    let respaldo = respaldo.start().await;

    let admin = format!("ADMIN_API_KEY-{secret}");
    let (status, databases) =
        read(respaldo.get("/databases").header("X-Admin-Key", &admin).send().await.unwrap()).await;
    assert_eq!(status, 200, "{databases}");
    let named: Vec<&str> =
        databases.as_array().unwrap().iter().map(|one| one["config_id"].as_str().unwrap()).collect();
    assert_eq!(named, ["pg_ventas", "mongo_logs", "mariadb_tienda"]);
    assert_eq!(databases[0]["timezone"], "Europe/Madrid");
    assert!(app.join("data/catalog.db").exists() && !app.join("data/master.key").exists());
    assert_eq!(respaldo.get("/databases").send().await.unwrap().status(), 401);
    for (header, key, status) in
        [("X-Delete-Key", "BACKUP_DELETE_API_KEY", 200), ("X-Delete-Key", "ADMIN_API_KEY", 403)]
    {
        let request = respaldo.request(reqwest::Method::POST, "/retention").json(&json!({}));
        let answer = request.header(header, format!("{key}-{secret}")).send().await.unwrap();
        assert_eq!(answer.status(), status, "{key}");
    }
    // Prometheus scrapes it without a key.
    let metrics = respaldo.get("/metrics").send().await.unwrap();
    assert_eq!(metrics.status(), 200);
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("backup_held_back{database=\"pg_ventas\",database_id=\"1\",engine=\"postgres\"} 0"),
        "{metrics}"
    );
    assert!(!respaldo.log().contains(&secret), "a secret is in the log");
}
