//! What the tests of faults do in common.

use std::time::Duration;

use respaldo_testkit::aws::Proxy;
use respaldo_testkit::scenario::{Api, CloudHost, Host as _, Source, functions_folder};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// An hour and some minutes, in seconds: an hourly slot comes, and every lease has run out.
const NEXT_HOUR: i64 = 3_900;

/// A host all of whose processes reach Amazon's services through a proxy.
pub(super) async fn behind_a_proxy() -> Option<(Proxy, CloudHost)> {
    let functions = functions_folder(crate::respaldo())?;
    Some(CloudHost::start_behind(functions, crate::respaldo()).await)
}

/// Waits until something of the cloud holds.
pub(super) async fn until(what: &str, host: &CloudHost, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain until {what}\n{}", host.log());
        sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn registered(api: &Api<'_>, source: &Source) -> Value {
    api.post("/databases", &source.fields(json!({}))).await.expect(201)
}

/// A database that is backed up every hour.
pub(super) async fn scheduled(api: &Api<'_>, source: &Source) -> Value {
    api.post("/databases", &source.fields(json!({ "schedule": "0 * * * *" }))).await.expect(201)
}

pub(super) async fn queued(api: &Api<'_>, database: &Value) -> Value {
    api.post("/backups", &json!({ "database_id": database["id"] })).await.expect(202)
}

pub(super) async fn running(api: &Api<'_>, job: &Value) {
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    api.until(&path, "the dump is at work", |job| job["status"] == "running").await;
}

pub(super) async fn job(api: &Api<'_>, job: &Value) -> Value {
    api.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await.expect(200)
}

/// The artifacts of all backups in storage.
pub(super) async fn manifests(host: &CloudHost) -> usize {
    host.stored().await.iter().filter(|key| key.ends_with("manifest.json")).count()
}

/// Lets all that anybody put off have its turn.
pub(super) async fn later(host: &CloudHost) {
    host.clock().move_by(NEXT_HOUR);
    host.tick().await;
}

/// So many good backups and nothing else: no job that runs, no upload that is open, nothing doubled.
pub(super) async fn assert_whole(api: &Api<'_>, host: &CloudHost, backups: usize) {
    let jobs = api.get("/jobs?limit=1000").await.expect(200);
    let running = jobs.as_array().unwrap().iter().find(|job| job["status"] == "running");
    assert_eq!(running, None, "{}", host.log());
    let good = api.get("/backups?status=succeeded").await.expect(200);
    let good = good.as_array().unwrap();
    assert_eq!((good.len(), manifests(host).await), (backups, backups), "{good:?}\n{}", host.log());
    // A scheduled backup is as old as its slot.
    let scheduled = good.iter().filter(|backup| backup["kind"] == "scheduled");
    let slots: Vec<&Value> = scheduled.map(|backup| &backup["created_at"]).collect();
    assert!(slots.windows(2).all(|two| two[0] != two[1]), "one for each slot: {good:?}");
    assert_eq!(host.open_uploads().await, Vec::<String>::new());
}

/// Waits until so many scheduled backups have succeeded.
pub(super) async fn scheduled_backups(api: &Api<'_>, wanted: usize) {
    let path = "/backups?kind=scheduled&status=succeeded";
    let are = |answer: &Value| answer.as_array().is_some_and(|backups| backups.len() >= wanted);
    api.until(path, "the slots have their backups", are).await;
}

/// A dump under way whose table refuses everything with this code, until its invocation has ended: it is taken over
/// and not made twice.
pub(super) async fn dumped_past_a_refusing_table(
    (proxy, host): (&Proxy, &CloudHost),
    api: &Api<'_>,
    (source, database): (&Source, &Value),
    code: &'static str,
) {
    let hold = source.hold();
    let dump = queued(api, database).await;
    running(api, &dump).await;
    proxy.refuse("dynamodb", code);
    drop(hold);
    let function = host.cloud.function("dump");
    until("the invocation ends", host, async || function.log().contains("goes back to its queue")).await;
    proxy.heal();
    // Its lease has an owner until it runs out, and then the next tick rings.
    later(host).await;
    api.succeeded(&dump["id"]).await;
    let ended = job(api, &dump).await;
    assert_eq!((&ended["status"], &ended["attempts"]), (&json!("succeeded"), &json!(2)), "{ended}");
    assert_whole(api, host, 1).await;
}
