//! `respaldo doctor` on configurations: it names what would hold a database back, and its exit code says
//! whether anything would. And `respaldo serve` says the same at its start.
#![expect(clippy::disallowed_methods, reason = "these tests start the binary itself")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use respaldo_testkit::respaldo::Respaldo;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const VALUE: &str = "hunter2-and-more";

/// Three databases: one whose variables are set, one without its password, and one of no engine here.
const CONFIG: &str = "\
databases:
  - {id: notes, name: Notes, engine: sqlite, database_name: data/notes.db, schedule: '@daily'}
  - {id: sales, name: Sales, engine: postgres, host: 127.0.0.1, port: 1, database_name: s,
     username_var: SALES_USER, password_var: SALES_PASSWORD, schedule: '@daily'}
  - {id: plant, name: Plant, engine: oracle, host: h, database_name: d, username_var: PLANT_USER}
";

/// What `doctor` prints, and whether it succeeds.
fn doctor(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (String, bool) {
    let mut command = Command::new(BINARY);
    command.arg("doctor").args(arguments).current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8(said).unwrap(), output.status.success())
}

#[test]
fn doctor_names_each_database_that_would_be_held_back_and_its_variable_and_no_value() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
    let (said, whole) = doctor(folder.path(), &[], &[("SALES_USER", VALUE)]);
    assert!(!whole, "{said}");
    for line in [
        "config.yaml: 3 databases",
        "  ok       notes (sqlite)",
        "  missing  sales: the variable SALES_PASSWORD is not set: set it, or SALES_PASSWORD_FILE",
        "  missing  plant: the variable PLANT_USER is not set: set it, or PLANT_USER_FILE",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in {said}");
    }
    assert!(said.contains("  missing  plant: the engine oracle is not built yet in this version"), "{said}");
    assert!(!said.contains("SALES_USER") && !said.contains(VALUE), "{said}");
}

#[test]
fn doctor_succeeds_when_nothing_of_the_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite_only: String = CONFIG.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(folder.path().join("other.yaml"), sqlite_only).unwrap();
    let (said, whole) = doctor(folder.path(), &["--config", "other.yaml"], &[]);
    assert!(whole && said.contains("other.yaml: 1 databases"), "{said}");
    let secret = folder.path().join("secret");
    fs::write(&secret, VALUE).unwrap();
    fs::write(folder.path().join("config.yaml"), CONFIG.lines().take(4).collect::<Vec<_>>().join("\n"))
        .unwrap();
    let variables = [("SALES_USER", VALUE), ("SALES_PASSWORD_FILE", secret.to_str().unwrap())];
    let (said, _) = doctor(folder.path(), &[], &variables);
    assert!(said.contains("  ok       sales (postgres)") && !said.contains(VALUE), "{said}");
}

#[test]
fn a_file_that_is_not_there_or_not_right_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (said, whole) = doctor(folder.path(), &["--config", "nowhere.yaml"], &[]);
    assert!(!whole && said.lines().last().unwrap().contains("nowhere.yaml"), "{said}");
    fs::write(folder.path().join("config.yaml"), "databases:\n  - name: a\n    colour: red\n").unwrap();
    let (said, whole) = doctor(folder.path(), &[], &[]);
    assert!(!whole && said.lines().last().unwrap().contains("config.yaml:3:"), "{said}");
}

#[tokio::test]
async fn a_server_names_what_is_held_back_at_its_start_and_serves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    respaldo_testkit::sqlite::sample(&folder.path().join("data/notes.db"));
    let respaldo = Respaldo::new(BINARY, folder.path(), CONFIG).env("SALES_USER", VALUE).start().await;
    let log = respaldo.log();
    let line = |name: &str| log.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("2 \"Sales\"").contains("held back: the variable SALES_PASSWORD is not set"), "{log}");
    assert!(line("3 \"Plant\"").contains("held back: the engine oracle is not built"), "{log}");
    assert!(line("1 \"Notes\"").contains("next backup"), "{log}");
    assert!(!log.contains(VALUE), "{log}");
    let (_, list) = respaldo.read("/databases").await;
    assert_eq!(list[0]["held_back"], Value::Null, "{list}");
    assert!(list[1]["held_back"].as_str().unwrap().contains("SALES_PASSWORD"), "{list}");
    assert_eq!(respaldo.back_up(&list[0]).await["status"], "succeeded");
}
