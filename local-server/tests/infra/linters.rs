//! What other people's rules say of the template and of the images: cfn-lint, checkov, hadolint. None asks the network.

use std::fs;
use std::path::Path;
use std::process::Output;

use respaldo_testkit::host;
use serde_json::Value;

use crate::template::{Template, root, transform, written};

/// What a linter finds; empty where it finds nothing.
fn findings(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    if output.status.success() { String::new() } else { format!("{}\n{said}", output.status) }
}

fn cfn_lint(template: &Path) -> String {
    let mut command = host::command(host::installed_tool("checks", "cfn-lint"));
    findings(&command.arg("--").arg(template).output().unwrap())
}

/// How many checks passed, and those that did not.
fn checkov(template: &Path) -> (u64, Vec<String>) {
    let mut command = host::command(host::installed_tool("checkov", "checkov"));
    command.arg("--config-file").arg(root().join("infra/checkov.yaml"));
    command.args(["--framework", "cloudformation", "--output", "json", "--file"]).arg(template);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let failed = report["results"]["failed_checks"].as_array().unwrap().iter();
    let failed = failed.map(|check| format!("{} {}", check["check_id"], check["resource"]).replace('"', ""));
    assert_eq!(report["summary"]["parsing_errors"], 0, "{report}");
    (report["summary"]["passed"].as_u64().unwrap(), failed.collect())
}

fn hadolint(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Dockerfile");
    fs::write(&file, text).unwrap();
    let mut command = host::command(host::installed_tool("checks", "hadolint"));
    findings(&command.arg("--no-color").arg(&file).output().unwrap())
}

/// The template, changed in its text and written down aside.
fn changed(folder: &Path, from: &str, to: &str) -> std::path::PathBuf {
    let text = fs::read_to_string(written()).unwrap();
    assert!(text.contains(from), "{from} is not in the template");
    let path = folder.join("template.yaml");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    path
}

fn store(folder: &Path, template: &Value) -> std::path::PathBuf {
    let path = folder.join("transformed.json");
    fs::write(&path, template.to_string()).unwrap();
    path
}

#[test]
fn cfn_lint_finds_nothing_in_the_template_as_written_and_as_transformed() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(cfn_lint(&written()), "");
    assert_eq!(cfn_lint(&store(folder.path(), &Template::ours().0)), "");
}

#[test]
fn cfn_lint_finds_a_reference_that_dangles_and_a_runtime_and_a_clock_that_do_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let dangling = changed(folder.path(), "!GetAtt LongDeadLetters.Arn", "!GetAtt NoSuchQueue.Arn");
    assert!(cfn_lint(&dangling).contains("NoSuchQueue"));
    // What the written form hides, and why the transformed one is looked at too.
    for (from, to, said) in [
        ("provided.al2023", "provided.al1999", "provided.al1999"),
        ("rate(1 minute)", "rate(1 minutes)", "'minutes' is not one of"),
    ] {
        let template = transform(&changed(folder.path(), from, to)).unwrap();
        let found = cfn_lint(&store(folder.path(), &template));
        assert!(found.contains(said), "{to}: {found}");
    }
}

#[test]
fn a_template_that_is_none_of_sams_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let broken = changed(folder.path(), "CodeUri: ../target/lambda/register.zip", "CodeUrl: register.zip");
    let error = transform(&broken).unwrap_err();
    assert!(error.contains("Register") && error.contains("CodeUrl"), "{error}");
}

#[test]
fn checkov_finds_nothing_in_the_template_as_written_and_as_transformed() {
    let folder = tempfile::tempdir().unwrap();
    for path in [written(), store(folder.path(), &Template::ours().0)] {
        let (passed, failed) = checkov(&path);
        assert_eq!(failed, [""; 0]);
        assert!(passed > 100, "{passed} checks passed: is the template read?");
    }
}

#[test]
fn checkov_finds_a_public_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let public = changed(folder.path(), "BlockPublicPolicy: true", "BlockPublicPolicy: false");
    assert_eq!(checkov(&public).1, ["CKV_AWS_54 AWS::S3::Bucket.Storage"]);
}

#[test]
fn hadolint_finds_nothing_in_the_images_and_finds_an_unpinned_base() {
    let text = fs::read_to_string(root().join("infra/docker/Dockerfile")).unwrap();
    assert_eq!(hadolint(&text), "");
    assert!(text.contains("FROM debian:12.12-slim"), "the base is not found");
    assert!(hadolint(&text.replace("debian:12.12-slim", "debian")).contains("DL3006"));
    assert!(hadolint(&text.replace("# hadolint ignore=DL3008\n", "")).contains("DL3008"));
}
