//! A backup's bytes, as they are stored.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use respaldo_api::access::Granted;
use respaldo_api::content::File;
use respaldo_api::extract::JobIdPath;
use respaldo_api::handout;
use respaldo_api::types::DownloadView;
use respaldo_core::backup::{self, Download};
use respaldo_core::model::{Artifact, Job, Status};
use respaldo_core::{App, Error};

use crate::backups::Answer;

/// Downloads a backup's artifact, whole or in part.
///
/// `ETag` is its SHA-256; `Repr-Digest` lets the receiver check it. The bytes are never unpacked on
/// the way: the file's name says what they are.
///
/// What is longer than the host sends (on AWS Lambda) is answered with JSON: the address at which the store has
/// it, for 5 minutes, in which the backup is not deleted. A `Range` of what the host sends is answered with its
/// bytes.
#[utoipa::path(
    get, path = "/backups/{id}/download", tag = "backups",
    params(
        ("id" = String, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes."),
        ("If-Range" = Option<String>, Header, description = "The ETag of the bytes that the range continues."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the bytes that the caller has."),
    ),
    responses(
        (
            status = 200,
            description = "The artifact; as JSON where the store gives it out, on a host that sends nothing of that length (AWS Lambda).",
            content((Vec<u8> = "application/octet-stream"), (DownloadView = "application/json"))
        ),
        (status = 206, description = "A part of it.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The caller has it."),
        (status = 416, description = "The range lies outside."),
    )
)]
pub(crate) async fn download(
    State(app): State<App>,
    Extension(granted): Extension<Granted>,
    method: Method,
    headers: HeaderMap,
    JobIdPath(id): JobIdPath,
) -> Answer<Response> {
    let job = backup::get(&app, id).await?;
    let (name, artifact) = artifact_of(&job)?;
    let file = File { name, length: artifact.size_bytes, sha256: &artifact.sha256 };
    let selection = file.select(&headers)?;
    let (status, head) = file.head(&selection)?;
    let wanted = selection.wanted(artifact.size_bytes).filter(|_| method != Method::HEAD);
    let Some(range) = wanted else {
        return Ok((status, head, Body::empty()).into_response());
    };
    let download = Download::open(&app, id).await?;
    if handout::is_needed(&app, range.end - range.start) {
        let handed = download.hand_out(&app, 0..artifact.size_bytes, &handout::shown_as(&file)).await?;
        return Ok(handout::answer(id, &file, granted, handed));
    }
    let bytes = download.stream(range);
    Ok((status, head, Body::from_stream(bytes)).into_response())
}

fn artifact_of(job: &Job) -> Answer<(&str, &Artifact)> {
    let backup = job.backup()?;
    match (&backup.artifact, &backup.name) {
        (Some(artifact), Some(name)) if job.status == Status::Succeeded => Ok((name, artifact)),
        _ => {
            let why = format!("backup {} is {} and has nothing to download", job.id, job.status.as_str());
            Err(Error::conflict("download a backup", why).into())
        }
    }
}
