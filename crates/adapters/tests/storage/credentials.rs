//! Where the credentials of S3 come from, tried in a process that has nothing but what a case gives it.
//!
//! The children are this test binary again, told by a variable which store to write to.
#![expect(
    clippy::disallowed_methods,
    reason = "credentials come from a process's environment: a case needs a process of its own"
)]

use std::path::Path;
use std::process::Command;

use respaldo_adapters::storage::{Options, open_with};
use respaldo_testkit::s3::S3Server;

use super::support::{PATIENT, url};

const STORE: &str = "RESPALDO_TEST_STORE";
/// Nothing listens there: the roles of instances are out of reach, whatever machine this is.
const NOBODY: &str = "http://127.0.0.1:1";

#[tokio::test]
#[ignore = "started by the other tests as a process of its own"]
async fn a_child_puts_an_object() {
    let url = std::env::var(STORE).expect("only the other tests start this one");
    let storage = open_with(&url, &Options { tuning: PATIENT, key: None }).unwrap();
    if let Err(error) = storage.put("databases/a.json", "{}").await {
        panic!("<{}|{}|{}>", error.kind(), error.message(), error.mend().unwrap_or_default());
    }
}

/// Puts an object in a process with this home and these variables; answers what it said when it failed.
fn put(server: &S3Server, home: &Path, variables: &[(&str, &str)]) -> Result<(), String> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "credentials::a_child_puts_an_object", "--ignored", "--test-threads=1"])
        .env_clear()
        .env(STORE, url(server, ""))
        .env("HOME", home)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", NOBODY)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    if child.status.success() {
        assert_eq!(server.keys().len(), 1, "{said}");
        return Ok(());
    }
    Err(said)
}

fn home(files: &[(&str, String)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(".aws").join(name), text).unwrap();
    }
    home
}

fn profile(name: &str) -> String {
    format!(
        "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n[{name}]\n\
         aws_access_key_id = {}\naws_secret_access_key = {}\n",
        S3Server::ACCESS_KEY,
        S3Server::SECRET_KEY
    )
}

#[test]
fn a_key_comes_from_the_environment() {
    let server = S3Server::start();
    let variables =
        [("AWS_ACCESS_KEY_ID", S3Server::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", S3Server::SECRET_KEY)];
    put(&server, home(&[]).path(), &variables).unwrap();
}

#[test]
fn a_key_comes_from_a_profile_of_the_shared_files() {
    let named = |file: &str| home(&[(file, profile("backups"))]);
    let chosen = [("AWS_PROFILE", "backups")];
    put(&S3Server::start(), named("credentials").path(), &chosen).unwrap();
    put(&S3Server::start(), home(&[("config", profile("profile backups"))]).path(), &chosen).unwrap();

    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("keys");
    std::fs::write(&file, profile("backups")).unwrap();
    let elsewhere = [chosen[0], ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    put(&S3Server::start(), home(&[]).path(), &elsewhere).unwrap();

    let said = put(&S3Server::start(), named("credentials").path(), &[]).unwrap_err();
    assert!(said.contains("InvalidAccessKeyId") || said.contains("refused"), "the default one: {said}");
}

#[test]
fn without_credentials_one_line_says_so_and_how_to_give_them() {
    let server = S3Server::start();
    let said = put(&server, home(&[]).path(), &[]).unwrap_err();
    let line = said.lines().find(|line| line.contains("<storage|")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("no credentials for the store were found"), "{line}");
    for way in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "a role"] {
        assert!(line.contains(way), "{line}");
    }
}
