//! A simulated service: a few lines of HTTP that answer from a script, and keep what they were asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use respaldo_aws::sdk;
use respaldo_testkit::aws::REGION;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// One answer of the service.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    body: String,
    after: Duration,
}

impl Answer {
    /// What was asked for.
    pub(crate) fn good(body: &Value) -> Self {
        Self { status: 200, body: body.to_string(), after: Duration::ZERO }
    }

    /// A refusal in the services' JSON.
    pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        Self { status, body, after: Duration::ZERO }
    }

    /// What a load balancer in front of the service says.
    pub(crate) fn unavailable() -> Self {
        let body = "<html><body>Service Unavailable</body></html>".to_owned();
        Self { status: 503, body, after: Duration::ZERO }
    }

    /// The same, after a while.
    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// The service on a port of its own.
pub(crate) struct Service {
    port: u16,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Service {
    /// Answers each request with the next of these, and from the last on with that.
    pub(crate) async fn start(script: impl Into<Vec<Answer>>) -> Self {
        let (script, asked) = (script.into(), Arc::new(Mutex::new(Vec::new())));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let keep = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, script.clone(), Arc::clone(&keep)));
            }
        });
        Self { port, asked }
    }

    /// The bodies of the requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The product's own configuration, but for waits between tries that a test has no time for.
    pub(crate) async fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let loaded = sdk::load(Some(&self.endpoint()), Some(REGION)).await.into_builder();
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(5));
        loaded.credentials_provider(SharedCredentialsProvider::new(credentials)).retry_config(retries).build()
    }
}

/// The client may be gone at any step; then there is nothing left to do.
async fn answer(
    mut stream: TcpStream,
    script: Vec<Answer>,
    asked: Arc<Mutex<Vec<Value>>>,
) -> std::io::Result<()> {
    let body = request(&mut stream).await?;
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push(serde_json::from_slice(&body).unwrap_or(Value::Null));
        asked.len() - 1
    };
    let Answer { status, body, after } = script[number.min(script.len() - 1)].clone();
    sleep(after).await;
    let kind = if body.starts_with('<') { "text/html" } else { "application/x-amz-json-1.0" };
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await
}

/// The body of a request.
async fn request(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    let length: usize = length.unwrap_or(0);
    while bytes.len() < end + length && stream.read_buf(&mut bytes).await? > 0 {}
    Ok(bytes.split_off(end))
}
