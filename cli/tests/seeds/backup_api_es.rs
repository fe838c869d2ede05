//! The document in Spanish: `global`, `package-conf`, two databases with an `id`, a time zone, restores by hand, packages,
//! the reference of the API, and the metrics.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use jiff::Timestamp;
use reqwest::Method;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::{Respaldo, read};
use serde_json::{Value, json};

use super::{BINARY, filled, gunzip, md5sum, names, printed};

/// `config.yaml` as printed, with the addresses of these servers.
fn config(postgres: &Postgres, database: &str, mongo: &NotMongod) -> String {
    format!(
        r#"global:
  # Valores por defecto para todas las bases de datos
  schedule: "0 2 * * *"       # Cron para backups diarios a las 2 AM
  compression: "gzip"
  retention_days: 15
  max_backups: 10
  max_parallel_jobs: 4      # Número máximo de backups simultáneos

package-conf:
  # Configuración para el empaquetado de backups
  schedule: "0 5 * * 1"       # Empaquetar cada lunes a las 5 AM
  compression: "zip"          # Formato del paquete (zip o tar.gz)
  retention_days: 30
  max_backups: 4

databases:
  - id: "pg_ventas_prod"
    name: "PostgreSQL Ventas"
    engine: "postgres"
    host: "{}"
    port: {}
    username_var: "POSTGRES_USER"
    password_var: "POSTGRES_PASSWORD"
    database_name: "{database}"
    schedule: "0 3 * * *"       # Sobrescribe el schedule global
    package: true               # Incluir en los paquetes de backup

  - id: "mongo_logs_dev"
    name: "MongoDB Logs"
    engine: "mongodb"
    host: "127.0.0.1"
    port: {}
    database_name: "logsdb"
    # Hereda el resto de la configuración de 'global'
"#,
        postgres.host(),
        postgres.port(),
        mongo.port()
    )
}

/// The document's set-up, running.
struct Setup {
    postgres: &'static Postgres,
    source: String,
    mongo: NotMongod,
    folder: tempfile::TempDir,
    respaldo: Respaldo,
}

impl Setup {
    async fn start() -> Self {
        let postgres = Postgres::shared();
        let source = postgres.fresh_database("ventasdb");
        postgres.sample_schema(&source);
        let mongo = filled("logsdb", None);
        let folder = tempfile::tempdir().unwrap();
        let respaldo = Respaldo::new(BINARY, folder.path(), &config(postgres, &source, &mongo))
            .env("POSTGRES_USER", postgres.user())
            .env("POSTGRES_PASSWORD", postgres.password())
            .env("TZ", "Europe/Madrid")
            .start()
            .await;
        Self { postgres, source, mongo, folder, respaldo }
    }

    fn backups(&self) -> std::path::PathBuf {
        self.folder.path().join("data/backups")
    }

    /// Backs a database up; answers its record and its file.
    async fn back_up(&self, database: &Value) -> (Value, std::path::PathBuf) {
        let backup = self.respaldo.back_up(database).await;
        assert_eq!(backup["status"], "succeeded", "{backup}");
        let file = self.backups().join(backup["name"].as_str().unwrap());
        (backup, file)
    }

    /// A command of PostgreSQL's as it is printed, fed with a file: only the port is added.
    fn feed(&self, tool: &str, database: &str, more: &[&str], file: &Path) {
        let mut command = command(self.postgres.bin_dir().join(tool));
        command.args(["-h", self.postgres.host(), "-U", self.postgres.user(), "-d", database]).args(more);
        command.env("PGPORT", self.postgres.port().to_string()).env("PGPASSWORD", self.postgres.password());
        run(command, fs::File::open(file).unwrap());
    }
}

fn in_madrid(database: &Value) -> jiff::Zoned {
    let next: Timestamp = database["next_run_at"].as_str().unwrap().parse().unwrap();
    next.in_tz("Europe/Madrid").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_config_yaml_is_inherited_as_it_says_and_runs_in_the_zone_of_tz() {
    let setup = Setup::start().await;
    let (status, list) = setup.respaldo.read("/databases").await;
    assert_eq!((status, list.as_array().unwrap().len()), (200, 2), "{list}");
    let expected = [
        json!({
            "id": 1, "config_id": "pg_ventas_prod", "name": "PostgreSQL Ventas", "schedule": "0 3 * * *",
            "retention_days": 15, "max_backups": 10, "compression": "gzip", "package": true, "held_back": null
        }),
        json!({
            "id": 2, "config_id": "mongo_logs_dev", "name": "MongoDB Logs", "engine": "mongodb",
            "database_name": "logsdb", "schedule": "0 2 * * *", "retention_days": 15, "max_backups": 10,
            "compression": "gzip", "package": false, "held_back": null
        }),
    ];
    for (database, expected) in list.as_array().unwrap().iter().zip(&expected) {
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&database[field], value, "{field} of {database}");
        }
    }
    for (database, hour) in [(&list[0], 3), (&list[1], 2)] {
        let next = in_madrid(database);
        assert_eq!((next.hour(), next.minute()), (hour, 0), "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_backup_is_restored_by_hand_with_the_printed_commands() {
    let setup = Setup::start().await;
    let (_, list) = setup.respaldo.read("/databases").await;
    let (backup, file) = setup.back_up(&list[0]).await;
    assert_eq!(md5sum(&file), backup["md5"].as_str().unwrap());
    let plain = setup.folder.path().join("backup_file.sql");
    fs::write(&plain, gunzip(&file)).unwrap();
    let copy = setup.postgres.fresh_database("by_psql");
    setup.feed("psql", &copy, &[], &plain);
    assert_eq!(setup.postgres.dump_normalised(&copy), setup.postgres.dump_normalised(&setup.source));

    let custom = json!({"format": "custom", "compression": "none"});
    let request = setup.respaldo.request(Method::PATCH, "/databases/1").json(&custom);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (_, file) = setup.back_up(&list[0]).await;
    assert!(file.extension().is_some_and(|extension| extension == "dump"), "{}", file.display());
    let copy = setup.postgres.fresh_database("by_pg_restore");
    setup.feed("pg_restore", &copy, &["--verbose"], &file);
    assert_eq!(setup.postgres.dump_normalised(&copy), setup.postgres.dump_normalised(&setup.source));
}

/// The printed command gives `mongorestore` a folder. There is none here to run: what it would read is compared.
#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_backup_becomes_the_folder_that_mongorestore_reads_and_comes_back_by_api() {
    let setup = Setup::start().await;
    let (_, list) = setup.respaldo.read("/databases").await;
    let (backup, file) = setup.back_up(&list[1]).await;
    let name = backup["name"].as_str().unwrap();
    assert!(name.starts_with("mongodb_logsdb_") && name.ends_with(".archive.gz"), "{name}");
    assert_eq!(gunzip(&file)[..4], [0x6d, 0xe2, 0x99, 0x81], "it is no archive of mongodump's");

    let id = backup["id"].as_str().unwrap();
    let mut fetch = command(BINARY);
    fetch.current_dir(setup.folder.path()).args(["rescue", "fetch", id, "--storage", "file://data/backups"]);
    fetch.args(["--directory", "dump"]);
    run(fetch, std::io::empty());
    let before = setup.mongo.snapshot("logsdb");
    let laid = names(&setup.folder.path().join("dump/logsdb"));
    for (collection, content) in &before.0 {
        assert!(laid.contains(&format!("{collection}.metadata.json")), "{laid:?}");
        let file = setup.folder.path().join(format!("dump/logsdb/{collection}.bson"));
        let documents: Vec<&[u8]> = content.documents.iter().map(|document| document.as_bytes()).collect();
        if content.kind != "view" {
            assert_eq!(fs::read(&file).unwrap(), documents.concat(), "{collection} of {laid:?}");
        }
    }

    setup.mongo.run("logsdb", &bson::rawdoc! {"dropDatabase": 1});
    let restore = setup.respaldo.request(Method::POST, &format!("/backups/{id}/restore"));
    let (status, job) =
        read(restore.header("Prefer", "wait=60").json(&json!({})).send().await.unwrap()).await;
    assert_eq!((status, &job["status"]), (200, &json!("succeeded")), "{job}");
    assert_eq!(setup.mongo.snapshot("logsdb").differences(&before), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_hold_the_latest_backups_of_the_databases_with_package_true_and_are_listed_fetched_and_removed()
 {
    let setup = Setup::start().await;
    let (_, list) = setup.respaldo.read("/databases").await;
    setup.back_up(&list[0]).await;
    let (latest, file) = setup.back_up(&list[0]).await;
    setup.back_up(&list[1]).await;

    let request = setup.respaldo.request(Method::POST, "/packages").header("Prefer", "wait=60");
    let (status, package) = read(request.send().await.unwrap()).await;
    assert_eq!((status, &package["status"], &package["format"]), (201, &json!("succeeded"), &json!("zip")));
    let members = package["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["backup_id"]), (1, &latest["id"]), "{package}");
    let (status, listed) = setup.respaldo.read("/packages").await;
    assert_eq!((status, &listed), (200, &json!([package])));

    let path = format!("/packages/{}", package["id"].as_str().unwrap());
    let answer = setup.respaldo.get(&format!("{path}/download")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let zip = setup.folder.path().join("fetched.zip");
    fs::File::create(&zip).unwrap().write_all(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(md5sum(&zip), package["md5"].as_str().unwrap());
    let mut unzip = command("unzip");
    unzip.arg("-q").arg(&zip).arg("-d").arg(setup.folder.path().join("unpacked")).stdout(Stdio::null());
    run(unzip, std::io::empty());
    let unpacked = setup.folder.path().join("unpacked");
    let name = latest["name"].as_str().unwrap();
    assert_eq!(fs::read(unpacked.join(name)).unwrap(), fs::read(&file).unwrap());
    let listing = String::from_utf8(printed("unzip", &["-Z1"], &zip)).unwrap();
    assert_eq!(listing.lines().count(), 4, "{listing}");

    let removed = setup.respaldo.request(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(removed.status(), 204);
    let (status, left) = setup.respaldo.read("/packages").await;
    assert_eq!((status, left), (200, json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_of_the_api_holds_as_printed() {
    let setup = Setup::start().await;
    let body = json!({
        "name": "PostgreSQL Producción",
        "engine": "postgres",
        "host": setup.postgres.host(),
        "port": setup.postgres.port(),
        "database_name": setup.source,
        "schedule": "0 4 * * *",
        "retention_days": 30,
        "max_backups": 15,
        "compression": "gzip",
        "credentials": {"username": setup.postgres.user(), "password": setup.postgres.password()}
    });
    let (status, database) = setup.respaldo.post("/databases", &body).await;
    assert_eq!(
        (status, &database["id"], &database["config_id"]),
        (201, &json!(3), &Value::Null),
        "{database}"
    );
    for field in [
        "name",
        "engine",
        "host",
        "port",
        "database_name",
        "schedule",
        "retention_days",
        "max_backups",
        "compression",
    ] {
        assert_eq!(database[field], body[field], "{field}");
    }
    assert!(
        database.get("credentials").is_none() && !database.to_string().contains(setup.postgres.password())
    );

    let (status, list) = setup.respaldo.read("/databases").await;
    assert_eq!((status, &list[2]["id"], &list[2]["name"]), (200, &json!(3), &body["name"]));
    let patch =
        setup.respaldo.request(Method::PATCH, "/databases/3").json(&json!({"schedule": "0 1 * * 1-5"}));
    let (status, patched) = read(patch.send().await.unwrap()).await;
    assert_eq!((status, &patched["schedule"]), (200, &json!("0 1 * * 1-5")));
    assert_ne!(patched["next_run_at"], database["next_run_at"]);
    let (backup, _) = setup.back_up(&patched).await;
    assert_eq!(backup["database_id"], 3);

    let page = setup.respaldo.get("/docs/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("swagger-ui"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_that_are_named_are_there_and_the_dashboard_asks_for_them() {
    let setup = Setup::start().await;
    let (_, list) = setup.respaldo.read("/databases").await;
    setup.back_up(&list[0]).await;
    let request = setup.respaldo.request(Method::POST, "/packages").header("Prefer", "wait=60");
    assert_eq!(request.send().await.unwrap().status(), 201);
    let metrics = setup.respaldo.get("/metrics").send().await.unwrap().text().await.unwrap();
    let dashboard = respaldo_testkit::prometheus::of_repository("grafana-dashboard.json");
    for name in [
        "backup_total",
        "backup_duration_seconds",
        "backup_bytes",
        "backup_package_total",
        "available_disk_space_bytes",
    ] {
        let samples = metrics.lines().filter(|line| line.starts_with(name));
        assert!(samples.count() > 0, "{name} is missing");
        assert!(dashboard.contains(name), "no panel asks for {name}");
    }
    let packaged =
        metrics.lines().find(|line| line.starts_with("backup_package_total{status=\"succeeded\"}"));
    assert_eq!(packaged, Some("backup_package_total{status=\"succeeded\"} 1"));
}
