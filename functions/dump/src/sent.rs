//! Files that are sent to storage, and what makes backups of them.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use respaldo_api::extract::{JobIdPath, JsonObject};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::prefer;
use respaldo_api::types::{BackupView, UploadTicketView, UploadView};
use respaldo_core::model::{DatabaseId, JobId};
use respaldo_core::upload::{self, Request, Ticket};
use respaldo_core::{App, Error, ErrorKind};

use crate::backups::Answer;

/// The body that asks where to send a file, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "UploadRequest", example = json!({"database_id": 1, "filename": "shop.dump", "size_bytes": 1_048_576}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct UploadBody {
    /// The number of the database that it is a backup of.
    database_id: i64,
    /// What the file is called, for the log.
    filename: Option<String>,
    /// Its length, to be refused at once if it is too long, and compared with what has arrived.
    size_bytes: Option<u64>,
}

/// What `/uploads` answers, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "UploadAnswer")]
#[serde(untagged)]
#[expect(dead_code, clippy::large_enum_variant, reason = "each is answered as it is")]
pub(crate) enum UploadAnswer {
    /// The backup that was made of the file in the request.
    Backup(UploadView),
    /// Where to send the file.
    Ticket(UploadTicketView),
}

/// Says where to send a file.
pub(crate) async fn create(app: &App, key: &IdempotencyKey, mut object: JsonObject) -> Answer<Response> {
    let database = DatabaseId(object.required("database_id", "a database's number")?);
    let filename = object.optional("filename", "a text")?;
    let length = object.optional("size_bytes", "a number of bytes")?;
    let body = object.bytes.clone();
    object.finish("database_id, filename, size_bytes")?;
    let claim = key.claim(app, &body).await?;
    let request = Request { id: Some(JobId(claim.id)), database, filename, length };
    let outcome = upload::hand_out(app, request).await;
    let Ticket { id, request, expires_at, most_bytes } = claim.settle(app, outcome).await?;
    let complete = format!("/uploads/{id}/complete");
    let view = UploadTicketView {
        upload_id: id.to_string(),
        url: request.url,
        method: request.method,
        headers: request.headers.into_iter().collect(),
        expires_at,
        most_bytes,
        complete,
    };
    Ok((StatusCode::CREATED, Json(view)).into_response())
}

/// Makes a backup of a file that was sent to storage.
///
/// It is looked at at once: what is no dump of such a database is refused, and removed. The answer is 202; with
/// `Prefer: wait=N` it is 201 as soon as the backup has ended within N seconds, also when it failed: `status` says
/// which. Asked again, it is the same backup.
#[utoipa::path(
    post, path = "/uploads/{id}/complete", tag = "backups",
    params(
        ("id" = String, Path, description = "The `upload_id`."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 201, description = "It has ended.", body = UploadView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = UploadView, headers(("Location" = String))),
        (status = 409, description = "The file has not arrived."),
    )
)]
pub(crate) async fn complete(
    State(app): State<App>,
    JobIdPath(id): JobIdPath,
    headers: HeaderMap,
) -> Answer<Response> {
    let (job, warnings) = upload::complete(&app, id).await?;
    let location = HeaderValue::try_from(format!("/backups/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer an upload", error))?;
    let (wait, mut job) = (prefer::wait(&app, &headers), job);
    if let Some(wait) = wait {
        job = prefer::until_ended(&app, job.id, wait).await?;
    }
    let status = if job.status.is_terminal() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let view = UploadView { backup: BackupView::of(&app, &job)?, warnings };
    let mut response = (status, [(LOCATION, location)], Json(view)).into_response();
    if let Some(wait) = wait {
        response.headers_mut().insert(prefer::PREFERENCE_APPLIED, prefer::applied(wait));
    }
    Ok(response)
}

/// The refusal of a file in a request.
pub(crate) fn not_here() -> Error {
    let what = "this host takes no file in a request";
    Error::new(ErrorKind::Unsupported, "receive a file", what).with_mend(
        "ask where to send it: POST /uploads with the JSON {\"database_id\": N, \"filename\": \"…\"} and no query; \
         PUT the file to the url of the answer; then POST /uploads/{upload_id}/complete",
    )
}
