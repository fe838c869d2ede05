//! Triggers that come twice, hosts that end, and sources that are files.

use serde_json::{Value, json};

use super::{Api, Host, Source};
use crate::sqlite;

/// One due time, one backup.
pub async fn two_ticks_at_once_and_each_message_twice_make_one_backup(host: &mut dyn Host) {
    let host: &dyn Host = host;
    let (api, source) = (Api::of(host), Source::new());
    let database =
        api.post("/databases", &source.fields(json!({ "schedule": "0 3 * * *" }))).await.expect(201);
    host.deliver_twice();
    host.clock().move_to_hour(3);
    futures::join!(host.tick(), host.tick());
    let path = format!("/backups?database_id={}", database["id"]);
    let one = |answer: &Value| answer[0]["status"] == "succeeded";
    api.until(&path, "the backup has succeeded", one).await;
    futures::join!(host.tick(), host.tick());
    let all = api.get(&path).await.expect(200);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all}");
    let kept: Vec<String> = artifacts(host).await;
    assert_eq!(kept.len(), 1, "one artifact, of one attempt: {kept:?}");
}

/// The artifacts' manifests in storage.
async fn artifacts(host: &dyn Host) -> Vec<String> {
    let stored = host.stored().await.into_iter();
    stored.filter(|key| key.contains("backups/") && key.ends_with("manifest.json")).collect()
}

/// What the catalog holds does not depend on a process.
pub async fn a_host_that_is_restarted_goes_on_where_it_was(host: &mut dyn Host) {
    let source = Source::new();
    let (database, backup) = {
        let api = Api::of(host);
        let database = api.post("/databases", &source.fields(json!({}))).await.expect(201);
        let backup = api.back_up(&database).await;
        (database, backup)
    };
    host.restart().await;
    let api = Api::of(host);
    let found = api.get(&format!("/backups/{}", backup["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(found, backup);
    assert_eq!(
        api.get(&format!("/databases/{}", database["id"])).await.expect(200)["name"],
        database["name"]
    );
    let again = api.back_up(&database).await;
    assert_ne!(again["id"], backup["id"]);
}

/// Only on hosts that share the disk; others say that the path is none of theirs.
pub async fn a_sqlite_file_is_backed_up_and_put_back(host: &mut dyn Host) {
    let api = Api::of(host);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    sqlite::sample(&path);
    let fields = json!({ "name": "shop", "engine": "sqlite", "database_name": path });
    let answer = api.post("/databases", &fields).await;
    if !host.reaches_files() {
        answer.expect_problem(422, Some("database_name"));
        return;
    }
    let backup = api.back_up(&answer.expect(201)).await;
    let whole = sqlite::dump(&path);
    sqlite::open(&path).execute_batch("CREATE TABLE lost (id)").unwrap();
    let url = format!("/backups/{}/restore", backup["id"].as_str().unwrap());
    let queued = api.post_as(super::Key::Restore, &url, &json!({})).await.expect(202);
    let restored = api.ended(&queued["id"]).await;
    assert_eq!(restored["status"], "succeeded", "{restored}");
    assert_eq!(sqlite::dump(&path), whole);
}
