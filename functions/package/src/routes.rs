//! Packages: ask for one, list, show, delete.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use respaldo_api::extract::{JobIdPath, JsonObject, Params};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::page::Page;
use respaldo_api::types::{PackagePlanView, PackageView};
use respaldo_api::{Problem, prefer};
use respaldo_core::model::{Job, JobId};
use respaldo_core::package::{self, Request};
use respaldo_core::ports::Cursor;
use respaldo_core::{App, Error};

pub(crate) type Answer<T> = Result<T, Problem>;

const STATUSES: &[&str] = &["queued", "running", "succeeded", "failed", "cancelled", "skipped", "deleting"];
const KINDS: &[&str] = &["scheduled", "manual"];
const FORMATS: &str = "\"zip\" or \"tar.gz\"";

/// The body that asks for a package, for the documentation.
#[derive(utoipa::ToSchema)]
#[schema(title = "PackageRequest", example = json!({"format": "zip", "allow_incomplete": false}))]
#[expect(dead_code, reason = "the body is read field by field")]
pub(crate) struct PackageBody {
    /// `zip` or `tar.gz`; none: as `package-conf` says.
    format: Option<String>,
    /// The databases; none: those with `package: true`.
    database_ids: Option<Vec<i64>>,
    /// Whether the package may do without a database whose backup is missing or broken.
    allow_incomplete: Option<bool>,
    /// Whether nothing is made, and what would be is answered.
    dry_run: Option<bool>,
}

/// Asks for a package of the latest good backups now.
///
/// All or nothing: a database whose backup is missing, or is not what was stored, fails the package and is
/// named in its `error`; with `allow_incomplete` it is left out and listed in `left_out`. The answer is 202 at
/// once; with `Prefer: wait=N` it is 201 as soon as the package has ended within N seconds, also when it failed.
/// With `dry_run` nothing is made, and 200 tells the members.
#[utoipa::path(
    post, path = "/packages", tag = "packages", request_body = Option<PackageBody>,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one package."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: answer when it has ended, or after N seconds (at most 120, on AWS Lambda 25)."),
    ),
    responses(
        (status = 200, description = "What it would hold (`dry_run`).", body = PackagePlanView),
        (status = 201, description = "It has ended.", body = PackageView, headers(("Location" = String))),
        (status = 202, description = "It waits or runs.", body = PackageView, headers(("Location" = String))),
    )
)]
pub(crate) async fn create(
    State(app): State<App>,
    key: IdempotencyKey,
    headers: HeaderMap,
    object: Option<JsonObject>,
) -> Answer<Response> {
    let mut object = object.unwrap_or_default();
    let request = Request {
        format: object.optional("format", FORMATS)?,
        databases: object.optional("database_ids", "a list of databases' numbers")?,
        allow_incomplete: object.optional("allow_incomplete", "true or false")?,
    };
    let dry_run = object.optional("dry_run", "true or false")?.unwrap_or(false);
    let body = object.bytes.clone();
    object.finish("format, database_ids, allow_incomplete, dry_run")?;
    if dry_run {
        request.check(&app).await?;
        let plan = package::plan(&app, &request.databases).await?;
        let format = request.format.unwrap_or(app.limits.package.format);
        return Ok(Json(PackagePlanView::of(format, &plan)).into_response());
    }
    let claim = key.claim(&app, &body).await?;
    let outcome = package::request(&app, &request, JobId(claim.id)).await;
    let job = claim.settle(&app, outcome).await?;
    answer(&app, job, &headers).await
}

async fn answer(app: &App, job: Job, headers: &HeaderMap) -> Answer<Response> {
    let location = HeaderValue::try_from(format!("/packages/{}", job.id));
    let location = location.map_err(|error| Error::internal("answer a package", error))?;
    let Some(wait) = prefer::wait(app, headers) else {
        let view = Json(PackageView::of(app, &job)?);
        return Ok((StatusCode::ACCEPTED, [(LOCATION, location)], view).into_response());
    };
    let job = prefer::until_ended(app, job.id, wait).await?;
    let status = if job.status.is_terminal() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let headers = [(LOCATION, location), (prefer::PREFERENCE_APPLIED, prefer::applied(wait))];
    Ok((status, headers, Json(PackageView::of(app, &job)?)).into_response())
}

/// Lists packages, newest first.
#[utoipa::path(
    get, path = "/packages", tag = "packages",
    params(
        ("status" = Option<String>, Query, description = "Only in this status."),
        ("kind" = Option<String>, Query, description = "Only of this kind."),
        ("limit" = Option<u32>, Query, description = "How many at most: 1 to 1,000, 100 by default."),
        ("cursor" = Option<String>, Query, description = "From the Link header of the page before."),
    ),
    responses((status = 200, body = [PackageView], headers(("Link" = String, description = "The next page, if there is one."))))
)]
pub(crate) async fn list(State(app): State<App>, mut params: Params) -> Answer<Response> {
    let page = Page::<Cursor>::take(&mut params)?;
    let status = params.word("status", STATUSES)?;
    let kind = params.word("kind", KINDS)?;
    params.finish()?;
    let packages = package::list(&app, status, kind, page.after, page.probe()).await?;
    // All of them are packages: that was the condition.
    let view = |job: Job| PackageView::of(&app, &job).ok();
    Ok(page.answer("/packages", &params, packages, Cursor::after, view))
}

/// Shows a package.
#[utoipa::path(
    get, path = "/packages/{id}", tag = "packages", params(("id" = String, Path)),
    responses((status = 200, body = PackageView))
)]
pub(crate) async fn get(State(app): State<App>, JobIdPath(id): JobIdPath) -> Answer<Json<PackageView>> {
    let job = package::get(&app, id).await?;
    Ok(Json(PackageView::of(&app, &job)?))
}

/// Deletes a package: its manifest, its archive, its record.
#[utoipa::path(
    delete, path = "/packages/{id}", tag = "packages", params(("id" = String, Path)),
    responses(
        (status = 204, description = "It is gone."),
        (status = 202, description = "Somebody reads it; it goes as soon as they have ended."),
    )
)]
pub(crate) async fn delete(State(app): State<App>, JobIdPath(id): JobIdPath) -> Answer<StatusCode> {
    let gone = package::delete(&app, id).await?;
    Ok(if gone { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

#[cfg(test)]
mod tests {
    use respaldo_core::model::{DatabaseId, PackageKind, Status};

    use super::*;

    #[test]
    fn every_word_that_a_filter_takes_is_one_of_the_models() {
        for status in STATUSES {
            let mut params = Params::parse(&format!("status={status}")).unwrap();
            let read: Option<Status> = params.word("status", STATUSES).unwrap();
            assert_eq!(read.unwrap().as_str(), *status);
        }
        for kind in KINDS {
            let mut params = Params::parse(&format!("kind={kind}")).unwrap();
            let read: Option<PackageKind> = params.word("kind", KINDS).unwrap();
            assert_eq!(read.unwrap().as_str(), *kind);
        }
    }

    #[test]
    fn a_list_of_databases_is_read_as_numbers() {
        let mut object = JsonObject::default();
        object.fields.insert("database_ids".to_owned(), [1, 2].into());
        let read: Option<Vec<DatabaseId>> = object.optional("database_ids", "numbers").unwrap();
        assert_eq!(read.unwrap(), [DatabaseId(1), DatabaseId(2)]);
    }
}
