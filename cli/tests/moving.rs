//! `respaldo config apply` and `respaldo catalog export | import`, called as people call them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use respaldo_testkit::host::command;
use respaldo_testkit::respaldo::Respaldo;
use respaldo_testkit::sqlite;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const CONFIG: &str = "\
server:
  lease_seconds: 40
databases:
  - {id: notes, name: Notes, engine: sqlite, database_name: data/notes.db, schedule: '0 3 * * *'}
  - {id: other, name: Other, engine: sqlite, database_name: data/other.db}
";

fn respaldo(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(BINARY);
    command.args(arguments).current_dir(folder).envs(variables.iter().copied());
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = respaldo(folder, arguments, &[]);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = respaldo(folder, arguments, &[]);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

/// The names of everything below a folder.
fn all_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.display().to_string());
        if path.is_dir() {
            names.extend(all_below(&path));
        }
    }
    names.sort();
    names
}

#[test]
fn a_file_is_planned_shown_applied_and_then_nothing_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    let before = all_below(folder);
    let plan = printed(folder, &["config", "apply", "--dry-run"]);
    for line in ["notes: create: new in the file", "settings: new in this catalog", "leave out --dry-run"] {
        assert!(plan.contains(line), "{plan}");
    }
    assert_eq!(all_below(folder), before, "a plan writes nothing");
    assert!(printed(folder, &["config", "apply"]).ends_with("applied\n"));
    let again = printed(folder, &["config", "apply"]);
    assert!(
        again.contains("2 databases stay as they are") && again.contains("nothing has changed"),
        "{again}"
    );

    let changed = CONFIG.replace("40", "41").replace("0 3 * * *", "0 4 * * *");
    let (one, _) = changed.rsplit_once("  - {id: other").unwrap();
    fs::write(folder.join("config.yaml"), one).unwrap();
    let plan = printed(folder, &["config", "apply", "--dry-run"]);
    for line in
        ["notes (database 1): change schedule", "other (database 2): disable", "settings: change: server"]
    {
        assert!(plan.contains(line), "{plan}");
    }
    printed(folder, &["config", "apply"]);
    assert!(printed(folder, &["config", "apply"]).contains("nothing has changed"));
}

#[test]
fn a_file_that_cannot_be_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let entry = |path: &str| format!("databases:\n  - {{name: a, engine: sqlite, database_name: {path}}}\n");
    for (text, word) in [
        (CONFIG.replace("lease_seconds", "leese_seconds"), "config.yaml:2:"),
        (entry("/etc/shadow"), "databases.a.database_name"),
    ] {
        fs::write(folder.join("config.yaml"), text).unwrap();
        let before = all_below(folder);
        let told = refused(folder, &["config", "apply"]);
        assert!(told.contains(word), "{told}");
        assert_eq!(all_below(folder), before, "{word}");
    }
    // Without a file every database would seem to have left it.
    fs::remove_file(folder.join("config.yaml")).unwrap();
    assert!(refused(folder, &["config", "apply"]).contains("config.yaml"));
}

#[test]
fn a_reference_that_this_build_or_nobody_knows_is_told_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("config.yaml"), CONFIG).unwrap();
    let variable = "RESPALDO_MASTER_KEY_FROM";
    for reference in ["hunter2", "vault:secret#x", "secretsmanager:a b"] {
        let output = respaldo(folder, &["config", "apply"], &[(variable, reference)]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(variable), "{told}");
        assert!(!told.contains(reference), "{told}");
    }
    let both =
        [(variable, "ssm:/a"), ("RESPALDO_MASTER_KEY", "x"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    assert!(!respaldo(folder, &["config", "apply"], &both).status.success());
    assert!(!folder.join("data").exists());
}

/// A server with a database, backups and a key, stopped.
async fn filled(folder: &Path) -> (Value, Value) {
    fs::create_dir_all(folder.join("data")).unwrap();
    sqlite::sample(&folder.join("data/notes.db"));
    let (config, _) = CONFIG.rsplit_once("  - {id: other").unwrap();
    let mut server = Respaldo::new(BINARY, folder, config).start().await;
    let fields = json!({"name": "Sealed", "engine": "sqlite", "database_name": "data/notes.db"});
    assert_eq!(server.post("/databases", &fields).await.0, 201);
    for id in [1, 2] {
        assert_eq!(server.back_up(&json!({"id": id})).await["status"], "succeeded");
    }
    let (databases, backups) = (server.read("/databases").await.1, server.read("/backups").await.1);
    assert!(server.terminate());
    (databases, backups)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_the_imported_catalog_answers_as_the_old_one_did_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (databases, backups) = filled(folder).await;
    let export = ["catalog", "export", "--catalog", "sqlite://data/catalog.db", "--output", "moved.jsonl"];
    let told = printed(folder, &export);
    assert!(told.starts_with("moved.jsonl: 2 databases, 2 jobs with "), "{told}");
    assert_eq!(fs::metadata(folder.join("moved.jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.join("moved.jsonl.partial").exists());
    assert!(refused(folder, &export).contains("is there already"), "a file is never replaced");

    let import = ["catalog", "import", "--catalog", "sqlite://new/catalog.db", "--input", "moved.jsonl"];
    let told = refused(folder, &import);
    assert!(told.contains("master key") && told.contains("new/master.key"), "{told}");
    fs::create_dir(folder.join("new")).unwrap();
    fs::copy(folder.join("data/master.key"), folder.join("new/master.key")).unwrap();
    let told = printed(folder, &[&import[..], &["--dry-run"]].concat());
    assert!(told.contains("would hold 2 databases"), "{told}");
    assert!(!folder.join("new/catalog.db").exists());

    let whole = fs::read(folder.join("moved.jsonl")).unwrap();
    fs::write(folder.join("cut.jsonl"), &whole[..whole.len() - 9]).unwrap();
    let mut cut = import;
    cut[5] = "cut.jsonl";
    assert!(refused(folder, &cut).contains("is not what Respaldo writes"));
    assert!(!folder.join("new/catalog.db").exists(), "nothing is made of a file that is not whole");

    let told = printed(folder, &import);
    assert!(told.contains("holds 2 databases, 2 jobs"), "{told}");
    let told = printed(folder, &import);
    assert!(told.contains("nothing was written"), "{told}");

    fs::rename(folder.join("data/catalog.db"), folder.join("data/old.db")).unwrap();
    let (config, _) = CONFIG.rsplit_once("  - {id: other").unwrap();
    let new = Respaldo::new(BINARY, folder, config).arg("--catalog").arg("sqlite://new/catalog.db");
    let mut server = new.start().await;
    assert_eq!(server.read("/databases").await.1, databases);
    assert_eq!(server.read("/backups").await.1, backups);
    let made = server.back_up(&json!({"id": 1})).await;
    assert_eq!(made["status"], "succeeded");
    let fields = json!({"name": "Third", "engine": "sqlite", "database_name": "data/notes.db"});
    assert_eq!(server.post("/databases", &fields).await.1["id"], 3);
    assert!(server.terminate());
}

#[test]
fn a_catalog_that_is_not_there_is_not_made_for_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = ["catalog", "export", "--catalog", "sqlite://data/catalog.db", "--output", "f"];
    let told = refused(folder, &arguments);
    assert!(told.contains("data/catalog.db"), "{told}");
    assert!(all_below(folder).is_empty());
}
