//! A user's own file, sent to the host or to storage.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, Api, Host, Key, Source};
use crate::host;

/// The file becomes a backup that restores.
pub async fn a_file_of_the_users_becomes_a_backup(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    let database = api.post("/databases", &source.fields(json!({}))).await.expect(201);
    let backup = api.back_up(&database).await;
    let path = format!("/backups/{}/download", backup["id"].as_str().unwrap());
    let file = api.download(&path, backup["size_bytes"].as_u64().unwrap()).await.to_vec();
    let whole = source.content();
    let uploaded = upload(&api, &database, file).await;
    assert_eq!(
        (&uploaded["kind"], &uploaded["status"]),
        (&json!("uploaded"), &json!("succeeded")),
        "{uploaded}"
    );
    source.run("DROP TABLE orders");
    let url = format!("/backups/{}/restore", uploaded["id"].as_str().unwrap());
    // Somebody's own file is loaded by who may do everything only when one insists.
    let queued = api.post_as(Key::Restore, &url, &json!({})).await;
    if queued.status == 202 {
        let restored = api.ended(&queued.json()["id"]).await;
        assert_eq!(restored["status"], "succeeded", "{restored}");
        assert_eq!(source.content(), whole);
    } else {
        queued.expect_problem(409, None);
    }
}

/// What is cut or is no dump is refused, and nothing of it stays.
pub async fn a_damaged_upload_leaves_nothing(host: &mut dyn Host) {
    let (api, source) = (Api::of(host), Source::new());
    let database = api.post("/databases", &source.fields(json!({}))).await.expect(201);
    let dump = format!("-- PostgreSQL database dump\n{}", host::random_hex(10_000));
    for file in [dump.into_bytes(), b"GIF89a, not a dump".to_vec()] {
        let refused = try_upload(&api, &database, file).await;
        let failed = refused.status >= 400 || api.ended(&refused.json()["id"]).await["status"] == "failed";
        assert!(failed, "{}", refused.text());
    }
    let listed = api.get("/backups?kind=uploaded&status=succeeded").await.expect(200);
    assert_eq!(listed, json!([]));
    let left = host.stored().await;
    assert!(left.iter().all(|key| !key.contains("backups/") && !key.contains("incoming/")), "{left:?}");
    assert_eq!(host.open_uploads().await, Vec::<String>::new());
}

async fn upload(api: &Api<'_>, database: &Value, file: Vec<u8>) -> Value {
    let answer = try_upload(api, database, file).await;
    assert!(matches!(answer.status, 201 | 202), "{}", answer.text());
    api.succeeded(&answer.json()["id"]).await
}

/// Sends a file the way this host takes it.
async fn try_upload(api: &Api<'_>, database: &Value, file: Vec<u8>) -> Answer {
    let path = format!("/uploads?database_id={}&filename=mine.sql.gz", database["id"]);
    let request = api.request(Method::POST, &path, Key::Admin);
    let straight =
        api.send(request.header("content-type", "application/octet-stream").body(file.clone())).await;
    if !api.host().capabilities().presigned_uploads {
        return straight;
    }
    assert!(matches!(straight.status, 413 | 415), "{}", straight.text());
    let asked = json!({ "database_id": database["id"], "filename": "mine.sql.gz", "size_bytes": file.len() });
    let given = api.post("/uploads", &asked).await.expect(201);
    let sent = api.put(given["url"].as_str().unwrap(), &given["headers"], file).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let complete = format!("/uploads/{}/complete", given["upload_id"].as_str().unwrap());
    api.post(&complete, &json!({})).await
}
