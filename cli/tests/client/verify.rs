//! `respaldo verify`.

use std::fs;

use insta::assert_json_snapshot;
use serde_json::json;

use crate::support::{NOBODY, Scene, stable};

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_told_and_its_exit_code_can_be_trusted() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let id = backup["id"].as_str().unwrap();
    let said = scene.done(&["verify", id]);
    assert_eq!(said.out, "ok\n");
    assert_json_snapshot!("verification", stable(&scene.done(&["verify", id, "--json", "--quiet"]).json()));
    let detached = scene.done(&["verify", id, "--detach", "--json"]).json();
    assert_eq!(detached["kind"], json!("verify"));
    scene.done(&["jobs", "follow", detached["id"].as_str().unwrap()]);

    let artifact = &scene.artifacts()[0];
    let mut bytes = fs::read(artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(artifact, bytes).unwrap();
    let said = scene.run(&["verify", id]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.starts_with("failed: "), "{said:?}");
    let said = scene.run(&["verify", id, "--json"]);
    assert_eq!((said.code, &said.json()["status"]), (Some(1), &json!("failed")), "{said:?}");
    assert_eq!(scene.run(&["verify", NOBODY]).code, Some(5));
}
