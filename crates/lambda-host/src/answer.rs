//! An answer of the routes as API Gateway's HTTP API takes it (payload format 2.0).

use std::collections::BTreeMap;

use axum::body::{Bytes, to_bytes};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use respaldo_api::Problem;
use respaldo_core::{Error, Result};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Lambda takes no longer answer than 6 MiB, in bytes of JSON.
const LONGEST: usize = 6 * 1024 * 1024 - 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

/// Reads a response to its end. One that is longer than Lambda takes is answered by a problem that says so.
///
/// # Errors
/// `Internal` when the response breaks off, or cannot be written down.
pub(crate) async fn of(response: Response) -> Result<Box<RawValue>> {
    let (parts, body) = response.into_parts();
    // Encoded it is not shorter.
    let Ok(bytes) = to_bytes(body, LONGEST).await else { return too_large().await };
    let answer = to_raw_value(&compose(parts.status, &parts.headers, &bytes));
    let answer = answer.map_err(|error| Error::internal("write an answer", error))?;
    if answer.get().len() > LONGEST { too_large().await } else { Ok(answer) }
}

async fn too_large() -> Result<Box<RawValue>> {
    let title = "The answer is too long";
    let detail = format!("it is longer than the {LONGEST} bytes that one answer of this host may have");
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "answer_too_large", title, detail)
        .with_mend("ask for less: a smaller limit, or a part of it");
    let (parts, body) = problem.into_response().into_parts();
    let bytes = to_bytes(body, LONGEST).await.unwrap_or_default();
    let answer = to_raw_value(&compose(parts.status, &parts.headers, &bytes));
    answer.map_err(|error| Error::internal("write an answer", error))
}

fn compose(status: StatusCode, headers: &HeaderMap, bytes: &Bytes) -> Answer {
    let text = is_text(headers).then(|| std::str::from_utf8(bytes).ok()).flatten();
    Answer {
        status_code: status.as_u16(),
        headers: joined(headers),
        cookies: values(headers, &SET_COOKIE).collect(),
        body: text.map_or_else(|| STANDARD.encode(bytes), str::to_owned),
        is_base64_encoded: text.is_none(),
    }
}

/// Each header once: its values joined as RFC 9110 allows. Cookies, which cannot be, have a place of their own.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let kept = headers.keys().filter(|name| ![SET_COOKIE, CONNECTION, TRANSFER_ENCODING].contains(name));
    kept.map(|name| (name.to_string(), values(headers, name).collect::<Vec<_>>().join(", "))).collect()
}

fn values(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = String> {
    headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let known = kind.starts_with("text/") || kind.ends_with("json") || kind.ends_with("javascript");
    known && !headers.contains_key(CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::Value;

    use super::*;

    async fn answer(response: Response) -> Value {
        serde_json::from_str(of(response).await.unwrap().get()).unwrap()
    }

    fn response(kind: &str, body: impl Into<Body>) -> Response {
        Response::builder().header("content-type", kind).body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn text_goes_as_text_and_everything_else_in_base64() {
        for kind in ["application/json", "application/problem+json", "text/plain; charset=utf-8"] {
            let answer = answer(response(kind, "ü\n")).await;
            assert_eq!((answer["body"].as_str(), &answer["isBase64Encoded"]), (Some("ü\n"), &false.into()));
        }
        for (kind, body) in [("application/gzip", &b"\x1f\x8b"[..]), ("text/plain", &b"\xff\xfe"[..])] {
            let answer = answer(response(kind, body)).await;
            assert_eq!(answer["isBase64Encoded"], true, "{kind}");
            assert_eq!(STANDARD.decode(answer["body"].as_str().unwrap()).unwrap(), body);
        }
    }

    #[tokio::test]
    async fn headers_that_repeat_are_joined_and_cookies_stand_apart() {
        let response = Response::builder()
            .status(202)
            .header("link", "</a>; rel=\"next\"")
            .header("link", "</b>; rel=\"prev\"")
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2")
            .header("transfer-encoding", "chunked")
            .body(Body::empty());
        let answer = answer(response.unwrap()).await;
        assert_eq!(answer["statusCode"], 202);
        assert_eq!(answer["headers"]["link"], "</a>; rel=\"next\", </b>; rel=\"prev\"");
        assert_eq!(answer["cookies"], serde_json::json!(["a=1", "b=2"]));
        assert_eq!(answer["headers"].as_object().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_lambda_would_refuse_is_a_problem_that_says_so() {
        let longest = 4_500_000;
        let fits = answer(response("application/gzip", vec![0; longest])).await;
        assert_eq!(fits["statusCode"], 200, "what is given out in one answer fits in base64");
        // Binary grows by a third, and quotes double.
        for (kind, body) in [
            ("application/gzip", vec![0; 5_000_000]),
            ("text/plain", vec![b'"'; 4_000_000]),
            ("text/plain", vec![b'a'; 7_000_000]),
        ] {
            let answer = answer(response(kind, body)).await;
            assert_eq!(answer["statusCode"], 500);
            assert!(answer["body"].as_str().unwrap().contains("/problems/answer_too_large"));
        }
    }
}
