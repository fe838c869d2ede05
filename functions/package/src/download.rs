//! A package's bytes, or those of one of its members.

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use respaldo_api::access::Granted;
use respaldo_api::content::File;
use respaldo_api::extract::{JobIdPath, Params};
use respaldo_api::handout;
use respaldo_api::types::DownloadView;
use respaldo_core::backup::Download;
use respaldo_core::model::{Artifact, Job, Status};
use respaldo_core::package::{self, MemberDownload};
use respaldo_core::{App, Error, Result};

use crate::routes::Answer;

/// Downloads a package's archive, or one of its members, whole or in part.
///
/// With `member=FILE` only that member is read from storage, in a zip file as in a tar file. `ETag` is the
/// SHA-256 of what is downloaded; `Repr-Digest` lets the receiver check it.
///
/// What is longer than the host sends (on AWS Lambda) is answered with JSON: the address at which the store has
/// it, for 5 minutes; of a member of a zip file also the `range` there. A member of a tar.gz file is asked for in
/// ranges.
#[utoipa::path(
    get, path = "/packages/{id}/download", tag = "packages",
    params(
        ("id" = String, Path),
        ("member" = Option<String>, Query, description = "Only this member, by its file name."),
        ("Range" = Option<String>, Header, description = "One range of bytes."),
        ("If-Range" = Option<String>, Header, description = "The ETag of the bytes that the range continues."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the bytes that the caller has."),
    ),
    responses(
        (
            status = 200,
            description = "The archive, or the member; as JSON where the store gives it out, on a host that sends nothing of that length (AWS Lambda).",
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
    mut params: Params,
) -> Answer<Response> {
    let member = params.text("member")?;
    params.finish()?;
    let job = package::get(&app, id).await?;
    let (name, artifact) = archive_of(&job)?;
    let file = match &member {
        None => File { name, length: artifact.size_bytes, sha256: &artifact.sha256 },
        Some(member) => {
            let member = MemberDownload::find(&job, member)?;
            File { name: &member.file, length: member.size_bytes, sha256: &member.sha256 }
        }
    };
    let selection = file.select(&headers)?;
    let (status, head) = file.head(&selection)?;
    let Some(range) = selection.wanted(file.length).filter(|_| method != Method::HEAD) else {
        return Ok((status, head, Body::empty()).into_response());
    };
    let too_long = handout::is_needed(&app, range.end - range.start);
    let shown_as = handout::shown_as(&file);
    let bytes = match &member {
        None => {
            let download = Download::open(&app, id).await?;
            if too_long {
                let handed = download.hand_out(&app, 0..artifact.size_bytes, &shown_as).await?;
                return Ok(handout::answer(id, &file, granted, handed));
            }
            download.stream(range)
        }
        Some(member) => {
            let download = MemberDownload::open(&app, id, member).await?;
            if too_long {
                let handed = download.hand_out(&app, &shown_as).await?;
                return Ok(handout::answer(id, &file, granted, handed));
            }
            download.stream(range)
        }
    };
    Ok((status, head, Body::from_stream(bytes)).into_response())
}

fn archive_of(job: &Job) -> Result<(&str, &Artifact)> {
    match (job.artifact(), job.file_name()) {
        (Some(artifact), Some(name)) if job.status == Status::Succeeded => Ok((name, artifact)),
        _ => {
            let why = format!("package {} is {} and has nothing to download", job.id, job.status.as_str());
            Err(Error::conflict("download a package", why))
        }
    }
}
