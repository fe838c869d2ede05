//! Buckets of moto's S3, looked at and damaged behind the product's back.

use reqwest::{Method, StatusCode};

use super::Moto;
use crate::host;

/// A bucket.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    moto: Moto,
}

impl Moto {
    /// A new bucket, not versioned.
    pub async fn bucket(&self) -> Bucket {
        self.new_bucket(false).await
    }

    /// A new versioned bucket with Object Lock.
    pub async fn locking_bucket(&self) -> Bucket {
        self.new_bucket(true).await
    }

    async fn new_bucket(&self, locks: bool) -> Bucket {
        let name = host::unique("bucket").replace('_', "-");
        let request = self.request(Method::PUT, "s3", &format!("/{name}"));
        let request = request.header("x-amz-bucket-object-lock-enabled", locks.to_string());
        let status = request.send().await.expect("moto answers").status();
        assert!(status.is_success(), "the bucket is not made: {status}");
        Bucket { name, moto: self.clone() }
    }
}

impl Bucket {
    /// Its URL, as `STORAGE_URL` takes it.
    pub fn url(&self, prefix: &str) -> String {
        format!("s3://{}/{prefix}?endpoint={}&region={}", self.name, self.moto.endpoint(), super::REGION)
    }

    /// The keys of all objects, sorted; at most 1,000.
    pub async fn keys(&self) -> Vec<String> {
        let text = self.ask(Method::GET, "?list-type=2", Vec::new()).await;
        let mut keys: Vec<String> = between(&text, "<Key>", "</Key>").into_iter().map(unescaped).collect();
        keys.sort();
        keys
    }

    /// The keys that multipart uploads are under way to, sorted.
    pub async fn open_uploads(&self) -> Vec<String> {
        let text = self.ask(Method::GET, "?uploads", Vec::new()).await;
        let mut keys: Vec<String> = between(&text, "<Key>", "</Key>").into_iter().map(unescaped).collect();
        keys.sort();
        keys
    }

    /// An object's bytes; none when there is none.
    pub async fn read(&self, key: &str) -> Option<Vec<u8>> {
        let request = self.moto.request(Method::GET, "s3", &format!("/{}/{key}", self.name));
        let answer = request.send().await.expect("moto answers");
        if answer.status() == StatusCode::NOT_FOUND {
            return None;
        }
        assert!(answer.status().is_success(), "{key}: {}", answer.status());
        Some(answer.bytes().await.expect("a body").to_vec())
    }

    /// Puts an object there.
    pub async fn write(&self, key: &str, bytes: Vec<u8>) {
        self.ask(Method::PUT, key, bytes).await;
    }

    /// Removes an object.
    pub async fn remove(&self, key: &str) {
        self.ask(Method::DELETE, key, Vec::new()).await;
    }

    async fn ask(&self, method: Method, below: &str, body: Vec<u8>) -> String {
        let path = format!("/{}{}{below}", self.name, if below.starts_with('?') { "" } else { "/" });
        let answer = self.moto.request(method, "s3", &path).body(body).send().await.expect("moto answers");
        let (status, text) = (answer.status(), answer.text().await.expect("moto answers with text"));
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split(close).next()).collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
