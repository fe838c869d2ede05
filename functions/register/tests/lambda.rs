//! The binary itself, as Lambda starts it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use respaldo_testkit::host;
use respaldo_testkit::lambda::{FunctionError, Lambda};
use serde_json::json;

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_respaldo-register"))
}

/// What an installation is told, with some of it changed or (empty) left out. Nobody answers at its endpoints.
fn variables(changed: &[(&str, &str)]) -> Vec<(String, String)> {
    let whole = [
        ("ADMIN_API_KEY", "hunter2"),
        ("RESPALDO_MASTER_KEY", MASTER_KEY),
        ("CATALOG_URL", "dynamodb://respaldo?endpoint=http://127.0.0.1:9&region=us-east-1"),
        ("STORAGE_URL", "s3://bucket?endpoint=http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_REGION", "us-east-1"),
    ];
    let kept = whole.iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    let all = kept.chain(changed).filter(|(_, value)| !value.is_empty());
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The error with which it refuses to start, and what it printed.
async fn refusal(folder: &Path, changed: &[(&str, &str)]) -> (FunctionError, String) {
    let function = Lambda::new("register", binary(), folder, variables(changed), Duration::from_mins(1));
    let error = function.invoke(&json!({})).await.unwrap_err();
    (error, function.log())
}

#[tokio::test]
async fn without_keys_or_a_place_it_does_not_start_and_says_which_is_missing() {
    for (name, value) in [
        ("ADMIN_API_KEY", ""),
        ("RESPALDO_MASTER_KEY", ""),
        ("RESPALDO_MASTER_KEY", "hunter2"),
        ("CATALOG_URL", ""),
        ("CATALOG_URL", "sqlite://data/catalog.db"),
        ("CATALOG_URL", "dynamodb://AKIA:hunter2@table"),
        ("STORAGE_URL", ""),
        ("STORAGE_URL", "file:///tmp/backups"),
        ("STORAGE_URL", "hunter2"),
        ("PUSHGATEWAY_URL", "hunter2"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (error, log) = refusal(folder.path(), &[(name, value)]).await;
        assert_eq!(error.kind, "Respaldo.config", "{name}={value}: {error:?}");
        let field = name.trim_end_matches("_URL").to_lowercase();
        assert!(error.message.contains(name) || error.message.contains(&field), "{name}: {error:?}");
        let errors = log.lines().filter(|line| line.contains(r#""level":"ERROR""#));
        assert_eq!(errors.count(), 1, "one clear line: {log}");
        assert!(!log.contains("hunter2") && !error.message.contains("hunter2"), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[tokio::test]
async fn a_catalog_that_cannot_be_reached_keeps_it_from_starting_and_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (error, log) = refusal(folder.path(), &[]).await;
    assert_eq!(error.kind, "Respaldo.unavailable", "{error:?}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn outside_lambda_it_says_what_it_is_for() {
    let output = host::command(binary()).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("AWS_LAMBDA_RUNTIME_API") && said.contains("respaldo serve"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
