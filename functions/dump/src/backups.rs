//! Backups: ask for one, list, show, delete.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use respaldo_api::extract::{JobIdPath, JsonObject, Params};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::page::Page;
use respaldo_api::types::{BackupView, StatsView};
use respaldo_api::{Problem, prefer};
use respaldo_core::model::{DatabaseId, Job, JobId};
use respaldo_core::ports::{Cursor, JobFilter};
use respaldo_core::{App, Error, backup};

pub(crate) type Answer<T> = Result<T, Problem>;

const STATUSES: &[&str] = &["queued", "running", "succeeded", "failed", "cancelled", "skipped", "deleting"];
const KINDS: &[&str] = &["scheduled", "manual", "safety", "uploaded"];

/// The body that asks for a backup, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "BackupRequest", example = json!({"database_id": 1}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct BackupBody {
    /// The database's number.
    database_id: i64,
}

/// Asks for a backup now.
///
/// The answer is 202 at once; with `Prefer: wait=N` it is 201 as soon as the backup has ended within N
/// seconds, also when it failed: `status` says which.
#[utoipa::path(
    post, path = "/backups", tag = "backups", request_body = BackupBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one backup."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 201, description = "It has ended.", body = BackupView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = BackupView, headers(("Location" = String))),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    key: IdempotencyKey,
    headers: HeaderMap,
    mut object: JsonObject,
) -> Answer<Response> {
    let database = DatabaseId(object.required("database_id", "a database's number")?);
    let body = object.bytes.clone();
    object.finish("database_id")?;
    let claim = key.claim(&app, &body).await?;
    let id = JobId(claim.id);
    let outcome = backup::request(&app, database, Some(id)).await;
    let job = claim.settle(&app, outcome).await?;
    answer(&app, job, &headers).await
}

async fn answer(app: &App, job: Job, headers: &HeaderMap) -> Answer<Response> {
    let location = HeaderValue::try_from(format!("/backups/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer a backup", error))?;
    let Some(wait) = prefer::wait(app, headers) else {
        return Ok(
            (StatusCode::ACCEPTED, [(LOCATION, location)], Json(BackupView::of(app, &job)?)).into_response()
        );
    };
    let job = prefer::until_ended(app, job.id, wait).await?;
    let status = if job.status.is_terminal() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let headers = [(LOCATION, location), (prefer::PREFERENCE_APPLIED, prefer::applied(wait))];
    Ok((status, headers, Json(BackupView::of(app, &job)?)).into_response())
}

/// Lists backups, newest first.
#[utoipa::path(
    get, path = "/backups", tag = "backups",
    params(
        ("database_id" = Option<i64>, Query, description = "Only this database's."),
        ("status" = Option<String>, Query, description = "Only in this status."),
        ("kind" = Option<String>, Query, description = "Only of this kind."),
        ("since" = Option<String>, Query, description = "Only those since this instant (RFC 3339) or day (UTC)."),
        ("limit" = Option<u32>, Query, description = "How many at most: 1 to 1,000, 100 by default."),
        ("cursor" = Option<String>, Query, description = "From the Link header of the page before."),
    ),
    responses((status = 200, body = [BackupView], headers(("Link" = String, description = "The next page, if there is one."))))
)]
pub(crate) async fn list(State(app): State<App>, mut params: Params) -> Answer<Response> {
    let page = Page::<Cursor>::take(&mut params)?;
    let filter = JobFilter { kind: params.word("kind", KINDS)?, ..filter(&mut params)? };
    params.finish()?;
    let backups = backup::list(&app, &filter, page.after, page.probe()).await?;
    // All of them are backups: that was the condition.
    let view = |job: Job| BackupView::of(&app, &job).ok();
    Ok(page.answer("/backups", &params, backups, Cursor::after, view))
}

/// The conditions that backups and jobs share.
pub(crate) fn filter(params: &mut Params) -> Answer<JobFilter> {
    Ok(JobFilter {
        database_id: params.database_id()?,
        without_database: false,
        status: params.word("status", STATUSES)?,
        kind: None,
        backups_only: false,
        since: params.text("since")?.map(|text| since(&text)).transpose()?,
    })
}

fn since(text: &str) -> Answer<Timestamp> {
    let day = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
    text.parse().ok().or_else(day).ok_or_else(|| {
        Error::invalid(
            "since",
            "it must be an instant such as 2026-01-02T03:04:05Z, or a day such as 2026-01-02",
        )
        .with_mend("write a + as %2B in a query")
        .into()
    })
}

/// Sums over backups.
#[utoipa::path(
    get, path = "/backups/stats", tag = "backups",
    params(("database_id" = Option<i64>, Query, description = "Only this database's.")),
    responses((status = 200, body = StatsView))
)]
pub(crate) async fn stats(State(app): State<App>, mut params: Params) -> Answer<Json<StatsView>> {
    let database = params.database_id()?;
    params.finish()?;
    Ok(Json(backup::stats(&app, database).await?.into()))
}

/// Shows a backup.
#[utoipa::path(
    get, path = "/backups/{id}", tag = "backups", params(("id" = String, Path)),
    responses((status = 200, body = BackupView))
)]
pub(crate) async fn get(State(app): State<App>, JobIdPath(id): JobIdPath) -> Answer<Json<BackupView>> {
    let job = backup::get(&app, id).await?;
    Ok(Json(BackupView::of(&app, &job)?))
}

/// Deletes a backup: its manifest, its artifact, its record.
#[utoipa::path(
    delete, path = "/backups/{id}", tag = "backups", params(("id" = String, Path)),
    responses(
        (status = 204, description = "It is gone."),
        (status = 202, description = "Somebody reads it; it goes as soon as they have ended."),
        (status = 409, description = "It has not ended, something needs it, or it is locked in storage: the answer says until when."),
    )
)]
pub(crate) async fn delete(State(app): State<App>, JobIdPath(id): JobIdPath) -> Answer<StatusCode> {
    let gone = backup::delete(&app, id).await?;
    Ok(if gone { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_instant_or_a_day() {
        assert_eq!(since("2026-01-02").unwrap().to_string(), "2026-01-02T00:00:00Z");
        assert_eq!(since("2026-01-02T03:04:05+01:00").unwrap().to_string(), "2026-01-02T02:04:05Z");
        for junk in ["", "yesterday", "2026-02-30", "1700000000"] {
            assert_eq!(since(junk).unwrap_err().body().field.as_deref(), Some("since"), "{junk}");
        }
    }

    #[test]
    fn every_word_that_a_filter_takes_is_one_of_the_models() {
        for status in STATUSES {
            let mut params = Params::parse(&format!("status={status}")).unwrap();
            assert_eq!(filter(&mut params).unwrap().status.unwrap().as_str(), *status);
        }
        for kind in KINDS {
            let mut params = Params::parse(&format!("kind={kind}")).unwrap();
            let kind_read: Option<respaldo_core::model::BackupKind> = params.word("kind", KINDS).unwrap();
            assert_eq!(kind_read.unwrap().as_str(), *kind);
        }
    }
}
