//! An installation whose routes are called in this process.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use respaldo_adapters::storage::{AccessKey, Options, open_with};
use respaldo_api::access::{Guard, Hosts, Keys};
use respaldo_core::Limits;
use respaldo_local_server::functions;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::s3::S3Server;
use serde_json::Value;
use tower::ServiceExt as _;

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.bytes))
    }

    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    /// Panics unless this is a problem of that status about that field.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, field: Option<&str>) {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.bytes);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], status);
        assert_eq!(body["field"].as_str(), field, "{body}");
    }
}

/// An installation behind its routes.
pub(crate) struct Host {
    pub(crate) test: TestApp,
    router: Router,
}

impl Host {
    /// Without keys, as on one's own machine.
    pub(crate) fn open() -> Self {
        Self::guarded(Guard::Open(Hosts::Loopback))
    }

    /// With these keys for admin, restore and delete.
    pub(crate) fn with_keys(admin: &str, restore: &str, delete: &str) -> Self {
        Self::guarded(Guard::Keys(Keys::new(Some(admin), Some(restore), Some(delete)).unwrap()))
    }

    /// Without keys, with storage on this server and such limits.
    pub(crate) fn on_s3(server: &S3Server, parameters: &str, adjust: impl FnOnce(&mut Limits)) -> Self {
        let url = format!(
            "s3://{}/some/prefix?endpoint={}&region={}{parameters}",
            S3Server::BUCKET,
            server.endpoint(),
            S3Server::REGION
        );
        let key = AccessKey { id: S3Server::ACCESS_KEY.to_owned(), secret: S3Server::SECRET_KEY.into() };
        let options = Options { key: Some(key), ..Options::default() };
        let test = TestApp::on(open_with(&url, &options).unwrap(), adjust);
        Self::around(test, Guard::Open(Hosts::Loopback))
    }

    /// Without keys, on local disk, with such limits.
    pub(crate) fn open_with(adjust: impl FnOnce(&mut Limits)) -> Self {
        Self::around(TestApp::with(adjust), Guard::Open(Hosts::Loopback))
    }

    fn guarded(guard: Guard) -> Self {
        Self::around(TestApp::new(), guard)
    }

    fn around(test: TestApp, guard: Guard) -> Self {
        let router = respaldo_api::router(functions(), test.app.clone(), guard);
        Self { test, router }
    }

    /// Sends a request; JSON bodies get their media type.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:8000");
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, bytes }
    }

    /// Serves on a port of this machine, for what only a real connection does; answers its address.
    pub(crate) async fn serve(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the test's runtime.
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }
}
