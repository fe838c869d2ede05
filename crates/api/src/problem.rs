//! Refusals, as RFC 9457 asks: `application/problem+json`.
//!
//! This is the one place where a kind of failure becomes a status code. What a caller can mend is
//! told in full; a fault of ours is told as such, and its details go to the log only.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use respaldo_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of every refusal.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// How many seconds a caller should wait after a 503.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Why a request was refused, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(title = "Problem", example = json!({
    "type": "/problems/invalid", "title": "A value was refused", "status": 422,
    "detail": "the cron never fires", "field": "schedule", "mend": "use e.g. 0 3 * * *", "retryable": false
}))]
pub struct ProblemBody {
    /// Names the kind of problem; it never changes.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every problem of this type.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// The refused field, as its sender wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// Whether the same request can succeed later.
    pub retryable: bool,
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    body: Box<ProblemBody>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem that no [`Error`] stands for. `slug` is the last part of its type.
    pub fn new(status: StatusCode, slug: &str, title: &str, detail: impl Into<String>) -> Self {
        let body = ProblemBody {
            kind: format!("/problems/{slug}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            mend: None,
            retryable: false,
        };
        Self { status, body: Box::new(body), headers: Vec::new() }
    }

    /// A body or a query that cannot be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    /// A body longer than `most` bytes.
    pub fn too_large(most: usize) -> Self {
        let detail = format!("the body is longer than the {most} bytes that it may have");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large", detail)
    }

    /// A body that is not JSON.
    pub fn unsupported_media_type() -> Self {
        let detail = "the body must be JSON";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", "The media type is not supported", detail)
            .with_mend("send Content-Type: application/json")
    }

    /// A path that leads nowhere.
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "It does not exist", "there is nothing at this path")
            .with_mend("see /docs for what there is")
    }

    /// A fault of ours; details belong in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A fault of the server",
            "the server's log says what happened",
        )
    }

    /// Says what to do about it.
    pub fn with_mend(mut self, mend: impl Into<String>) -> Self {
        self.body.mend = Some(mend.into());
        self
    }

    /// Names the field that was refused.
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.body.field = Some(field.into());
        self
    }

    /// Adds a header to the answer.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the caller is told.
    pub fn body(&self) -> &ProblemBody {
        &self.body
    }
}

/// The one mapping from kinds of failure to status codes.
fn status_and_title(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "A value was refused"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "It does not exist"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "Its state forbids it"),
        ErrorKind::Fenced => (StatusCode::CONFLICT, "Somebody else works on it"),
        ErrorKind::Cancelled => (StatusCode::CONFLICT, "It was cancelled"),
        ErrorKind::Denied => (StatusCode::UNPROCESSABLE_ENTITY, "Credentials were refused"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large"),
        ErrorKind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The media type is not supported"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "It cannot be reached now"),
        ErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "It took too long"),
        ErrorKind::Storage => (StatusCode::SERVICE_UNAVAILABLE, "Storage cannot be used now"),
        ErrorKind::Tool => (StatusCode::SERVICE_UNAVAILABLE, "A tool is missing or too old"),
        ErrorKind::Config => (StatusCode::SERVICE_UNAVAILABLE, "The server's settings do not hold together"),
        ErrorKind::Incomplete => (StatusCode::INTERNAL_SERVER_ERROR, "A dump is not whole"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "Stored bytes are not what was written"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "A fault of the server"),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, title) = status_and_title(error.kind());
        if error.kind() == ErrorKind::Internal {
            tracing::error!(operation = error.operation(), error = error.message(), "request failed");
            return Self::internal();
        }
        if status.is_server_error() {
            tracing::warn!(operation = error.operation(), error = error.message(), "request failed");
        }
        let mut problem = Self::new(status, error.kind().as_str(), title, error.message());
        problem.body.field = error.field().map(ToOwned::to_owned);
        problem.body.mend = error.mend().map(ToOwned::to_owned);
        problem.body.retryable = error.is_retryable();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem = problem.with_header(RETRY_AFTER, RETRY_SECONDS);
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(*self.body)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_value_is_422_and_names_its_field_and_mend() {
        let error = Error::invalid("schedule", "the cron never fires").with_mend("use 0 3 * * *");
        let problem = Problem::from(error);
        assert_eq!(
            serde_json::to_value(problem.body()).unwrap(),
            serde_json::json!({
                "type": "/problems/invalid", "title": "A value was refused", "status": 422,
                "detail": "the cron never fires", "field": "schedule", "mend": "use 0 3 * * *",
                "retryable": false
            })
        );
    }

    #[test]
    fn a_fault_of_ours_tells_nothing_of_its_details() {
        let problem = Problem::from(Error::internal("open a drawer", "the handle /etc/x came off"));
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!serde_json::to_string(problem.body()).unwrap().contains("drawer"));
        assert!(!serde_json::to_string(problem.body()).unwrap().contains("/etc/x"));
    }

    #[test]
    fn what_can_pass_by_itself_is_503_with_retry_after() {
        let response = Problem::from(Error::new(ErrorKind::Unavailable, "x", "y")).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
