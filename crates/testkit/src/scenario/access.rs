//! Keys and what they open.

use reqwest::Method;
use serde_json::json;

use super::{Api, Host, Key};

const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// 401 without a key or with a wrong one, 403 with another scope's.
pub async fn each_key_opens_its_own_scope(host: &mut dyn Host) {
    let api = Api::of(host);
    let restore = format!("/backups/{NOBODY}/restore");
    let (backup, job) = (format!("/backups/{NOBODY}"), format!("/jobs/{NOBODY}"));
    for (method, path, opens, then) in [
        (Method::GET, "/databases", Key::Admin, 200),
        (Method::GET, "/backups/stats", Key::Admin, 200),
        (Method::GET, "/retention", Key::Admin, 200),
        (Method::GET, "/packages", Key::Admin, 200),
        (Method::GET, "/jobs", Key::Admin, 200),
        (Method::POST, restore.as_str(), Key::Restore, 404),
        (Method::DELETE, backup.as_str(), Key::Delete, 404),
    ] {
        for (key, status) in
            [(Key::None, 401), (Key::Wrong, 401), (Key::Admin, 403), (Key::Restore, 403), (Key::Delete, 403)]
        {
            let expected = if key == opens { then } else { status };
            let request = api.request(method.clone(), path, key);
            let request = if method == Method::POST { request.json(&json!({})) } else { request };
            let answer = api.send(request).await;
            assert_eq!(answer.status, expected, "{method} {path} by {key:?}: {}", answer.text());
        }
    }
    // Who may restore may follow the restore.
    for key in [Key::Admin, Key::Restore] {
        assert_eq!(api.send(api.request(Method::GET, &job, key)).await.status, 404);
    }
    for open in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/"] {
        let answer = api.send(api.request(Method::GET, open, Key::None)).await;
        assert_eq!(answer.status, 200, "{open}: {}", answer.text());
    }
}
