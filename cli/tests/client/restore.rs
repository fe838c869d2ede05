//! `respaldo restore` for programs; what people see of it is in `tests/restore.rs`.

use insta::assert_json_snapshot;
use respaldo_testkit::sqlite;
use serde_json::Value;

use crate::support::{NOBODY, Scene, stable};

/// Without what differs from run to run in the words of a plan.
fn worded(value: &Value) -> Value {
    let mut value = stable(value);
    value["target"]["server_version"] = "[version]".into();
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_restore_are_told_as_the_api_s_own_objects() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let id = backup["id"].as_str().unwrap();
    let planned = scene.done(&["restore", id, "--dry-run", "--json"]);
    assert_json_snapshot!("restore_planned", worded(&planned.json()));
    let other = scene.done(&["restore", id, "--to-database", "notes", "--dry-run", "--json"]).json();
    assert_eq!(other["target"]["database_id"], 2, "a database is meant by its config_id: {other}");

    let restored = scene.done(&["restore", id, "--to-database", "notes", "--yes", "--json"]).json();
    assert_json_snapshot!("restored", stable(&restored));
    let path = |name: &str| scene.folder.path().join(format!("data/{name}.db"));
    assert_eq!(sqlite::dump(&path("notes")), sqlite::dump(&path("shop")));
    let (_, api) = scene.respaldo.read(&format!("/jobs/{}", restored["id"].as_str().unwrap())).await;
    assert_eq!(restored, api);
    for (code, arguments) in [
        (5, &["restore", NOBODY, "--yes"][..]),
        (5, &["restore", "--undo", NOBODY, "--yes"]),
        (5, &["restore", id, "--to-database", "nothing", "--yes"]),
    ] {
        let said = scene.run(arguments);
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_gets_completions_with_every_verb() {
    let scene = Scene::new().await;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = scene.done(&["completions", shell]).out;
        for verb in ["databases", "backups", "restore", "packages", "retention", "download", "--detach"] {
            let verb = if shell == "fish" { verb.trim_start_matches("--") } else { verb };
            assert!(script.contains(verb), "{shell} does not complete {verb}");
        }
    }
    // The shell itself takes it, and completes by it.
    let mut bash = respaldo_testkit::host::command("bash");
    let line = "source <(\"$0\" completions bash) && COMP_WORDS=(respaldo backups rem) COMP_CWORD=2 && \
                _respaldo respaldo rem backups && echo \"${COMPREPLY[@]}\"";
    let said = bash.args(["-c", line, crate::support::BINARY]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "remove\n", "{said:?}");
}
