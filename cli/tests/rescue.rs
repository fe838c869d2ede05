//! `respaldo rescue` and `respaldo catalog rebuild`, called as people call them, on what a real server stored.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use respaldo_core::seal::Identity;
use respaldo_testkit::host::{command, unique};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::Respaldo;
use respaldo_testkit::sqlite;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// The command in a folder, with the master key that lies in `data` where there is one.
fn respaldo(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(BINARY);
    command.args(arguments).current_dir(folder).env("STORAGE_URL", "file://data/backups");
    let key = folder.join("data/master.key");
    if key.exists() {
        command.env("RESPALDO_MASTER_KEY_FILE", key);
    }
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = respaldo(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = respaldo(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// A server with databases from its file and by API, two backups each, stopped.
async fn filled(folder: &Path, recipient: &str) -> (Respaldo, Value, Value) {
    fs::create_dir_all(folder.join("data")).unwrap();
    sqlite::sample(&folder.join("data/notes.db"));
    let config = "databases:\n  - {id: notes, name: Notes, engine: sqlite, database_name: data/notes.db, \
                  schedule: '0 3 * * *', retention_days: 30}\n";
    let mut server = Respaldo::new(BINARY, folder, config).start().await;
    let fields = json!({"name": "Sealed", "engine": "sqlite", "database_name": "data/notes.db",
        "encryption": [recipient], "compression": "zstd"});
    assert_eq!(server.post("/databases", &fields).await.0, 201);
    let fields = json!({"name": "Orders", "engine": "postgres", "host": "127.0.0.1", "port": 1,
        "database_name": "orders", "credentials": {"username": "ana", "password": "hunter2"}});
    let (status, answer) = server.post("/databases", &fields).await;
    assert_eq!(status, 201, "{answer}");
    for id in [1, 1, 2, 2] {
        assert_eq!(server.back_up(&json!({"id": id})).await["status"], "succeeded");
    }
    let (databases, backups) = (server.read("/databases").await.1, server.read("/backups").await.1);
    assert!(server.terminate());
    (server, databases, backups)
}

/// An answer without what only the lost catalog knew.
fn lasting(list: &Value, fields: &[&str]) -> Vec<Value> {
    let mut list = list.as_array().unwrap().clone();
    for item in &mut list {
        for field in fields {
            item.as_object_mut().unwrap().remove(*field);
        }
    }
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_rebuilt_catalog_answers_as_the_lost_one_did() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipient = Identity::generate().recipient().to_string();
    let (mut server, databases, backups) = filled(folder, &recipient).await;
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        fs::remove_file(folder.join("data").join(file)).ok();
    }
    let rebuild = ["catalog", "rebuild", "--catalog", "sqlite://data/catalog.db"];
    let plan = printed(folder, &[&rebuild[..], &["--dry-run"]].concat());
    assert!(
        plan.contains("would hold 3 databases and 4 backups") && plan.contains("nothing was written"),
        "{plan}"
    );
    assert!(!folder.join("data/catalog.db").exists());
    let done = printed(folder, &rebuild);
    assert!(done.contains("holds 3 databases and 4 backups"), "{done}");
    assert!(
        done.contains("Orders (postgres orders at 127.0.0.1:1): 0 backups, sealed credentials open"),
        "{done}"
    );
    let left: Vec<_> = fs::read_dir(folder.join("data")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("rebuilding")), "{left:?}");
    assert!(refused(folder, &rebuild).contains("not empty"));

    server.restart().await;
    let (status, after) = server.read("/databases").await;
    assert_eq!(status, 200);
    assert_eq!(lasting(&after, &["updated_at"]), lasting(&databases, &["updated_at"]));
    let (_, after) = server.read("/backups").await;
    let ends = ["finished_at", "duration_seconds"];
    assert_eq!(lasting(&after, &ends), lasting(&backups, &ends));
    // It goes on: the next backup has a record, a name and a number of its own.
    assert_eq!(server.back_up(&json!({"id": 1})).await["status"], "succeeded");
    assert_eq!(server.read("/backups").await.1.as_array().unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_a_rebuild_says_what_is_lost_and_goes_on_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut server, ..) = filled(folder, &Identity::generate().recipient().to_string()).await;
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm", "master.key"] {
        fs::remove_file(folder.join("data").join(file)).ok();
    }
    let rebuild = ["catalog", "rebuild", "--catalog", "sqlite://data/catalog.db"];
    let said = refused(folder, &rebuild);
    assert!(said.contains("master key") && said.contains("--without-key"), "{said}");
    assert!(!folder.join("data/master.key").exists() && !folder.join("data/catalog.db").exists());
    let done = printed(folder, &[&rebuild[..], &["--without-key"]].concat());
    assert!(done.contains("1 databases need their credentials again"), "{done}");
    assert!(folder.join("data/master.key").exists(), "a new catalog has a key");
    server.restart().await;
    assert_eq!(server.read("/backups").await.1.as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_listed_fetched_and_restored_from_storage_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let identity = Identity::generate();
    let (_server, _, backups) = filled(folder, &identity.recipient().to_string()).await;
    fs::remove_file(folder.join("data/catalog.db")).unwrap();
    let listed: Value = serde_json::from_str(&printed(folder, &["rescue", "list", "--json"])).unwrap();
    assert_eq!(listed["totals"]["whole"], 4);
    let mut names: Vec<&Value> =
        listed["backups"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    let mut expected: Vec<&Value> = backups.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    names.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(names, expected);
    let text = printed(folder, &["rescue", "list"]);
    assert!(text.contains("4 whole backups") && text.contains("signature verified"), "{text}");

    let sealed = backups.as_array().unwrap().iter().find(|one| one["database_id"] == 2).unwrap();
    let (id, name) = (sealed["id"].as_str().unwrap(), sealed["name"].as_str().unwrap());
    printed(folder, &["rescue", "fetch", id]);
    let location = sealed["location"].as_str().unwrap().trim_start_matches("file://");
    assert_eq!(fs::read(folder.join(name)).unwrap(), fs::read(location).unwrap());
    assert!(refused(folder, &["rescue", "fetch", id]).contains("--force"));
    let said = refused(folder, &["rescue", "fetch", id, "--dump"]);
    assert!(said.contains("identity"), "{said}");
    let secret = identity.to_secret_string();
    let secret = respaldo_core::ports::ExposeSecret::expose_secret(&secret).to_owned();
    fs::write(folder.join("identity.txt"), secret).unwrap();
    fs::set_permissions(folder.join("identity.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    let out =
        respaldo(folder, &["rescue", "fetch", name, "--dump", "--identity", "identity.txt", "--output", "-"]);
    assert!(out.status.success());
    fs::write(folder.join("piped.db"), out.stdout).unwrap();
    let notes = sqlite::dump(&folder.join("data/notes.db"));
    assert_eq!(sqlite::dump(&folder.join("piped.db")), notes);

    let to = format!("sqlite://{}", folder.join("restored.db").display());
    let restore = ["rescue", "restore", id, "--to", &to, "--identity", "identity.txt"];
    let plan = printed(folder, &restore);
    assert!(plan.contains("nothing was done; to do it, add --yes"), "{plan}");
    assert!(!folder.join("restored.db").exists());
    printed(folder, &[&restore[..], &["--yes"]].concat());
    assert_eq!(sqlite::dump(&folder.join("restored.db")), notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_mongodb_is_laid_out_as_files_and_of_no_other_database() {
    let source = NotMongod::start();
    let database = "museum";
    Museum::default().fill(&source, database);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("data")).unwrap();
    sqlite::sample(&folder.join("data/notes.db"));
    let config = "databases:\n  - {id: notes, name: Notes, engine: sqlite, database_name: data/notes.db}\n";
    let server = Respaldo::new(BINARY, folder, config).start().await;
    let fields = json!({"name": "Museum", "engine": "mongodb", "host": "127.0.0.1", "port": source.port(),
        "database_name": database, "compression": "zstd"});
    assert_eq!(server.post("/databases", &fields).await.0, 201);
    let museum = server.back_up(&json!({"id": 2})).await;
    assert_eq!(museum["status"], "succeeded", "{museum}");
    let notes = server.back_up(&json!({"id": 1})).await;
    let id = |backup: &Value| backup["id"].as_str().unwrap().to_owned();

    let laid_out = respaldo(folder, &["rescue", "fetch", &id(&museum), "--directory", "dump"]);
    let said = String::from_utf8_lossy(&laid_out.stderr);
    assert!(laid_out.status.success() && said.contains("whole; signature verified"), "{said}");
    for name in ["values", "ids", "not_utf8", "empty"] {
        let documents = source.documents(database, name);
        let expected: Vec<u8> = documents.iter().flat_map(|document| document.as_bytes().to_vec()).collect();
        assert_eq!(fs::read(folder.join(format!("dump/museum/{name}.bson"))).unwrap(), expected, "{name}");
        assert!(folder.join(format!("dump/museum/{name}.metadata.json")).exists());
    }
    let buckets = folder.join("dump/museum/system.buckets.weather.bson");
    assert!(buckets.metadata().unwrap().len() > 0 && folder.join("dump/prelude.json").exists());
    let again = refused(folder, &["rescue", "fetch", &id(&museum), "--directory", "dump"]);
    assert!(again.contains("is not an empty folder"), "{again}");
    let other = refused(folder, &["rescue", "fetch", &id(&notes), "--directory", "notes"]);
    assert!(other.contains("a backup of sqlite") && other.contains("--dump"), "{other}");
    let both = refused(folder, &["rescue", "fetch", &id(&museum), "--directory", "x", "--output", "y"]);
    assert!(both.contains("cannot be used with"), "{both}");
}

#[test]
fn a_password_in_a_target_and_a_folder_that_is_not_there_are_refused_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &["rescue", "restore", "01", "--to", "postgres://u:hunter2@h/db"]);
    assert!(said.contains("RESPALDO_TARGET_PASSWORD") && !said.contains("hunter2"), "{said}");
    let said = refused(folder.path(), &["rescue", "list"]);
    assert!(said.contains("there is no folder data/backups"), "{said}");
    let said = refused(folder.path(), &["rescue", "list", "--storage", "file://elsewhere"]);
    assert!(said.contains("elsewhere"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A restore from storage alone, with the password in a file.
fn restoring(folder: &Path, id: &str, to: &str, password: &str, more: &[&str]) -> Output {
    let file = folder.join("password");
    fs::write(&file, password).unwrap();
    let mut command = command(BINARY);
    command.args(["rescue", "restore", id, "--to", to, "--yes"]).args(more).current_dir(folder);
    command.env("STORAGE_URL", "file://data/backups").env("RESPALDO_TARGET_PASSWORD_FILE", &file);
    command.env("RESPALDO_MASTER_KEY_FILE", folder.join("data/master.key"));
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn restored(folder: &Path, id: &str, to: &str, password: &str, more: &[&str]) {
    let output = restoring(folder, id, to, password, more);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_and_mariadb_are_restored_from_storage_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("data")).unwrap();
    let mut server = Respaldo::new(BINARY, folder, "databases: []\n").start().await;
    let (pg, maria) = (Postgres::shared(), Mysql::shared());
    let (of_pg, of_maria) = (pg.fresh_database("rescue"), maria.fresh_database("rescue"));
    pg.sample_schema(&of_pg);
    maria.sample_schema(&of_maria);
    let mut ids = Vec::new();
    for fields in [
        json!({"name": "plain", "engine": "postgres", "host": pg.host(), "port": pg.port(), "database_name": of_pg,
            "credentials": {"username": pg.user(), "password": pg.password()}}),
        json!({"name": "custom", "engine": "postgres", "host": pg.host(), "port": pg.port(), "database_name": of_pg,
            "format": "custom", "credentials": {"username": pg.user(), "password": pg.password()}}),
        json!({"name": "maria", "engine": "mariadb", "host": maria.host(), "port": maria.port(),
            "database_name": of_maria,
            "credentials": {"username": maria.user(), "password": maria.password()}}),
    ] {
        let (status, database) = server.post("/databases", &fields).await;
        assert_eq!(status, 201, "{database}");
        let backup = server.back_up(&database).await;
        assert_eq!(backup["status"], "succeeded", "{backup}");
        ids.push(backup["id"].as_str().unwrap().to_owned());
    }
    server.kill();
    fs::remove_file(folder.join("data/catalog.db")).unwrap();
    for id in &ids[..2] {
        let new = unique("rescued");
        let to = format!("postgres://{}@{}:{}/{new}", pg.user(), pg.host(), pg.port());
        restored(folder, id, &to, pg.password(), &[]);
        assert_eq!(pg.dump_normalised(&new), pg.dump_normalised(&of_pg));
        // What is there is replaced only by force.
        pg.psql(&new, "CREATE TABLE precious (a int)");
        let output = restoring(folder, id, &to, pg.password(), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("--force"), "{said}");
        assert_eq!(pg.psql(&new, "SELECT count(*) FROM precious"), "0");
        restored(folder, id, &to, pg.password(), &["--force"]);
        assert_eq!(pg.dump_normalised(&new), pg.dump_normalised(&of_pg));
    }
    let new = unique("rescued");
    let to = format!("mariadb://{}@{}:{}/{new}", maria.user(), maria.host(), maria.port());
    restored(folder, &ids[2], &to, maria.password(), &[]);
    assert_eq!(maria.dump_normalised(&new), maria.dump_normalised(&of_maria));
}
