//! `respaldo packages`, against a running server.

use std::fs;

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::json;

use crate::support::{NOBODY, Scene, masked, stable};

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_made_listed_downloaded_in_whole_and_in_part_and_removed() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    scene.back_up("notes");
    let plan = scene.done(&["packages", "create", "--database", "shop", "--dry-run", "--json"]).json();
    assert_json_snapshot!("package_planned", stable(&plan));
    assert_eq!(scene.done(&["packages", "--json"]).out, "[]\n", "a dry run makes nothing");

    let said =
        scene.done(&["packages", "create", "--format", "zip", "--database", "shop", "--database", "notes"]);
    assert!(said.out.starts_with("Packaged 2 backups into package_"), "{said:?}");
    let packages = scene.done(&["packages", "--json"]).json();
    assert_json_snapshot!("packages", stable(&packages));
    assert_snapshot!("packages_for_people", masked(&scene.done(&["packages", "list"]).out));
    let id = packages[0]["id"].as_str().unwrap();
    assert_json_snapshot!("package", stable(&scene.done(&["packages", "show", id, "--json"]).json()));
    assert!(scene.done(&["packages", "show", id]).out.contains("MEMBER"));

    let name = packages[0]["name"].as_str().unwrap();
    scene.done(&["packages", "download", id]);
    assert!(fs::read(scene.folder.path().join(name)).unwrap().starts_with(b"PK"));
    let file = packages[0]["members"][0]["file"].as_str().unwrap();
    scene.done(&["packages", "download", id, "--member", file, "-o", "member"]);
    let member = fs::read(scene.folder.path().join("member")).unwrap();
    assert_eq!(member.len() as u64, backup["size_bytes"].as_u64().unwrap());
    let said = scene.run(&["packages", "download", id, "--member", "nothing"]);
    assert!(said.code == Some(5) && said.err.contains(file), "{said:?}");

    assert_eq!(scene.run(&["packages", "remove", id]).code, Some(2), "nobody agreed");
    assert_eq!(scene.done(&["packages", "remove", id, "--yes", "--json"]).json(), packages);
    assert_eq!(scene.done(&["packages"]).err, "no packages\n");
    assert_eq!(scene.done(&["backups", "--json"]).json().as_array().unwrap().len(), 2, "the backups stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_lacks_a_member_is_refused_or_made_without_it_when_asked_to() {
    let scene = Scene::new().await;
    scene.back_up("shop");
    let both = ["packages", "create", "--format", "tar.gz", "--database", "shop", "--database", "notes"];
    let said = scene.run(&both);
    assert!(matches!(said.code, Some(1 | 6)), "{said:?}");
    assert!(said.err.contains("Notes") || said.err.contains("notes"), "it says which: {said:?}");
    let package = scene.done(&[&both[..], &["--allow-incomplete", "--json"]].concat()).json();
    assert_eq!((&package["format"], &package["status"]), (&json!("tar.gz"), &json!("succeeded")));
    assert_eq!(package["members"].as_array().unwrap().len(), 1, "{package}");
    assert_eq!(package["left_out"].as_array().unwrap().len(), 1, "{package}");
    let detached = scene.done(&["packages", "create", "--database", "shop", "--detach"]);
    scene.done(&["jobs", "follow", detached.out.trim()]);
    assert_eq!(scene.run(&["packages", "show", NOBODY]).code, Some(5));
}
