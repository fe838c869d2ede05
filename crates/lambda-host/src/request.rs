//! A request of API Gateway's HTTP API as the routes know requests.
//!
//! Whatever a caller can put into one is answered, never a panic and never an error of the function: who pays for
//! errors and is woken by them is not the caller.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, COOKIE};
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use respaldo_api::Problem;
use serde::Deserialize;

/// What is needed of the event (payload format 2.0).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpEvent {
    #[serde(default)]
    raw_path: String,
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    request_context: Context,
}

#[derive(Debug, Deserialize)]
struct Context {
    http: Http,
    #[serde(default)]
    stage: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    #[serde(default)]
    source_ip: Option<String>,
}

impl HttpEvent {
    /// Who asks, as API Gateway saw it.
    pub(crate) fn source_ip(&self) -> &str {
        self.request_context.http.source_ip.as_deref().unwrap_or("-")
    }

    /// The request.
    ///
    /// # Errors
    /// The answer to a request that cannot be read.
    pub(crate) fn into_request(self) -> Result<Request<Body>, Problem> {
        let method = Method::from_bytes(self.request_context.http.method.as_bytes())
            .map_err(|_| Problem::malformed("the method is no method"))?;
        let uri = self.uri()?;
        let body = match self.body {
            None => Vec::new(),
            Some(text) if self.is_base64_encoded => {
                STANDARD.decode(text).map_err(|_| Problem::malformed("the body is not base64"))?
            }
            Some(text) => text.into_bytes(),
        };
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        for (name, value) in &self.headers {
            headers.append(header_name(name)?, header_value(name, value)?);
        }
        if let Some(cookies) = self.cookies.filter(|cookies| !cookies.is_empty()) {
            headers.insert(COOKIE, header_value("cookie", &cookies.join("; "))?);
        }
        // What the sender said of a body that was encoded on its way is of no use.
        headers.remove(CONTENT_LENGTH);
        if !body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        *request.body_mut() = Body::from(body);
        Ok(request)
    }

    fn uri(&self) -> Result<Uri, Problem> {
        let mut target = escaped(self.path(), b"#?");
        if target.is_empty() {
            target.push('/');
        }
        if !self.raw_query_string.is_empty() {
            target.push('?');
            target.push_str(&escaped(&self.raw_query_string, b"#"));
        }
        target.parse().map_err(|_| Problem::malformed("the path is no path"))
    }

    /// The path below the stage, which stands in front of it unless the stage is the default one.
    fn path(&self) -> &str {
        let stage = self.request_context.stage.as_deref().filter(|stage| *stage != "$default");
        let below = stage.and_then(|stage| self.raw_path.strip_prefix('/')?.strip_prefix(stage));
        below.filter(|below| below.is_empty() || below.starts_with('/')).unwrap_or(&self.raw_path)
    }
}

/// Escapes what may not stand in a URI: API Gateway has unescaped some of it. What is escaped already stays.
fn escaped(text: &str, besides: &[u8]) -> String {
    let bytes = text.as_bytes();
    let mut escaped = String::with_capacity(text.len());
    for (at, &byte) in bytes.iter().enumerate() {
        let pair = bytes.get(at + 1..at + 3);
        let whole = byte != b'%' || pair.is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        if byte.is_ascii_graphic() && whole && !b"\"<>\\^`{|}".contains(&byte) && !besides.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn header_name(name: &str) -> Result<HeaderName, Problem> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Problem::malformed("the name of a header is no name of a header"))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(value)
        .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
        .map_err(|_| Problem::malformed("a header holds what no header can").with_field(name))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        serde_json::from_str(include_str!("../tests/events/http_api.json")).unwrap()
    }

    fn request(event: Value) -> Result<Request<Body>, u16> {
        let event: HttpEvent = serde_json::from_value(event).unwrap();
        event.into_request().map_err(|problem| problem.status().as_u16())
    }

    async fn body(request: Request<Body>) -> Vec<u8> {
        to_bytes(request.into_body(), 1 << 20).await.unwrap().to_vec()
    }

    #[tokio::test]
    async fn an_event_becomes_the_request_that_was_sent() {
        let request = request(event()).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "/backups?limit=2&name=a%20b&name=c");
        assert_eq!(request.headers()["x-admin-key"], "secret");
        assert_eq!(request.headers()["accept"], "text/html, application/json");
        assert_eq!(request.headers()["cookie"], "one=1; two=2");
        assert_eq!(request.headers()["content-length"], "17");
        assert_eq!(body(request).await, br#"{"database_id":1}"#);
    }

    #[tokio::test]
    async fn a_body_in_base64_is_decoded_and_one_that_is_none_is_refused() {
        let mut encoded = event();
        (encoded["isBase64Encoded"], encoded["body"]) = (json!(true), json!("AP8x"));
        assert_eq!(body(request(encoded.clone()).unwrap()).await, [0, 255, b'1']);
        encoded["body"] = json!("%%%");
        assert_eq!(request(encoded).unwrap_err(), 400);
    }

    #[test]
    fn a_stage_stands_in_front_of_the_path_and_is_no_part_of_it() {
        for (stage, path, below) in [
            (json!("$default"), "/databases", "/databases"),
            (json!("prod"), "/prod/databases", "/databases"),
            (json!("prod"), "/prod", "/"),
            (json!("prod"), "/production", "/production"),
            (json!("data"), "/databases", "/databases"),
            (json!(null), "/databases", "/databases"),
            (json!("$default"), "", "/"),
        ] {
            let mut event = event();
            (event["requestContext"]["stage"], event["rawPath"]) = (stage, json!(path));
            event["rawQueryString"] = json!("");
            assert_eq!(request(event).unwrap().uri(), below, "{path}");
        }
    }

    #[test]
    fn hostile_paths_and_queries_stay_one_path_and_one_query() {
        for (path, query, uri) in [
            ("/a b/ü", "", "/a%20b/%C3%BC"),
            ("/a?b#c", "", "/a%3Fb%23c"),
            ("/a%2Fb/%zz%", "", "/a%2Fb/%25zz%25"),
            ("//evil.example/a", "", "//evil.example/a"),
            ("/a\r\nb", "x=\r\n y&z=é", "/a%0D%0Ab?x=%0D%0A%20y&z=%C3%A9"),
        ] {
            let mut event = event();
            (event["rawPath"], event["rawQueryString"]) = (json!(path), json!(query));
            let request = request(event).unwrap();
            assert_eq!(request.uri().to_string(), uri);
            assert!(request.uri().host().is_none());
        }
    }

    #[test]
    fn hostile_headers_and_methods_are_refused_by_an_answer() {
        let with = |name: &str, value: &str| {
            let mut event = event();
            event["headers"][name] = json!(value);
            request(event).map(|_| ())
        };
        assert_eq!(with("x", "a\r\nb: c"), Err(400));
        assert_eq!(with("a b", "c"), Err(400));
        assert_eq!(with("", "c"), Err(400));
        assert_eq!(with("host", "a b\"<"), Ok(()));
        assert_eq!(with("content-length", "99999999999999999999"), Ok(()));
        assert_eq!(with("x", "é"), Ok(()));
        let mut event = event();
        event["requestContext"]["http"]["method"] = json!("GET /");
        assert_eq!(request(event).map(|_| ()), Err(400));
    }
}
