//! The client of the API: where the server is, who asks, and what it answers.

use std::time::Duration;

use clap::Args;
use reqwest::{Method, Url, redirect};
use respaldo_adapters::environment;
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_core::ports::{Clock as _, ExposeSecret as _, Ids as _, SecretString};
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::Value;

const SERVER: &str = "http://127.0.0.1:8000";
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// A plan asks the target's server, which may be slow to answer.
const LONGEST_ANSWER: Duration = Duration::from_mins(2);

/// Which server is asked.
#[derive(Debug, Clone, Args)]
pub(crate) struct Server {
    /// The server's address [environment: RESPALDO_URL] [default: http://127.0.0.1:8000]. Its key is read
    /// from RESPALDO_KEY, or from the file that RESPALDO_KEY_FILE names.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    // Whoever tries it is told where a key belongs.
    #[arg(long, hide = true, value_name = "KEY")]
    key: Option<String>,
}

/// A server, and the key that is shown to it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Option<SecretString>,
}

impl Client {
    /// The server that flag and environment name.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn new(server: &Server) -> Result<Self> {
        if server.key.is_some() {
            let why = "a command line can be read by others: a key does not belong there";
            return Err(refused("--key", why).with_mend("set RESPALDO_KEY, or RESPALDO_KEY_FILE"));
        }
        let base = match &server.server {
            Some(base) => address("--server", base)?,
            None => match environment::variable("RESPALDO_URL")?.filter(|base| !base.is_empty()) {
                Some(base) => address("RESPALDO_URL", &base)?,
                None => address("--server", SERVER)?,
            },
        };
        let key = environment::secret("RESPALDO_KEY")?.filter(|key| !key.expose_secret().trim().is_empty());
        // It fails only when a provider is there already, which serves as well.
        let _provider = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(LONGEST_CONNECT)
            .timeout(LONGEST_ANSWER)
            // Else the key would follow wherever an answer leads.
            .redirect(redirect::Policy::none())
            .build();
        Ok(Self { http: http.map_err(|error| Error::internal("prepare a client", error))?, base, key })
    }

    /// Where the server is.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// What is there now.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }

    /// Asks for something once: sent again because its answer was lost, it is not done again.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let key = SystemIds.ulid(SystemClock.now()).to_string();
        let request = || self.request(Method::POST, path).header("Idempotency-Key", &key).json(body);
        match self.send(request()).await {
            Err(e) if e.kind() == ErrorKind::Timeout => self.send(request()).await,
            answered => answered,
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base()));
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret().trim()),
            None => request,
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        let body: Option<Value> = serde_json::from_slice(&bytes).ok();
        match body {
            Some(body) if status.is_success() => Ok(body),
            Some(problem) if problem["detail"].is_string() => Err(refusal(status.as_u16(), &problem)),
            _ => Err(Error::new(
                ErrorKind::Config,
                format!("ask {}", self.base()),
                format!("it answered {status}, and not as Respaldo does"),
            )
            .with_mend("check the address: --server or RESPALDO_URL")),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let mut why: &dyn std::error::Error = error;
        while let Some(source) = why.source() {
            why = source;
        }
        let kind = if error.is_timeout() || !error.is_connect() {
            ErrorKind::Timeout
        } else {
            ErrorKind::Unavailable
        };
        Error::new(kind, format!("ask {}", self.base()), plain(&why.to_string()))
            .with_mend("is the server running there? --server or RESPALDO_URL says where it is")
    }
}

fn address(field: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url =
        url.ok_or_else(|| refused(field, "it must be an address such as https://backups.example.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        let why = "it holds a user name or a password, which others could read there";
        return Err(refused(field, why).with_mend("take them out, and set RESPALDO_KEY"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused(field, "it must end with the host, the port or a path"));
    }
    Ok(url)
}

fn refused(field: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, "read the settings", why).with_field(field)
}

/// What the server refused, in its own words.
fn refusal(status: u16, problem: &Value) -> Error {
    let kind = match status {
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        401 | 403 => ErrorKind::Denied,
        503 => ErrorKind::Unavailable,
        400..500 => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    let mut error = Error::new(kind, "refused by the server", text(problem, "detail"));
    if let Some(field) = problem["field"].as_str() {
        error = error.with_field(plain(field));
    }
    match (status, problem["mend"].as_str()) {
        (401 | 403, _) => error.with_mend("set RESPALDO_KEY to a key that opens this"),
        (_, Some(mend)) => error.with_mend(plain(mend)),
        (_, None) => error,
    }
}

/// A field's text as it may be shown in a terminal; empty where there is none.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().map(plain).unwrap_or_default()
}

/// Text from elsewhere without what would steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_http_without_a_secret() {
        for good in ["http://127.0.0.1:8000", "https://b.example.com/respaldo/", "http://[::1]:8000"] {
            assert!(address("--server", good).is_ok(), "{good}");
        }
        for bad in ["", "localhost:8000", "ftp://x", "http://u:hunter2@h", "http://h/?key=hunter2", "http://"]
        {
            let error = address("RESPALDO_URL", bad).unwrap_err();
            assert_eq!(error.field(), Some("RESPALDO_URL"), "{bad}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_a_server_says_cannot_steer_the_terminal() {
        let problem = serde_json::json!({"detail": "no \u{1b}[2Jway", "field": "a\nb", "mend": "\u{7}try"});
        let line = refusal(422, &problem).to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.contains("way") && line.contains("try"), "{line}");
    }
}
