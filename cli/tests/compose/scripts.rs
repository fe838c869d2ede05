//! What runs inside the containers, as far as it can be judged outside of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use respaldo_testkit::host;
use respaldo_testkit::prometheus::{of_repository, repository};

use crate::file::Compose;

fn scripts() -> Vec<PathBuf> {
    let folder = repository().join("localstack/ready.d");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert_eq!(found.len(), 3, "{found:?}");
    found
}

fn assert_reads(shell: &str, script: &PathBuf) {
    let mut command = host::command(shell);
    let said = command.arg("-n").arg(script).output().unwrap();
    assert!(said.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&said.stderr));
}

#[test]
fn localstack_can_run_the_init_scripts_and_hears_when_one_fails() {
    for script in scripts() {
        assert_reads("bash", &script);
        let text = fs::read_to_string(&script).unwrap();
        assert!(
            text.starts_with("#!/bin/bash\n") && text.contains("\nset -euo pipefail\n"),
            "{}",
            script.display()
        );
        let mode = fs::metadata(&script).unwrap().permissions().mode();
        assert_eq!(mode & 0o555, 0o555, "{} cannot be run", script.display());
    }
    let compose = Compose::ours();
    let mounted = compose.mounts("localstack");
    assert_eq!(mounted, [("./localstack/ready.d", "/etc/localstack/init/ready.d", "ro")]);
}

/// The shell reads the answer of `LocalStack`'s `init/ready` as it was recorded from 4.14.0.
#[test]
fn localstack_is_healthy_once_every_init_script_has_succeeded_and_not_before() {
    let compose = Compose::ours();
    let test = compose.service("localstack")["healthcheck"]["test"][1].as_str().unwrap().replace("$$", "$");
    let asked = "$(curl -sf http://127.0.0.1:4566/_localstack/init/ready)";
    assert!(test.contains(asked), "{test}");
    let scripts = |states: [&str; 2]| {
        states.map(|state| format!(r#"{{"stage": "READY", "name": "x.sh", "state": "{state}"}}"#)).join(", ")
    };
    for (completed, states, healthy) in [
        ("true", ["SUCCESSFUL", "SUCCESSFUL"], true),
        ("false", ["SUCCESSFUL", "RUNNING"], false),
        ("false", ["UNKNOWN", "UNKNOWN"], false),
        ("true", ["ERROR", "SUCCESSFUL"], false),
    ] {
        let answer = format!(r#"{{"completed": {completed}, "scripts": [{}]}}"#, scripts(states));
        let mut command = host::command("sh");
        command.arg("-c").arg(test.replace(asked, &format!("'{answer}'")));
        assert_eq!(command.status().unwrap().success(), healthy, "{answer}");
    }
    let mut command = host::command("sh");
    let silent = command.arg("-c").arg(test.replace(asked, "$(false)")).status().unwrap();
    assert!(!silent.success());
}

#[test]
fn the_bucket_s_script_is_for_a_plain_shell_and_shows_no_login() {
    let script = repository().join("localstack/create-bucket.sh");
    assert_reads("sh", &script);
    // What it would call, told by a stand-in for MinIO's client (simulated).
    let folder = tempfile::tempdir().unwrap();
    let client = folder.path().join("mc");
    fs::write(&client, "#!/bin/sh\necho \"arguments: $*\"\necho \"store: $MC_HOST_store\"\n").unwrap();
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = host::command("sh");
    command.arg(&script).env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
    command.env("MINIO_URL", "http://minio:9000").env("MINIO_BUCKET", "respaldo");
    command.env("MINIO_ROOT_USER", "scott").env("MINIO_ROOT_PASSWORD", "tiger");
    let said = String::from_utf8(host::run(command, std::io::empty()).stdout).unwrap();
    assert_eq!(
        said,
        "arguments: mb --ignore-existing store/respaldo\nstore: http://scott:tiger@minio:9000\n"
    );
}

#[test]
fn the_image_of_mariadb_reads_the_grants_into_its_own_shell() {
    let script = repository().join("infra/compose/mariadb-grants.sh");
    assert_reads("bash", &script);
    // What can be executed it runs as a program, which does not know its functions.
    assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o111, 0);
    assert!(of_repository("infra/compose/mariadb-grants.sh").contains("docker_process_sql"));
}
