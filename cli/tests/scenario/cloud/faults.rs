//! What goes wrong in a cloud: messages that nobody can read, processes that are killed, deadlines.

use std::time::Duration;

use respaldo_testkit::lambda::Delivery;
use respaldo_testkit::scenario::{Api, CloudHost, Host as _, Source, functions_folder};
use serde_json::{Value, json};

use super::support::{manifests, queued, registered, running, until};

async fn host(variables: &[(&str, &str)], timeout: Duration) -> Option<CloudHost> {
    let functions = functions_folder(crate::respaldo())?;
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(CloudHost::start_within(functions, crate::respaldo(), variables, timeout).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_read_goes_to_the_dead_letters_and_keeps_nobody_waiting() {
    let Some(host) = host(&[], Duration::from_mins(15)).await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let queue = host.cloud.queue("dump").url.clone();
    for junk in ["hunter2", "{}", r#"{"v":2,"job_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#, r#"{"v":1,"job_id":7}"#]
    {
        host.cloud.moto.send(&queue, junk).await;
    }
    let database = registered(&api, &source).await;
    api.back_up(&database).await;
    until("four messages are dead", &host, async || host.cloud.dead_letters().await == 4).await;
    assert_eq!(host.cloud.moto.queued(&queue).await, (0, 0));
    assert!(!host.log().contains("hunter2"), "a message's words are nobody's to print");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_an_older_version_is_understood_and_one_for_nobody_is_taken() {
    let Some(host) = host(&[], Duration::from_mins(15)).await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    host.cloud.deliver(Delivery::Held);
    let queue = host.cloud.queue("dump").url.clone();
    let job = queued(&api, &database).await;
    // The pump may have been waiting for it still; else it is taken away here.
    for message in host.cloud.moto.receive(&queue).await {
        host.cloud.moto.delete(&queue, &message).await;
    }
    host.cloud.moto.send(&queue, &json!({ "job_id": job["id"] }).to_string()).await;
    host.cloud.moto.send(&queue, r#"{"v":1,"job_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV"}"#).await;
    host.cloud.deliver(Delivery::Once);
    api.succeeded(&job["id"]).await;
    until("the queue is empty", &host, async || host.cloud.moto.queued(&queue).await == (0, 0)).await;
    assert_eq!(host.cloud.dead_letters().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_killed_in_mid_dump_is_followed_by_another_and_nothing_is_doubled() {
    let Some(host) = host(&[], Duration::from_mins(15)).await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    let hold = source.hold();
    let job = queued(&api, &database).await;
    running(&api, &job).await;
    assert_eq!(host.cloud.function("dump").kill_busy(), 1);
    drop(hold);
    // Its lease runs out, and the next tick rings for whoever takes it over.
    host.clock().move_by(3_600);
    host.tick().await;
    let backup = api.succeeded(&job["id"]).await;
    let job = api.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&backup["status"], &job["attempts"]), (&json!("succeeded"), &json!(2)), "{job}");
    assert_eq!(manifests(&host).await, 1);
    assert_eq!(host.open_uploads().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_does_not_end_before_its_deadline_ends_on_the_worker() {
    let Some(host) = host(&[], Duration::from_secs(36)).await else { return };
    let (api, source) = (Api::of(&host), Source::new());
    let database = registered(&api, &source).await;
    let hold = source.hold();
    let job = queued(&api, &database).await;
    running(&api, &job).await;
    let path = format!("/jobs/{}/log", job["id"].as_str().unwrap());
    let told = |log: &Value| log.to_string().contains("host without a deadline");
    api.until(&path, "it is handed over", told).await;
    drop(hold);
    api.succeeded(&job["id"]).await;
    assert_eq!(manifests(&host).await, 1);
    assert_eq!(host.open_uploads().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_or_with_a_bad_catalog_no_function_starts() {
    for (variable, value) in [
        ("ADMIN_API_KEY", ""),
        ("RESPALDO_MASTER_KEY", ""),
        ("RESPALDO_MASTER_KEY", "hunter2"),
        ("CATALOG_URL", "sqlite://catalog.db"),
        ("STORAGE_URL", "file://backups"),
    ] {
        let keyless = [("BACKUP_RESTORE_API_KEY", ""), ("BACKUP_DELETE_API_KEY", ""), (variable, value)];
        let given = if variable == "ADMIN_API_KEY" { &keyless[..] } else { &keyless[2..] };
        let Some(host) = host(given, Duration::from_mins(15)).await else { return };
        let refused = host.cloud.function("dump").tick().await.unwrap_err();
        assert!(refused.message.contains(variable), "{refused:?}");
        assert!(!format!("{refused:?}{}", host.log()).contains("hunter2"));
    }
}
