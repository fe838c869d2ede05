//! `respaldo databases`.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use insta::{assert_json_snapshot, assert_snapshot};
use respaldo_testkit::sqlite;
use serde_json::json;

use crate::support::{Said, Scene, masked, stable};

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_listed_and_shown_for_people_and_for_programs() {
    let scene = Scene::new().await;
    assert_json_snapshot!("databases", stable(&scene.done(&["databases", "--json"]).json()));
    assert_snapshot!("databases_for_people", masked(&scene.done(&["databases"]).out));
    assert_eq!(scene.done(&["databases", "list"]).out, scene.done(&["databases"]).out);
    for wanted in ["1", "shop", "The shop"] {
        let shown = scene.done(&["databases", "show", wanted, "--json"]).json();
        assert_eq!(shown["config_id"], "shop", "{wanted}");
    }
    assert_json_snapshot!("database", stable(&scene.done(&["databases", "show", "shop", "--json"]).json()));
    assert_snapshot!("database_for_people", masked(&scene.done(&["databases", "show", "shop"]).out));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_added_by_options_changed_by_fields_tested_and_removed() {
    let scene = Scene::new().await;
    sqlite::sample(&scene.folder.path().join("data/more.db"));
    let added = scene.done(&[
        "databases",
        "add",
        "--name",
        "More",
        "--engine",
        "sqlite",
        "--database-name",
        "data/more.db",
        "--retention-days",
        "14",
        "--set",
        "enabled=false",
        "--json",
    ]);
    assert_json_snapshot!("database_added", stable(&added.json()));

    let changed = scene.done(&[
        "databases",
        "edit",
        "More",
        "retention_days=null",
        "schedule=@daily",
        "enabled=true",
        "--json",
    ]);
    let changed = changed.json();
    assert_eq!(
        (&changed["retention_days"], &changed["schedule"], &changed["enabled"]),
        (&json!(null), &json!("@daily"), &json!(true))
    );
    assert!(changed["next_run_at"].is_string(), "{changed}");
    assert!(
        masked(&scene.done(&["databases", "edit", "More", "max_backups=3"]).out).contains("max_backups  3")
    );

    let tested = scene.done(&["databases", "test", "More", "--json"]).json();
    assert_json_snapshot!("database_tested", tested, {".server_version" => "[version]", ".size_bytes" => "[bytes]"});
    assert!(scene.done(&["databases", "test", "More"]).out.starts_with("ok, "));
    fs::remove_file(scene.folder.path().join("data/more.db")).unwrap();
    let said = scene.run(&["databases", "test", "More"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.contains("cannot be backed up: "), "{said:?}");
    let said = scene.run(&["databases", "test", "More", "--json"]);
    assert_eq!((said.code, &said.json()["ok"]), (Some(1), &json!(false)), "{said:?}");

    let asked = scene.run(&["databases", "remove", "More"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("it has no backups") && asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(scene.done(&["databases", "show", "More", "--json"]).json()["name"], "More");
    let removed = scene.done(&["databases", "remove", "More", "--yes", "--json"]).json();
    assert_eq!(removed["name"], "More", "what was removed is told: {removed}");
    assert_eq!(scene.run(&["databases", "show", "More"]).code, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_backups_is_removed_only_when_it_is_said_what_becomes_of_them() {
    let scene = Scene::new().await;
    let backup = scene.back_up("notes");
    let said = scene.run(&["databases", "remove", "notes", "--yes"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("it has 1 backup") && said.err.contains("--backups keep"), "{said:?}");
    let said = scene.done(&["databases", "remove", "notes", "--backups", "delete", "--yes"]);
    assert!(said.out.contains("are DELETED"), "{said:?}");
    assert_eq!(scene.run(&["backups", "show", backup["id"].as_str().unwrap()]).code, Some(5));

    let backup = scene.back_up("shop");
    scene.done(&["databases", "remove", "shop", "--backups", "keep", "--yes"]);
    scene.done(&["backups", "show", backup["id"].as_str().unwrap()]);
    assert_eq!(scene.done(&["databases"]).err.trim(), "no databases; respaldo databases add registers one");
    assert_eq!(scene.done(&["databases", "--json"]).out, "[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_fields_is_yaml_or_json_and_options_overrule_it() {
    let scene = Scene::new().await;
    let file = scene.folder.path().join("new.yaml");
    fs::write(&file, "name: From a file\nengine: sqlite\ndatabase_name: data/shop.db\nmax_backups: 3\n")
        .unwrap();
    let added =
        scene.done(&["databases", "add", "--file", "new.yaml", "--max-backups", "5", "--json"]).json();
    assert_eq!((&added["name"], &added["max_backups"]), (&json!("From a file"), &json!(5)));

    let mut command = scene.command(&["databases", "add", "--file", "-", "--json"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let body = json!({"name": "Piped", "engine": "sqlite", "database_name": "data/shop.db"}).to_string();
    child.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    assert_eq!(Said::of(child.wait_with_output().unwrap()).json()["name"], "Piped");

    fs::write(&file, "name: x\ncredentials: {password: hunter2\n").unwrap();
    let said = scene.run(&["databases", "add", "--file", "new.yaml"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.contains("new.yaml") && said.err.contains("(line ") && !said.err.contains("hunter2"),
        "{said:?}"
    );
    let said = scene.run(&["databases", "add", "--file", "nowhere.yaml"]);
    assert!(said.code == Some(2) && said.err.contains("nowhere.yaml"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_field_names_it_and_what_is_allowed() {
    let scene = Scene::new().await;
    for (arguments, part) in [
        (&["databases", "add"][..], "give --name, --engine and --database-name"),
        (&["databases", "add", "--name", "x"], "engine"),
        (&["databases", "edit", "shop"], "nothing is to be changed"),
        (&["databases", "edit", "shop", "schedule=61 * * * *"], "schedule"),
        (&["databases", "edit", "shop", "retention_days=soon"], "retention_days"),
        (&["databases", "edit", "shop", "colour=red"], "the fields are "),
        (&["databases", "edit", "shop", "max_backups=1", "max_backups=2"], "given twice"),
    ] {
        let said = scene.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.err.contains(part) && said.out.is_empty(), "{arguments:?}: {said:?}");
    }
    let problem = scene.run(&["databases", "edit", "shop", "schedule=61 * * * *", "--json"]).problem();
    assert_eq!((&problem["status"], &problem["field"]), (&json!(422), &json!("schedule")), "{problem}");
    assert_eq!(scene.done(&["databases", "show", "shop", "--json"]).json()["schedule"], "0 3 * * *");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_ambiguous_names_list_the_candidates() {
    let scene = Scene::new().await;
    scene.done(&[
        "databases",
        "add",
        "--name",
        "notes",
        "--engine",
        "sqlite",
        "--database-name",
        "data/notes.db",
    ]);
    let said = scene.run(&["databases", "show", "notes"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("notes may be any of 2 (notes), 3 (notes)"), "{said:?}");
    for verb in [
        &["databases", "show", "sho"][..],
        &["backup", "sho"],
        &["backup", "shop", "sho"],
        &["backups", "--database", "sho"],
        &["backups", "stats", "--database", "sho"],
        &["jobs", "--database", "sho"],
        &["retention", "--database", "sho"],
        &["retention", "apply", "--database", "sho"],
        &["packages", "create", "--database", "sho"],
        &["databases", "test", "sho"],
        &["databases", "edit", "sho", "max_backups=1"],
        &["databases", "remove", "sho"],
    ] {
        let said = scene.run(verb);
        assert_eq!(said.code, Some(5), "{verb:?}: {said:?}");
        assert!(said.err.contains("there is 1 (shop)"), "{verb:?}: {said:?}");
    }
    assert_eq!(scene.run(&["databases", "show", "99"]).code, Some(5));
    assert_eq!(scene.done(&["backups", "--json"]).out, "[]\n", "nothing was begun");
}
