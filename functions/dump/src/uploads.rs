//! A user's own file becomes a backup.

use std::pin::pin;

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest as _, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::stream::unfold;
use futures::{FutureExt as _, TryStreamExt as _};
use respaldo_api::extract::{JsonObject, Params, is_json};
use respaldo_api::idempotency::{Claim, IdempotencyKey};
use respaldo_api::types::{BackupView, UploadView};
use respaldo_core::model::{Job, JobId, Status};
use respaldo_core::upload::{self, Received};
use respaldo_core::{App, Error, ErrorKind, Result, backup};
use tokio::sync::{mpsc, oneshot};

use crate::backups::Answer;
use crate::sent::{self, UploadAnswer, UploadBody};

const OPERATION: &str = "receive a file";
const MEND: &str = "send the file alone as the body (curl --data-binary @FILE), or as the only part of a form (curl -F file=@FILE)";

/// Makes a backup of a file: a dump of `pg_dump`, `mysqldump` or `mariadb-dump`, a SQLite database file, or SQL;
/// as it is, or packed by gzip or zstd.
///
/// The body is the file itself, of whatever media type, or a form (`multipart/form-data`) of one part. What it is
/// is told by its content, never by its name. The answer comes when the backup is stored and proven.
///
/// Or the file is sent to storage: a body of JSON, without a query, is answered with the address to send it to, and
/// `POST /uploads/{id}/complete` makes the backup. A host that takes no file itself (AWS Lambda) knows this way
/// only; elsewhere it is there where storage is on S3.
#[utoipa::path(
    post, path = "/uploads", tag = "backups",
    params(
        ("database_id" = Option<i64>, Query, description = "The database that it is a backup of; it must be given beside a file."),
        ("filename" = Option<String>, Query, description = "What the file is called, for the log."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same file with the same key within 24 hours makes one backup. The key is bound to the query and to the announced length, not to the bytes."),
    ),
    request_body(content((Vec<u8> = "application/octet-stream"), (UploadBody = "application/json"))),
    responses((status = 201, description = "The backup; or, for a body of JSON, where to send the file.", body = UploadAnswer, headers(("Location" = String))))
)]
pub(crate) async fn create(
    State(app): State<App>,
    key: IdempotencyKey,
    mut params: Params,
    request: Request,
) -> Answer<Response> {
    let database = params.database_id()?;
    if database.is_none() && is_json(&request) {
        params.finish()?;
        return sent::create(&app, &key, JsonObject::from_request(request, &()).await?).await;
    }
    if app.limits.host.presigned_uploads {
        return Err(sent::not_here().into());
    }
    let missing = || Error::invalid("database_id", "it is missing; it must be a database's number");
    let database = database.ok_or_else(missing)?;
    let filename = params.text("filename")?;
    params.finish()?;
    let (length, is_form) = (announced(request.headers())?, is_form(request.headers())?);
    let bound = format!("{database} {length:?} {filename:?}");
    let claim = match claim(&app, &key, bound.as_bytes()).await? {
        Turn::Made(job) => return answer(&app, &job, Vec::new()),
        Turn::Ours(claim) => claim,
    };
    let upload = upload::Request { id: Some(JobId(claim.id)), database, filename, length };
    let outcome = if is_form {
        receive_form(&app, upload::Request { length: None, ..upload }, request).await
    } else {
        let body = request.into_body().into_data_stream();
        upload::receive(&app, upload, body.map_err(|_| broke_off())).await
    };
    let Received { job, warnings } = claim.settle(&app, outcome).await?;
    answer(&app, &job, warnings)
}

fn answer(app: &App, job: &Job, warnings: Vec<String>) -> Answer<Response> {
    let location = HeaderValue::try_from(format!("/backups/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer an upload", error))?;
    let view = UploadView { backup: BackupView::of(app, job)?, warnings };
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// What a request is to do.
enum Turn {
    /// Answer what an earlier one has made.
    Made(Box<Job>),
    /// Receive the file.
    Ours(Claim),
}

async fn claim(app: &App, key: &IdempotencyKey, bound: &[u8]) -> Result<Turn> {
    let claim = key.claim(app, bound).await?;
    if !claim.repeated {
        return Ok(Turn::Ours(claim));
    }
    let earlier = match backup::get(app, JobId(claim.id)).await {
        // It has not come far enough for a record; whichever does first makes the backup.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Turn::Ours(claim)),
        earlier => earlier?,
    };
    match earlier.status {
        Status::Succeeded => Ok(Turn::Made(Box::new(earlier))),
        Status::Queued | Status::Running => {
            let why = format!("backup {} is still being received from an earlier request", earlier.id);
            Err(Error::conflict(OPERATION, why)
                .with_mend("wait for its end, or send the file with another key"))
        }
        _ => {
            claim.free(app).await?;
            key.claim(app, bound).await.map(Turn::Ours)
        }
    }
}

/// How many bytes the sender says that it will send.
fn announced(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(length) = headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Some).ok_or_else(|| Error::invalid("Content-Length", "it must be a number of bytes"))
}

fn is_form(headers: &HeaderMap) -> Result<bool> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence.starts_with("multipart/") && essence != "multipart/form-data" {
        let why = format!("of multipart only multipart/form-data is taken, and it is {essence}");
        return Err(Error::new(ErrorKind::Unsupported, OPERATION, why).with_mend(MEND));
    }
    Ok(essence == "multipart/form-data")
}

/// Receives a form: its parts are read while the file is stored.
async fn receive_form(app: &App, upload: upload::Request, request: Request) -> Result<Received> {
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|e| refused(format!("the form cannot be read: {}", e.body_text())))?;
    let (pieces, sent) = mpsc::channel(1);
    let (named, mut name) = oneshot::channel();
    let mut sending = pin!(send(form, named, pieces).fuse());
    let stall = std::time::Duration::try_from(app.limits.stall).unwrap_or_default();
    let named = tokio::select! {
        biased;
        sent = &mut sending => { sent?; name.await }
        named = &mut name => named,
        () = tokio::time::sleep(stall) => return Err(refused("its first part did not come")),
    };
    let filename = upload.filename.clone().or(named.ok().flatten());
    let body = unfold(sent, async |mut sent| sent.recv().await.map(|piece| (piece, sent)));
    let mut receiving = pin!(upload::receive(app, upload::Request { filename, ..upload }, body));
    tokio::select! {
        biased;
        received = &mut receiving => received,
        sent = &mut sending => { sent?; receiving.await }
    }
}

/// Sends on the bytes of the only part, and whatever is wrong after its beginning.
async fn send(
    mut form: Multipart,
    name: oneshot::Sender<Option<String>>,
    pieces: mpsc::Sender<Result<Bytes>>,
) -> Result<()> {
    let part = form.next_field().await.map_err(|e| unreadable(&e))?;
    let part = part.ok_or_else(|| refused("the form has no file"))?;
    if name.send(part.file_name().map(str::to_owned)).is_err() {
        return Ok(());
    }
    let mut outcome = send_part(part, &pieces).await;
    if outcome.is_ok() {
        outcome = match form.next_field().await {
            Ok(None) => return Ok(()),
            Ok(Some(_)) => Err(refused("the form has more parts than the file")),
            Err(e) => Err(unreadable(&e)),
        };
    }
    if let Err(error) = outcome {
        // Whoever has stopped listening knows better.
        let _heard = pieces.send(Err(error)).await;
    }
    Ok(())
}

async fn send_part(mut part: Field<'_>, pieces: &mpsc::Sender<Result<Bytes>>) -> Result<()> {
    while let Some(bytes) = part.chunk().await.map_err(|e| unreadable(&e))? {
        if pieces.send(Ok(bytes)).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn unreadable(error: &MultipartError) -> Error {
    refused(format!("the form cannot be read: {}", error.body_text()))
}

fn refused(why: impl Into<String>) -> Error {
    Error::invalid("file", why).with_mend(MEND)
}

fn broke_off() -> Error {
    Error::invalid("file", "the upload broke off").with_mend("send the file again")
}
