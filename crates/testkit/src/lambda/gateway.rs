//! Requests as API Gateway's HTTP API hands them on, and its reading of the answers (payload 2.0).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode, header};
use s3s::Body;
use serde_json::{Value, json};

use super::FunctionError;

/// The event of a request; `route` is the template's path that fits it.
pub(super) fn event(parts: &Parts, body: &Bytes, route: &str) -> Value {
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers = BTreeMap::new();
    for name in parts.headers.keys().filter(|name| *name != header::COOKIE) {
        let values: Vec<String> = parts.headers.get_all(name).iter().map(text).collect();
        headers.insert(name.as_str().to_owned(), values.join(","));
    }
    headers.insert("x-forwarded-for".to_owned(), "203.0.113.7".to_owned());
    headers.insert("x-forwarded-proto".to_owned(), "https".to_owned());
    let cookies: Vec<String> = parts.headers.get_all(header::COOKIE).iter().map(text).collect();
    let binary = !is_text(headers.get("content-type").map_or("", String::as_str));
    let method = parts.method.as_str();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let route_key = format!("ANY {route}");
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "123456789012", "apiId": "testapi", "domainName": "testapi.execute-api.test",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7",
                "userAgent": "tests",
            },
            "requestId": crate::host::unique("request"), "routeKey": route_key, "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": crate::host::now_ms(),
        },
        "isBase64Encoded": binary && !body.is_empty(),
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !body.is_empty() {
        event["body"] = match std::str::from_utf8(body) {
            Ok(text) if !binary => json!(text),
            _ => json!(STANDARD.encode(body)),
        };
    }
    event
}

/// What API Gateway hands on as it is; anything else goes in base64.
fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || kind.starts_with("application/json") || kind.starts_with("application/xml")
}

/// The answer to the request.
pub(super) fn response(answer: Result<Value, FunctionError>) -> Response<Body> {
    let Ok(answer) = answer else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let Some(status) = answer["statusCode"].as_u64() else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error");
    };
    let mut response = Response::builder().status(u16::try_from(status).unwrap_or(500));
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        // The length is that of the body as it is sent.
        if name != "content-length" {
            response = response.header(name, value.as_str().unwrap_or_default());
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        response = response.header(header::SET_COOKIE, cookie.as_str().unwrap_or_default());
    }
    let body = answer["body"].as_str().unwrap_or_default();
    let body = if answer["isBase64Encoded"] == true {
        STANDARD.decode(body).expect("the function says that it is base64")
    } else {
        body.as_bytes().to_vec()
    };
    response.body(Body::from(Bytes::from(body))).expect("the function answers with headers that can be sent")
}

/// What API Gateway itself answers.
pub(super) fn refusal(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
