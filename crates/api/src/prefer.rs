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

/// Nobody waits longer, in seconds.
pub const LONGEST_WAIT: u64 = 120;
const FIRST_LOOK: Duration = Duration::from_millis(25);
const RAREST_LOOK: Duration = Duration::from_secs(1);

/// How long the caller would wait, if at all. What cannot be understood is no wish, as the RFC asks.
pub fn wait(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut wishes = values.flat_map(|value| value.split(','));
    let seconds = wishes.find_map(|wish| {
        let (name, value) = wish.split(';').next()?.split_once('=')?;
        let digits = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("wait").then(|| digits.parse::<u64>().ok())?
    })?;
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_WAIT)))
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
    let Some(wait) = wait(headers) else {
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

    fn wish(text: &'static str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("prefer", HeaderValue::from_static(text));
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_read_among_other_wishes_and_capped() {
        assert_eq!(wish("wait=10"), Some(10));
        assert_eq!(wish("respond-async, Wait = \"7\"; strict"), Some(7));
        assert_eq!(wish("wait=100000"), Some(120));
    }

    #[test]
    fn what_is_no_wait_is_no_wish() {
        for text in ["", "wait", "wait=", "wait=-1", "wait=soon", "wait=0", "return=minimal"] {
            assert_eq!(wish(text), None, "{text}");
        }
    }
}
