//! A backup's whole way.

use std::fmt::Write as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::{Api, Host, Key, Source, assert_nothing_leaked};
use crate::host;

/// Ticks remove what is marked.
const EMPTIED_WITHIN: Duration = Duration::from_mins(1);

/// Registered, ticked, dumped, downloaded; damaged and refused; restored, verified, retained, packaged,
/// deleted.
pub async fn a_backup_goes_its_whole_way_and_comes_back(host: &mut dyn Host) {
    let host: &dyn Host = host;
    let (api, source) = (Api::of(host), Source::new());
    let fields = json!({ "schedule": "0 3 * * *", "max_backups": 1, "package": true });
    let database = api.post("/databases", &source.fields(fields)).await.expect(201);
    let first = scheduled(&api, &database).await;
    check_download(&api, &first).await;
    let whole = source.content();

    // What is damaged in storage is refused before the target is touched.
    source.run("DELETE FROM orders WHERE id > 10");
    host.corrupt(first["location"].as_str().unwrap()).await;
    let refused = restore(&api, &first).await;
    assert_eq!(refused["status"], "failed", "{refused}");
    assert_eq!(source.orders(), "10");
    confirm(&api, &refused).await;
    source.run("INSERT INTO orders SELECT i, 'item ' || i FROM generate_series(11, 1000) AS i");

    // The next day's is good: it is put back, and the answer names what undoes it.
    let second = scheduled(&api, &database).await;
    source.run("DROP TABLE orders");
    let restored = restore(&api, &second).await;
    assert_eq!(restored["status"], "succeeded", "{restored}\n{}", host.log());
    assert_eq!(source.content(), whole);
    assert!(restored["result"]["safety_backup_id"].is_string(), "{restored}");
    confirm(&api, &restored).await;

    verify(&api, &second).await;
    keep_what_retention_keeps(&api, &database, &second).await;
    package(&api, &second).await;
    delete_all(&api, &database).await;
    assert_nothing_leaked(host, &[source.password()]);
}

/// The next day's backup of the daily schedule, which a tick makes.
async fn scheduled(api: &Api<'_>, database: &Value) -> Value {
    api.host().clock().move_to_hour(3);
    api.host().tick().await;
    let path = format!("/backups?database_id={}&kind=scheduled", database["id"]);
    // Retention may have removed the one before already, so the newest is looked at.
    let day = today(api);
    let is_new = |answer: &Value| {
        let at = answer[0]["created_at"].as_str().unwrap_or_default();
        at.starts_with(&day)
    };
    let listed = api.until(&path, "the schedule has made a backup", is_new).await;
    api.succeeded(&listed[0]["id"]).await
}

/// The host's day, as answers write it.
fn today(api: &Api<'_>) -> String {
    let now = jiff::Timestamp::from_second(api.host().clock().now_s()).unwrap();
    now.strftime("%Y-%m-%d").to_string()
}

async fn check_download(api: &Api<'_>, backup: &Value) {
    let path = format!("/backups/{}/download", backup["id"].as_str().unwrap());
    let bytes = api.download(&path, backup["size_bytes"].as_u64().unwrap()).await;
    assert_eq!(sha256(&bytes), backup["sha256"].as_str().unwrap());
    // Stock tools read it.
    let mut gunzip = host::command("gunzip");
    gunzip.arg("--stdout");
    let sql = String::from_utf8(host::run(gunzip, &bytes[..]).stdout).unwrap();
    assert!(sql.contains("CREATE TABLE public.orders") && sql.contains("item 1000"));
}

async fn restore(api: &Api<'_>, backup: &Value) -> Value {
    let path = format!("/backups/{}/restore", backup["id"].as_str().unwrap());
    let queued = api.post_as(Key::Restore, &path, &json!({})).await.expect(202);
    api.ended(&queued["id"]).await
}

/// What undoes the restore is not needed any more.
async fn confirm(api: &Api<'_>, restored: &Value) {
    let path = restored["result"]["confirm"].as_str().unwrap_or_else(|| panic!("{restored}"));
    let confirmed = api.send(api.request(Method::POST, path, Key::Restore)).await.json();
    assert_eq!(api.ended(&confirmed["id"]).await["status"], "succeeded");
}

async fn verify(api: &Api<'_>, backup: &Value) {
    let path = format!("/backups/{}", backup["id"].as_str().unwrap());
    let queued = api.post(&format!("{path}/verify"), &json!({})).await.expect(202);
    let verified = api.ended(&queued["id"]).await;
    assert_eq!(verified["status"], "succeeded", "{verified}\n{}", api.host().log());
    assert_eq!(verified["result"]["verification"]["status"], "ok", "{verified}");
    assert_eq!(api.get(&path).await.json()["verification"]["status"], "ok");
}

/// Only the newest is to be kept, and the newest verified one is kept for all that.
async fn keep_what_retention_keeps(api: &Api<'_>, database: &Value, verified: &Value) {
    let third = scheduled(api, database).await;
    let path = format!("/backups?database_id={}&kind=scheduled&status=succeeded", database["id"]);
    let two = |answer: &Value| answer.as_array().is_some_and(|all| all.len() == 2);
    let kept = api.until(&path, "retention has removed all but two", two).await;
    assert_eq!((&kept[0]["id"], &kept[1]["id"]), (&third["id"], &verified["id"]), "{kept}");
    let denied = api.post("/retention", &json!({})).await;
    denied.expect_problem(403, None);
    let plan = api.get("/retention").await.expect(200);
    let applied = api.send(api.request(Method::POST, "/retention", Key::Delete)).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    // Safety backups whose restore was confirmed have gone with it; what is to be kept has not.
    let after = api.get("/retention").await.expect(200);
    assert!(!after.to_string().contains("\"action\":\"remove\""), "{plan} {after}");
    let kept = api.get(&path).await.expect(200);
    assert_eq!(kept.as_array().unwrap().len(), 2, "{kept}");
}

async fn package(api: &Api<'_>, backup: &Value) {
    let asked = json!({ "database_ids": [backup["database_id"]] });
    let queued = api.post("/packages", &asked).await.expect(202);
    let path = format!("/packages/{}", queued["id"].as_str().unwrap());
    let made = |answer: &Value| answer["status"] == "succeeded" || answer["status"] == "failed";
    let package = api.until(&path, "the package is made", made).await;
    assert_eq!(package["status"], "succeeded", "{package}\n{}", api.host().log());
    let bytes = api.download(&format!("{path}/download"), package["size_bytes"].as_u64().unwrap()).await;
    assert_eq!(sha256(&bytes), package["sha256"].as_str().unwrap());
    assert!(bytes.starts_with(b"PK"), "a zip file");
    removed(api, &path).await;
}

/// Nothing is left of what was stored but the definitions of databases that are there.
async fn delete_all(api: &Api<'_>, database: &Value) {
    let path = format!("/backups?database_id={}", database["id"]);
    let backups = api.get(&path).await.expect(200);
    for backup in backups.as_array().unwrap() {
        removed(api, &format!("/backups/{}", backup["id"].as_str().unwrap())).await;
    }
    let none = |answer: &Value| answer.as_array().is_some_and(Vec::is_empty);
    api.until(&path, "all backups are gone", none).await;
    let answer = api.delete(&format!("/databases/{}", database["id"])).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let begun = Instant::now();
    while !api.host().stored().await.is_empty() {
        assert!(begun.elapsed() < EMPTIED_WITHIN, "{:?}", api.host().stored().await);
        api.host().tick().await;
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(api.host().open_uploads().await, Vec::<String>::new());
}

/// Asks for a removal, which may wait for somebody who still reads: his lease has run out an hour later.
async fn removed(api: &Api<'_>, path: &str) {
    let begun = Instant::now();
    let mut answer = api.delete(path).await;
    // Its end may still be being counted: the answer says that a repetition can help.
    while answer.status == 409 && answer.json()["retryable"] == true && begun.elapsed() < EMPTIED_WITHIN {
        sleep(Duration::from_millis(200)).await;
        answer = api.delete(path).await;
    }
    assert!(matches!(answer.status, 202 | 204), "{path}: {} {}", answer.status, answer.text());
    if answer.status == 202 {
        api.host().clock().move_by(3_600);
    }
}

/// More than one answer of some hosts can hold.
pub async fn a_large_artifact_is_downloaded_whole(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    source.fill(6);
    let fields = source.fields(json!({ "compression": "none" }));
    let database = api.post("/databases", &fields).await.expect(201);
    let backup = api.back_up(&database).await;
    let size = backup["size_bytes"].as_u64().unwrap();
    assert!(size > 6_000_000, "{backup}");
    let path = format!("/backups/{}/download", backup["id"].as_str().unwrap());
    assert_eq!(sha256(&api.download(&path, size).await), backup["sha256"].as_str().unwrap());
    // A part is answered by every host itself.
    let part = api.send(api.request(Method::GET, &path, Key::Admin).header("range", "bytes=0-99")).await;
    assert_eq!((part.status, part.bytes.len()), (206, 100), "{}", part.text());
    assert_nothing_leaked(host, &[source.password(), "X-Amz-Signature"]);
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
