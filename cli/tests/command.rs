//! The binary, called as people call it.
#![expect(clippy::disallowed_methods, reason = "these tests start the binary itself")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn respaldo(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respaldo"));
    command.args(arguments).current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    command.output().unwrap()
}

fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = respaldo(folder, arguments);
    assert!(!output.status.success(), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    stderr.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_good_configuration_is_told_in_a_line_and_a_bad_one_by_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    fs::write(&file, "databases:\n  - name: a\n    engine: sqlite\n    database_name: data/a.db\n").unwrap();
    let output = respaldo(folder.path(), &["config", "check", "c.yaml"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("c.yaml: no errors; 1 databases"));
    fs::write(&file, "databases:\n  - name: a\n    colour: red\n").unwrap();
    let line = refusal(folder.path(), &["config", "check", "c.yaml"]);
    assert!(line.contains("c.yaml:3:"), "{line}");
}

#[test]
fn a_catalog_that_is_not_a_catalog_is_one_line_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.db");
    fs::write(&file, "a shopping list, longer than any header of a database would have to be").unwrap();
    let line =
        refusal(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--catalog", "sqlite://catalog.db"]);
    assert!(line.starts_with("respaldo: ") && line.contains("catalog.db"), "{line}");
    assert!(fs::read_to_string(&file).unwrap().starts_with("a shopping list"));
    assert!(!folder.path().join("master.key").exists(), "nothing is half done");
}

#[test]
fn a_port_in_use_is_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let line = refusal(folder.path(), &["serve", "--listen", &listen]);
    assert!(line.contains("in use") && line.contains("--listen"), "{line}");
}

#[test]
fn without_keys_another_address_than_loopback_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert!(line.contains("ADMIN_API_KEY"), "{line}");
}

#[test]
fn a_storage_folder_that_cannot_be_made_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let line =
        refusal(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--storage", "file://file/backups"]);
    assert!(line.contains("file/backups"), "{line}");
}

#[test]
fn doctor_names_what_is_missing_and_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = respaldo(folder.path(), &["doctor"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for engine in ["postgres", "mysql", "mariadb", "sqlite"] {
        assert!(text.lines().any(|line| line == engine), "{text}");
    }
    // Without a file nobody knows what is needed; of what is not here it says how to get it.
    assert!(output.status.success(), "{text}");
    assert!(
        text.lines().filter(|line| line.contains("missing")).all(|line| line.contains("install")),
        "{text}"
    );
}
