//! The handler: ask for a test restore.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use respaldo_api::extract::{JobIdPath, JsonObject};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::types::JobView;
use respaldo_api::{Problem, prefer};
use respaldo_core::model::JobId;
use respaldo_core::{App, Error, verify};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Asks for a test restore of a backup now.
///
/// The backup is restored into a scratch server, dumped again and compared. The answer is the job, 202 at once;
/// with `Prefer: wait=N` it is 200 as soon as the job has ended within N seconds. The job's `result.verification`
/// is the verdict, and the backup's `verification` too: `ok`, `failed`, or `not_verified` where this machine
/// cannot try it. A job that *failed* says nothing of the backup. While a test restore of this backup waits or
/// runs, that one is answered.
#[utoipa::path(
    post, path = "/backups/{id}/verify", tag = "backups",
    params(
        ("id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one test restore."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 200, description = "It has ended.", body = JobView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = JobView, headers(("Location" = String))),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    JobIdPath(backup): JobIdPath,
    key: IdempotencyKey,
    headers: HeaderMap,
    object: Option<JsonObject>,
) -> Result<Response, Problem> {
    let object = object.unwrap_or_default();
    let body = object.bytes.clone();
    object.finish("none: there is nothing to choose")?;
    let claim = key.claim(&app, &body).await?;
    let id = JobId(claim.id);
    let outcome = verify::request(&app, backup, false, id).await;
    let job = claim.settle(&app, outcome).await?;
    let location = HeaderValue::try_from(format!("/jobs/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer a test restore", error))?;
    let Some(wait) = prefer::wait(&app, &headers) else {
        return Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(JobView::from(job))).into_response());
    };
    let job = prefer::until_ended(&app, job.id, wait).await?;
    let status = if job.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    let headers = [(LOCATION, location), (PREFERENCE_APPLIED, prefer::applied(wait))];
    Ok((status, headers, Json(JobView::from(job))).into_response())
}
