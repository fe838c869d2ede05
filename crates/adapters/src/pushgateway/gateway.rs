//! One pushgateway: its address, and the one request that it is sent.

use std::fmt;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use respaldo_core::ports::ExposeSecret;
use respaldo_core::redact::Redactor;
use respaldo_core::{Error, ErrorKind, Result, metrics};

use super::OPERATION;
use crate::environment;

const VARIABLE: &str = "PUSHGATEWAY_URL";
/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer that refuses, no more is read.
const MOST_ANSWER: usize = 4 * 1024;
/// And no more is shown.
const MOST_SHOWN: usize = 300;

/// Where metrics are pushed to. Its login is shown nowhere.
#[derive(Clone)]
pub struct Gateway {
    /// The group's whole address; user name and password may be in it.
    url: Url,
    client: Client,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gateway({self})")
    }
}

/// Its address without the login.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "{origin}{}", self.url.path())
    }
}

impl Gateway {
    /// The gateway of `PUSHGATEWAY_URL` (or of the file that `PUSHGATEWAY_URL_FILE` names); none when it is
    /// not set or empty.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_environment() -> Result<Option<Self>> {
        let text = environment::secret(VARIABLE)?;
        let text = text.as_ref().map(|text| text.expose_secret().trim()).filter(|text| !text.is_empty());
        text.map(Self::new).transpose()
    }

    /// A gateway by its URL, `http[s]://[USER:PASSWORD@]HOST[:PORT][/PREFIX][?instance=NAME]`. With an
    /// instance its numbers stand beside those of other installations on the same gateway, instead of
    /// replacing them.
    ///
    /// # Errors
    /// `Config`; the URL is not shown.
    pub fn new(text: &str) -> Result<Self> {
        let mut url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("it is no http:// or https:// address"));
        }
        let instance = instance(&url)?;
        url.set_query(None);
        url.set_fragment(None);
        let prefix = url.path().trim_end_matches('/').to_owned();
        let group = instance.map(|name| format!("/instance/{name}")).unwrap_or_default();
        url.set_path(&format!("{prefix}/metrics/job/respaldo{group}"));
        // It fails only when a provider is there already, which serves as well.
        let _provider = rustls::crypto::ring::default_provider().install_default();
        // Whoever is sent elsewhere would send the login there, too.
        let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
        let client = client.map_err(|error| Error::internal("prepare for the pushgateway", error))?;
        Ok(Self { url, client })
    }

    /// Replaces the group's metrics with these.
    ///
    /// # Errors
    /// `Unavailable`, `Timeout`, `Denied`, or `Config` when there is no pushgateway at that address.
    pub(super) async fn put(&self, text: String) -> Result<()> {
        let request = self.client.put(self.url.clone());
        let request = request.header(reqwest::header::CONTENT_TYPE, metrics::CONTENT_TYPE).body(text);
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        // An answer that breaks off says all the same that the metrics were refused.
        let said = beginning(answer).await;
        Err(self.refusal(status, &said))
    }

    fn has_login(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        if error.is_timeout() {
            let why = format!("{self} has not answered within {} s", TIMEOUT.as_secs());
            return Error::new(ErrorKind::Timeout, OPERATION, why).with_retryable(true);
        }
        let why = Redactor::default().message(causes(&error.without_url()).as_bytes(), MOST_SHOWN);
        Error::new(ErrorKind::Unavailable, OPERATION, format!("{self}: {why}")).with_retryable(true)
    }

    fn refusal(&self, status: StatusCode, said: &[u8]) -> Error {
        // It may repeat what it was sent, in whatever form; where that was a login, nothing is shown.
        let said = if self.has_login() { &[] } else { said };
        let said = Redactor::default().message(said, MOST_SHOWN);
        let colon = if said.is_empty() { "" } else { ": " };
        let why = format!("{self} answered {}{colon}{said}", status.as_u16());
        let error = |kind| Error::new(kind, OPERATION, why);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => error(ErrorKind::Denied)
                .with_field(VARIABLE)
                .with_mend("put the user name and the password of the gateway into the URL"),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                error(ErrorKind::Unavailable).with_retryable(true)
            }
            status if status.is_server_error() => error(ErrorKind::Unavailable).with_retryable(true),
            _ => error(ErrorKind::Config).with_field(VARIABLE).with_mend(
                "name the address of a Prometheus pushgateway itself, e.g. http://pushgateway:9091; \
                 redirections are not followed",
            ),
        }
    }
}

/// The parameter `instance`; any other is refused.
fn instance(url: &Url) -> Result<Option<String>> {
    let mut instance = None;
    for (name, value) in url.query_pairs() {
        if name != "instance" || instance.is_some() {
            return Err(refused("besides one parameter instance it may have none"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let sound = !value.is_empty() && value.len() <= 100 && value.bytes().all(plain);
        if !sound || value.bytes().all(|byte| byte == b'.') {
            return Err(refused("an instance has up to 100 letters, digits, and - _ . :"));
        }
        instance = Some(value.into_owned());
    }
    Ok(instance)
}

/// The beginning of an answer's body, as far as it comes.
async fn beginning(mut answer: Response) -> Vec<u8> {
    let mut said = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() >= MOST_ANSWER {
            said.truncate(MOST_ANSWER);
            break;
        }
    }
    said
}

/// The client's errors keep what matters in their causes.
fn causes(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

fn refused(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read a URL", why)
        .with_field(VARIABLE)
        .with_mend("write http://HOST:9091, with a login http://USER:PASSWORD@HOST:9091")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_the_group_below_its_address() {
        for (text, shown) in [
            ("http://pushgateway:9091", "http://pushgateway:9091/metrics/job/respaldo"),
            ("https://h/prefix/?instance=shop-1", "https://h/prefix/metrics/job/respaldo/instance/shop-1"),
            ("http://scott:tiger@h", "http://h/metrics/job/respaldo"),
        ] {
            assert_eq!(Gateway::new(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_gateway_is_refused_and_not_shown() {
        for text in [
            "hunter2",
            "ftp://u:hunter2@h",
            "http://",
            "http://u:hunter2@h:port",
            "http://h?token=hunter2",
            "http://h?instance=a&instance=b",
            "http://h?instance=..",
            "http://h?instance=a%2Fhunter2",
            "http://h?instance=",
        ] {
            let error = Gateway::new(text).unwrap_err();
            assert_eq!(error.field(), Some("PUSHGATEWAY_URL"), "{text}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn its_login_is_shown_nowhere() {
        let gateway = Gateway::new("http://scott:ti%67er@h:1/x").unwrap();
        let echo = b"no: scott:tiger ti%67er Basic c2NvdHQ6dGlnZXI=";
        let refused = [400, 401, 500].map(|status| StatusCode::from_u16(status).unwrap());
        let errors = refused.map(|status| gateway.refusal(status, echo));
        let shown = format!("{gateway:?} {gateway} {errors:?} {}", errors[1]);
        for secret in ["scott", "tiger", "ti%67er", "c2NvdHQ6"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
