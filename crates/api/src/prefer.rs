//! `Prefer: wait=N` (RFC 7240): answer when the work is done, or after N seconds.

use std::time::Duration;

use axum::Json;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use respaldo_core::model::{Job, JobId};
use respaldo_core::{App, Error, Result, jobs};
use tokio::time::{Instant, sleep};

use crate::Problem;
use crate::types::JobView;

/// The header that says which wish was granted.
pub const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

const FIRST_LOOK: Duration = Duration::from_millis(25);
const RAREST_LOOK: Duration = Duration::from_secs(1);

/// How long the caller waits, if at all: as long as they would, and no longer than this host lets them.
pub fn wait(app: &App, headers: &HeaderMap) -> Option<Duration> {
    wish(headers).map(|wish| wish.min(app.limits.host.longest_wait))
}

/// How long the caller would wait. What cannot be understood is no wish, as the RFC asks.
fn wish(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut wishes = values.flat_map(|value| value.split(','));
    let seconds = wishes.find_map(|wish| {
        let (name, value) = wish.split(';').next()?.split_once('=')?;
        let digits = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| digits.parse::<u64>().ok())?
    })?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The `Preference-Applied` of an answer that was waited for.
pub fn applied(wait: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("wait={}", wait.as_secs())).unwrap_or(HeaderValue::from_static("wait"))
}

/// The answer of what asks for long work that is no backup: 202 and the job at once, or, for a caller who
/// would wait, 200 when it has ended.
///
/// # Errors
/// When the job cannot be read any more.
pub async fn job(app: &App, job: Job, headers: &HeaderMap) -> Result<Response, Problem> {
    let location = HeaderValue::try_from(format!("/jobs/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer a job", error))?;
    let Some(wait) = wait(app, headers) else {
        return Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(JobView::from(job))).into_response());
    };
    let job = until_ended(app, job.id, wait).await?;
    let status = if job.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let headers = [(LOCATION, location), (PREFERENCE_APPLIED, applied(wait))];
    Ok((status, headers, Json(JobView::from(job))).into_response())
}

/// Waits until the job has ended, or for `longest`; answers it as it then is.
pub async fn until_ended(app: &App, id: JobId, longest: Duration) -> Result<Job> {
    let deadline = Instant::now() + longest;
    let mut pause = FIRST_LOOK;
    loop {
        let job = jobs::get(app, id).await?;
        let now = Instant::now();
        if job.status.is_terminal() || now >= deadline {
            return Ok(job);
        }
        sleep(pause.min(deadline - now)).await;
        pause = (pause * 2).min(RAREST_LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", HeaderValue::from_static(text));
        wish(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_among_other_wishes() {
        assert_eq!(seconds("wait=10"), Some(10));
        assert_eq!(seconds("respond-async, Wait = \"7\"; strict"), Some(7));
        assert_eq!(seconds("wait=100000"), Some(100_000));
    }

    #[test]
    fn what_is_no_wait_is_no_wish() {
        for text in ["", "wait", "wait=", "wait=-1", "wait=soon", "wait=0", "return=minimal"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
