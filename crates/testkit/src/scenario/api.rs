//! Asking a host over HTTP.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use super::{ADMIN_KEY, DELETE_KEY, Host, RESTORE_KEY};

/// How long a job may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// In the cloud a schedule has its turn every minute; here it comes sooner.
const BETWEEN_TICKS: Duration = Duration::from_secs(5);

/// By which key a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Create, read and change.
    Admin,
    /// Restore.
    Restore,
    /// Remove.
    Delete,
    /// One that is nobody's.
    Wrong,
    /// None.
    None,
}

/// A host's API.
pub struct Api<'a> {
    host: &'a dyn Host,
    client: Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub bytes: Bytes,
}

impl Answer {
    /// The body as JSON; null when there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A header's text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The JSON of an answer of that status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// A problem of that status about that field.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, field: Option<&str>) {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{body}");
        assert_eq!((body["status"].as_u64(), body["field"].as_str()), (Some(status.into()), field), "{body}");
    }
}

impl<'a> Api<'a> {
    /// The API of a host.
    pub fn of(host: &'a dyn Host) -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        Self { host, client: Client::new() }
    }

    /// The host.
    pub fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// A request that is not sent yet.
    pub fn request(&self, method: Method, path: &str, key: Key) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.host.endpoint()));
        match key {
            Key::Admin => request.header("x-admin-key", ADMIN_KEY),
            Key::Restore => request.header("x-restore-key", RESTORE_KEY),
            Key::Delete => request.header("x-delete-key", DELETE_KEY),
            Key::Wrong => request.header("authorization", "Bearer nobody-s-key-0123456789"),
            Key::None => request,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, bytes: answer.bytes().await.unwrap() }
    }

    /// A GET with the admin key.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, Key::Admin)).await
    }

    /// A POST with the admin key.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(Key::Admin, path, body).await
    }

    /// A POST.
    pub async fn post_as(&self, key: Key, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, key).json(body)).await
    }

    /// A DELETE with the key for it.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, Key::Delete)).await
    }

    /// Bytes from anywhere, without a key.
    pub async fn fetch(&self, url: &str) -> Answer {
        self.send(self.client.get(url)).await
    }

    /// Sends a file to an address that an answer gave.
    pub async fn put(&self, url: &str, headers: &Value, body: Vec<u8>) -> Answer {
        let mut request = self.client.put(url);
        for (name, value) in headers.as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.send(request.body(body)).await
    }

    /// Waits until what a path answers is as wished, giving the schedules turns meanwhile.
    pub async fn until(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = tokio::time::Instant::now();
        let mut ticked = begun;
        loop {
            let answer = self.get(path).await;
            let body = if answer.status == 200 { answer.json() } else { Value::Null };
            if is(&body) {
                return body;
            }
            let log = || self.host.log();
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}: {}\n{}", answer.text(), log());
            if ticked.elapsed() > BETWEEN_TICKS {
                self.host.tick().await;
                ticked = tokio::time::Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A job's record when it has ended.
    pub async fn ended(&self, id: &Value) -> Value {
        let id = id.as_str().unwrap();
        self.until(&format!("/jobs/{id}"), "the job has ended", has_ended).await
    }

    /// The record of a backup that has succeeded.
    pub async fn succeeded(&self, id: &Value) -> Value {
        let path = format!("/backups/{}", id.as_str().unwrap());
        let backup = self.until(&path, "the backup has ended", has_ended).await;
        assert_eq!(backup["status"], "succeeded", "{backup}\n{}", self.host.log());
        backup
    }

    /// A manual backup that has succeeded.
    pub async fn back_up(&self, database: &Value) -> Value {
        let body = serde_json::json!({ "database_id": database["id"] });
        let queued = self.post("/backups", &body).await.expect(202);
        self.succeeded(&queued["id"]).await
    }

    /// A download, from the host or from where it says.
    pub async fn download(&self, path: &str, size: u64) -> Bytes {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let handed_out = self.host.capabilities().inline_download.is_some_and(|most| size > most);
        if !handed_out {
            return answer.bytes;
        }
        let given = answer.json();
        assert!(answer.bytes.len() < 10_000 && !given["expires_at"].is_null(), "{given}");
        let fetched = self.fetch(given["url"].as_str().unwrap()).await;
        assert_eq!(fetched.status, 200, "{}", fetched.text());
        fetched.bytes
    }
}

fn has_ended(record: &Value) -> bool {
    !record.is_null() && !matches!(record["status"].as_str(), Some("queued" | "running") | None)
}
