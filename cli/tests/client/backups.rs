//! `respaldo backup` and `respaldo backups`.

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::{Value, json};

use crate::support::{NOBODY, Scene, masked, stable};

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_followed_to_its_end() {
    let scene = Scene::new().await;
    let said = scene.done(&["backup", "shop"]);
    assert_snapshot!("backup_for_people", masked(&said.out));
    assert!(said.err.contains("info  "), "its log is shown: {said:?}");
    let quiet = scene.done(&["backup", "shop", "--quiet", "--json"]);
    assert_eq!(quiet.err, "");
    assert_json_snapshot!("backup", stable(&quiet.json()));
    let backups = scene.done(&["backups", "--json"]).json();
    assert_eq!(backups[0], quiet.json(), "what is printed is what the API answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_databases_are_backed_up_at_once_and_each_is_told() {
    let scene = Scene::new().await;
    let said = scene.done(&["backup", "shop", "notes", "1"]);
    assert_eq!(said.out.lines().count(), 2, "each once: {said:?}");
    assert!(said.err.contains("  shop: info  ") && said.err.contains("  notes: info  "), "{said:?}");
    let all = scene.done(&["backup", "--all", "--json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    scene.done(&["databases", "edit", "notes", "enabled=false"]);
    let all = scene.done(&["backup", "--all", "--json"]).json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["config_id"]), (1, &json!("shop")), "{all}");
    for (code, arguments) in [(2, &["backup"][..]), (2, &["backup", "shop", "--all"]), (5, &["backup", "99"])]
    {
        assert_eq!(scene.run(arguments).code, Some(code), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_is_told_the_id() {
    let scene = Scene::new().await;
    let said = scene.done(&["backup", "shop", "--detach"]);
    let id = said.out.trim();
    assert_eq!(id.len(), 26, "{said:?}");
    let followed = scene.done(&["jobs", "follow", id]);
    assert_eq!(followed.out, format!("Job {id} is succeeded\n"));
    assert_eq!(scene.done(&["backup", "notes", "--detach", "--json"]).json()["kind"], "manual");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_ends_with_1_and_says_why() {
    let scene = Scene::new().await;
    std::fs::write(scene.folder.path().join("data/notes.db"), "no database at all, but long enough").unwrap();
    let said = scene.run(&["backup", "notes"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains(" is failed: "), "{said:?}");
    let said = scene.run(&["backup", "notes", "--json", "--quiet"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.json()["status"], "failed");
    // Of several the good ones are made, and told.
    let said = scene.run(&["backup", "--all", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let both = said.json();
    assert_eq!((&both[0]["status"], &both[1]["status"]), (&json!("succeeded"), &json!("failed")), "{both}");
    let failed = scene.done(&["backups", "--status", "failed", "--json"]).json();
    assert!(failed.as_array().unwrap().len() == 3 && failed[0]["error"]["message"].is_string(), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_listed_by_conditions_and_page_after_page() {
    let scene = Scene::new().await;
    let first = scene.back_up("shop");
    let second = scene.back_up("notes");
    assert_json_snapshot!("backups", stable(&scene.done(&["backups", "--json"]).json()));
    assert_snapshot!("backups_for_people", masked(&scene.done(&["backups"]).out));
    assert_json_snapshot!(
        "backup_shown",
        stable(&scene.done(&["backups", "show", id(&first), "--json"]).json())
    );
    let count = |arguments: &[&str]| {
        let arguments = [&["backups"], arguments, &["--json"]].concat();
        scene.done(&arguments).json().as_array().unwrap().len()
    };
    assert_eq!(count(&["--database", "shop"]), 1);
    assert_eq!(count(&["--database", "2", "--status", "succeeded", "--kind", "manual", "--since", "1h"]), 1);
    assert_eq!(count(&["list", "--kind", "scheduled"]), 0);
    assert_eq!(count(&["--since", "2999-01-01"]), 0);
    assert_eq!(count(&["--limit", "1"]), 1);
    let newest = scene.done(&["backups", "--limit", "1", "--json"]).json();
    assert_eq!(id(&newest[0]), id(&second), "newest first");
    for arguments in [
        &["backups", "--status", "fine"][..],
        &["backups", "--since", "yesterday"],
        &["backups", "--limit", "0"],
        &["backups", "--status", "failed", "stats"],
        &["backups", "show", "../etc"],
    ] {
        assert_eq!(scene.run(arguments).code, Some(2), "{arguments:?}");
    }
    assert_eq!(scene.run(&["backups", "show", NOBODY]).code, Some(5));
    let problem = scene.run(&["backups", "show", NOBODY, "--json"]).problem();
    assert_json_snapshot!("problem", problem);
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_told() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    scene.back_up("notes");
    let stats = scene.done(&["backups", "stats", "--database", "shop", "--json"]).json();
    assert_json_snapshot!("backups_stats", stable(&stats));
    assert_eq!(stats["size_bytes"], backup["size_bytes"]);
    let said = scene.done(&["backups", "stats"]);
    assert!(said.out.starts_with("total                2\nby_status.succeeded  2\n"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_deleted_after_showing_them() {
    let scene = Scene::new().await;
    let [first, second] = [scene.back_up("shop"), scene.back_up("shop")];
    let asked = scene.run(&["backups", "remove", id(&first)]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains(first["name"].as_str().unwrap()) && asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(scene.artifacts().len(), 2);
    // One that is not there keeps all others from being touched.
    assert_eq!(scene.run(&["backups", "remove", id(&first), NOBODY, "--yes"]).code, Some(5));
    assert_eq!(scene.artifacts().len(), 2);
    let removed = scene.done(&["backups", "remove", id(&first), id(&first), "--yes", "--json"]).json();
    assert_eq!(removed, json!([first]));
    let said = scene.done(&["backups", "remove", id(&second), "--yes"]);
    assert_eq!(said.out, format!("Deleted: {}\n", id(&second)));
    assert!(scene.artifacts().is_empty());
    assert_eq!(scene.done(&["backups"]).err, "no backups\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let scene = Scene::new().await;
    scene.back_up("shop");
    for verb in ["databases", "backups", "jobs", "retention --all", "completions bash"] {
        let line = format!("{} {verb} --json | true; echo ${{PIPESTATUS[0]}}", crate::support::BINARY);
        let line = if verb.starts_with("completions") { line.replace(" --json", "") } else { line };
        let mut bash = respaldo_testkit::host::command("bash");
        bash.args(["-c", &line]).env("RESPALDO_URL", scene.respaldo.url(""));
        let said = crate::support::Said::of(bash.output().unwrap());
        assert_eq!((said.out.as_str(), said.err.as_str()), ("0\n", ""), "{verb}: {said:?}");
    }
}
