//! The client of the API: what it sends, and what it makes of an answer.

mod address;
mod file;
mod names;
mod pages;

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, redirect};
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_core::Error;
use respaldo_core::ports::{Clock as _, ExposeSecret as _, Ids as _, SecretString};
use serde_json::{Map, Value};

pub(crate) use self::address::Api;
pub(crate) use self::file::{Stored, Target, download};
pub(crate) use self::names::Names;
pub(crate) use self::pages::Query;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::plain;

const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// No answer but a file is longer: the longest page of a list has a few megabytes.
const LONGEST_ANSWER_BYTES: usize = 64 << 20;

/// A server, and the key that is shown to it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
    longest: Duration,
}

impl Client {
    /// The server that flag and environment name.
    ///
    /// # Errors
    /// `Usage`, naming the setting.
    pub(crate) fn new(api: &Api) -> Answer<Self> {
        let base = api.base()?;
        let key = api.key()?;
        let local = address::is_loopback(&base);
        if key.is_some() && base.scheme() == "http" && !local && !api.is_insecure()? {
            let why = format!("{base} is not encrypted: whoever is on the way could read the key");
            return Err(Failure::usage("--server", why)
                .with_mend("use https://, or trust the network with --insecure (RESPALDO_INSECURE=1)"));
        }
        // It fails only when a provider is there already, which serves as well.
        let _provider = rustls::crypto::ring::default_provider().install_default();
        let longest = Duration::from_secs(api.timeout);
        let http = reqwest::Client::builder()
            .connect_timeout(LONGEST_CONNECT.min(longest))
            .read_timeout(longest)
            // Else the key would follow wherever an answer leads.
            .redirect(redirect::Policy::none());
        // What stays on this machine does not take the way over a proxy.
        let http = if local { http.no_proxy() } else { http };
        let http = http.build().map_err(|error| Error::internal("prepare a client", error))?;
        Ok(Self { http, base, key, longest })
    }

    /// Where the server is.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// What is there now.
    pub(crate) async fn get(&self, path: &str) -> Answer<Value> {
        self.json(self.request(Method::GET, path)).await
    }

    /// What is there now, or `unseen` to a key that may not look: it may be one that may delete.
    pub(crate) async fn look(&self, path: &str, unseen: Value) -> Answer<Value> {
        match self.get(path).await {
            Err(e) if e.exit() == Exit::Refused => Ok(unseen),
            seen => seen,
        }
    }

    /// Asks for something once: sent again because its answer was lost, it is not done again.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer<Value> {
        let key = SystemIds.ulid(SystemClock.now()).to_string();
        let request = || self.request(Method::POST, path).header("Idempotency-Key", &key).json(body);
        match self.json(request()).await {
            Err(e) if e.is_absence() => self.json(request()).await,
            answered => answered,
        }
    }

    /// Changes something.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer<Value> {
        self.json(self.request(Method::PATCH, path).json(body)).await
    }

    /// Removes something; answers whether it is gone already.
    pub(crate) async fn delete(&self, path: &str) -> Answer<bool> {
        let response = self.send(self.request(Method::DELETE, path)).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(true),
            StatusCode::ACCEPTED => Ok(false),
            status => Err(Failure::foreign(self.base(), format!("{status} to a DELETE"))),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base()));
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret().trim()),
            None => request,
        }
    }

    async fn json(&self, request: RequestBuilder) -> Answer<Value> {
        let response = self.send(request.timeout(self.longest)).await?;
        let status = response.status();
        let bytes = self.body(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|_| Failure::foreign(self.base(), format!("{status} without JSON")))
    }

    /// Sends it; what is no success is a failure.
    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() { Ok(response) } else { Err(self.refusal(response).await) }
    }

    async fn body(&self, mut response: Response) -> Answer<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + piece.len() > LONGEST_ANSWER_BYTES {
                let what = format!("more than {LONGEST_ANSWER_BYTES} bytes");
                return Err(Failure::foreign(self.base(), what));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    async fn refusal(&self, response: Response) -> Failure {
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            return Failure::foreign(self.base(), format!("{status}, leading to {}", plain(to)))
                .with_mend("redirects are not followed: set --server or RESPALDO_URL to where Respaldo is");
        }
        let problem = match self.body(response).await {
            Ok(bytes) => serde_json::from_slice::<Map<String, Value>>(&bytes).ok(),
            Err(failure) => return failure,
        };
        match problem.filter(|problem| problem.get("detail").is_some_and(Value::is_string)) {
            Some(problem) => Failure::of_problem(status.as_u16(), problem),
            None if Exit::of_status(status.as_u16()) == Exit::Refused => {
                let detail = format!("{} answered {status}", self.base());
                Failure::new(Exit::Refused, "unauthorized", "The key was refused", detail)
                    .with_mend("set RESPALDO_KEY, or --key-file FILE; a proxy may ask for another one")
            }
            // A proxy says so while the server behind it starts.
            None => {
                Failure::foreign(self.base(), status.to_string()).with_retryable(status.is_server_error())
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let why = if error.is_timeout() {
            format!("no answer within {} s (--timeout)", self.longest.as_secs())
        } else {
            plain(&why.to_string())
        };
        let detail = format!("{}: {why}", self.base());
        Failure::new(Exit::Unreachable, "unavailable", "The server cannot be reached", detail).with_mend(
            "is the server running there? --server URL, the variable RESPALDO_URL, or neither \
             (http://127.0.0.1:8000) say where it is",
        )
    }
}
