//! Amazon's services as emulators on loopback: [`Moto`] (all that Respaldo uses) and [`Dynalite`]
//! (DynamoDB alone, which judges requests more strictly).
//!
//! One server serves all tests, also those of other processes, and ends some seconds after the last; a test
//! keeps to names of its own, which the helpers give. What hurts its server starts one [`Moto::private`].
//!
//! # What they are not
//! - moto checks neither signatures nor rights, and its time to live removes nothing.
//! - moto's DynamoDB answers one request at a time here, because it looks at a condition and writes in two
//!   steps.
//! - dynalite knows no transactions and no time to live.

mod network;
mod private;
mod proxy;
mod queue;
mod s3;
mod shared;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::host;
use private::Private;
pub use proxy::{Call, Fault, Proxy};
pub use queue::{Message, Queue};
pub use s3::Bucket;
use shared::Shared;

/// The access key that tests give; the emulators take any.
pub const ACCESS_KEY: &str = "AKIATESTACCESSKEY000";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-key-with/slash+plus";
/// The region that tests name.
pub const REGION: &str = "us-east-1";

#[derive(Clone)]
enum Server {
    Shared(Arc<Shared>),
    Private(Arc<Private>),
}

impl Server {
    fn port(&self) -> u16 {
        match self {
            Self::Shared(server) => server.port,
            Self::Private(server) => server.port,
        }
    }

    fn log(&self) -> String {
        match self {
            Self::Shared(server) => server.log(),
            Self::Private(server) => server.log(),
        }
    }
}

/// A moto server: S3, DynamoDB, SQS, ECS, Secrets Manager, SSM, EventBridge.
#[derive(Clone)]
pub struct Moto {
    server: Server,
    client: Client,
}

impl Moto {
    /// Whether it is installed. Where it is not, the tests that need it fail and say how to get it.
    pub fn is_installed() -> bool {
        python().exists()
    }

    /// The server that tests share.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
        let join = || Arc::new(Shared::join("moto", &[MOTO_SCRIPT], &moto_words()));
        Self::on(Server::Shared(Arc::clone(SHARED.get_or_init(join))))
    }

    /// One of the test's own; it ends with the last copy of this value.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn private() -> Self {
        Self::on(Server::Private(Arc::new(Private::start("moto", &[MOTO_SCRIPT], &moto_words()))))
    }

    fn on(server: Server) -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        Self { server, client: Client::new() }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The variables with which Amazon's SDKs and OpenDAL talk to this server.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = credentials();
        variables.push(("AWS_ENDPOINT_URL".to_owned(), self.endpoint()));
        variables
    }

    /// Asks a service that takes JSON: `target` is such as `AmazonSQS.CreateQueue`.
    ///
    /// # Panics
    /// When the answer is no success.
    pub async fn call(&self, service: &str, target: &str, body: &Value) -> Value {
        self.try_call(service, target, body).await.unwrap_or_else(|error| panic!("{target} {body}: {error}"))
    }

    /// As [`call`](Self::call), with the service's refusal as an answer.
    pub async fn try_call(&self, service: &str, target: &str, body: &Value) -> Result<Value, String> {
        let request = self.request(Method::POST, service, "/").header("x-amz-target", target);
        let request = request.header("content-type", "application/x-amz-json-1.0").body(body.to_string());
        let answer = request.send().await.expect("moto answers");
        let (status, text) = (answer.status(), answer.text().await.expect("moto answers with text"));
        if !status.is_success() {
            return Err(format!("{status}: {text}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// A request with what moto reads of a signature: which service it is for.
    fn request(&self, method: Method, service: &str, path: &str) -> RequestBuilder {
        let scope = format!("{ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request");
        let signed = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        self.client.request(method, format!("{}{path}", self.endpoint())).header("authorization", signed)
    }
}

/// A dynalite server: DynamoDB alone.
#[derive(Clone)]
pub struct Dynalite {
    server: Server,
}

impl Dynalite {
    /// Whether it is installed. Where it is not, the tests that need it fail and say how to get it.
    pub fn is_installed() -> bool {
        dynalite().exists()
    }

    /// The server that tests share.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
        let join = || Arc::new(Shared::join("dynalite", &[DYNALITE_SCRIPT], &dynalite_words()));
        Self { server: Server::Shared(Arc::clone(SHARED.get_or_init(join))) }
    }

    /// One of the test's own; it ends with the last copy of this value.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn private() -> Self {
        let server = Private::start("dynalite", &[DYNALITE_SCRIPT], &dynalite_words());
        Self { server: Server::Private(Arc::new(server)) }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The variables with which Amazon's SDK talks to this server.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables = credentials();
        variables.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), self.endpoint()));
        variables
    }
}

/// The variables that name the tests' key and region.
pub fn credentials() -> Vec<(String, String)> {
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY), ("AWS_REGION", REGION)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

const MOTO_SCRIPT: (&str, &str) = ("serve_moto.py", include_str!("serve_moto.py"));
const DYNALITE_SCRIPT: (&str, &str) = ("serve_dynalite.js", include_str!("serve_dynalite.js"));

fn python() -> PathBuf {
    host::test_servers_dir().join("moto/bin/python")
}

fn dynalite() -> PathBuf {
    host::test_servers_dir().join("dynalite/node_modules/dynalite")
}

fn moto_words() -> Vec<String> {
    assert!(Moto::is_installed(), "moto is not installed: run scripts/install-test-dependencies");
    vec![python().to_string_lossy().into_owned(), MOTO_SCRIPT.0.to_owned()]
}

fn dynalite_words() -> Vec<String> {
    assert!(Dynalite::is_installed(), "dynalite is not installed: run scripts/install-test-dependencies");
    let module = dynalite().to_string_lossy().into_owned();
    vec!["node".to_owned(), DYNALITE_SCRIPT.0.to_owned(), module]
}
