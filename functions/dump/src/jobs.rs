//! Jobs: list, show, read their logs, stop them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use respaldo_api::extract::{JobIdPath, Params};
use respaldo_api::page::{LARGEST_LIMIT, Page};
use respaldo_api::types::{JobView, LogLineView};
use respaldo_core::ports::Cursor;
use respaldo_core::{App, Error, jobs};

use crate::backups::{Answer, filter};

/// Lists jobs, newest first.
#[utoipa::path(
    get, path = "/jobs", tag = "jobs",
    params(
        ("database_id" = Option<i64>, Query, description = "Only this database's."),
        ("status" = Option<String>, Query, description = "Only in this status."),
        ("since" = Option<String>, Query, description = "Only those since this instant (RFC 3339) or day (UTC)."),
        ("limit" = Option<u32>, Query, description = "How many at most: 1 to 1,000, 100 by default."),
        ("cursor" = Option<String>, Query, description = "From the Link header of the page before."),
    ),
    responses((status = 200, body = [JobView], headers(("Link" = String, description = "The next page, if there is one."))))
)]
pub(crate) async fn list(State(app): State<App>, mut params: Params) -> Answer<Response> {
    let page = Page::<Cursor>::take(&mut params)?;
    let filter = filter(&mut params)?;
    params.finish()?;
    let jobs = app.catalog.jobs(&filter, page.after, page.probe()).await?;
    Ok(page.answer("/jobs", &params, jobs, Cursor::after, JobView::from))
}

/// Shows a job.
#[utoipa::path(
    get, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path)),
    responses((status = 200, body = JobView))
)]
pub(crate) async fn get(State(app): State<App>, JobIdPath(id): JobIdPath) -> Answer<Json<JobView>> {
    Ok(Json(jobs::get(&app, id).await?.into()))
}

/// Shows lines of a job's log, oldest first.
#[utoipa::path(
    get, path = "/jobs/{id}/log", tag = "jobs",
    params(
        ("id" = String, Path),
        ("after" = Option<u64>, Query, description = "Only lines after the one with this `seq`."),
        ("limit" = Option<u32>, Query, description = "How many at most: 1 to 1,000, which is the default."),
    ),
    responses((status = 200, body = [LogLineView]))
)]
pub(crate) async fn log(
    State(app): State<App>,
    JobIdPath(id): JobIdPath,
    mut params: Params,
) -> Answer<Json<Vec<LogLineView>>> {
    let what = format!("a whole number from 1 to {LARGEST_LIMIT}");
    let after = params.value("after", "a line's seq")?.unwrap_or(0);
    let limit = params.value("limit", &what)?.unwrap_or(LARGEST_LIMIT);
    params.finish()?;
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        return Err(Error::invalid("limit", format!("it must be {what}")).into());
    }
    let lines = jobs::log(&app, id, after, limit).await?;
    Ok(Json(lines.into_iter().map(LogLineView::from).collect()))
}

/// Asks a job to stop: at once while it waits, soon while it runs.
#[utoipa::path(
    post, path = "/jobs/{id}/cancel", tag = "jobs", params(("id" = String, Path)),
    responses(
        (status = 200, description = "It has stopped.", body = JobView),
        (status = 202, description = "It was told to stop.", body = JobView),
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    JobIdPath(id): JobIdPath,
) -> Answer<(StatusCode, Json<JobView>)> {
    let job = jobs::cancel(&app, id).await?;
    let status = if job.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(job.into())))
}
