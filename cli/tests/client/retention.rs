//! `respaldo retention`.

use insta::{assert_json_snapshot, assert_snapshot};
use serde_json::json;

use crate::support::{Scene, masked, stable};

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_shown_and_applying_it_removes_what_it_says() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let applied = scene.done(&["retention", "apply", "--json"]);
    assert_eq!(applied.json(), json!([]), "nothing is to be removed, so nobody is asked");
    // The safety backup of a restore that was confirmed is not needed any more.
    let restored =
        scene.done(&["restore", backup["id"].as_str().unwrap(), "--yes", "--json", "--quiet"]).json();
    // While it is the newest good one, it stands above the rule.
    scene.back_up("shop");
    scene.done(&["restore", "--confirm", restored["id"].as_str().unwrap(), "--yes"]);

    let plan = scene.done(&["retention", "--database", "shop", "--all", "--json"]).json();
    assert_json_snapshot!("retention", stable(&plan));
    assert_snapshot!("retention_for_people", masked(&scene.done(&["retention", "plan", "--all"]).out));
    let (_, api) = scene.respaldo.read("/retention").await;
    assert_eq!(scene.done(&["retention", "--json"]).json(), api);

    let asked = scene.run(&["retention", "apply"]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("its restore was confirmed") && asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(scene.artifacts().len(), 3);
    let applied = scene.done(&["retention", "apply", "--database", "shop", "--yes", "--json"]).json();
    assert_json_snapshot!("retention_applied", stable(&applied));
    assert_eq!(scene.artifacts().len(), 2);
    assert!(scene.done(&["retention", "apply"]).out.starts_with("0 removed"));
}
