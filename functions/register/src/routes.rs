//! The handlers: each reads its request, calls one use case, and answers.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::future::join_all;
use respaldo_api::Problem;
use respaldo_api::access::{Granted, Scope, forbidden};
use respaldo_api::extract::{DatabaseIdPath, JsonObject, Params};
use respaldo_api::idempotency::IdempotencyKey;
use respaldo_api::page::Page;
use respaldo_api::types::{ChangeBody, DatabaseView, RegisterBody, change_from};
use respaldo_core::databases::{self, BackupsFate};
use respaldo_core::model::DatabaseId;
use respaldo_core::{App, Error, ErrorKind};

use crate::idempotent;

type Answer<T> = Result<T, Problem>;

/// Registers a database.
#[utoipa::path(
    post, path = "/databases", tag = "databases", request_body(content = RegisterBody, example = json!({
        "name": "PostgreSQL Producción", "engine": "postgres", "host": "db.example.com", "port": 5432,
        "database_name": "production_db", "schedule": "0 4 * * *", "retention_days": 30, "max_backups": 15,
        "compression": "gzip", "credentials": { "username": "prod_user", "password": "very_strong_password" }
    })),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same request with the same key within 24 hours makes one database.")),
    responses((status = 201, body = DatabaseView, headers(("Location" = String, description = "The database."))))
)]
pub(crate) async fn register(
    State(app): State<App>,
    key: IdempotencyKey,
    object: JsonObject,
) -> Answer<Response> {
    let database = idempotent::register(&app, &key, object).await?;
    let location = format!("/databases/{}", database.id);
    let view = DatabaseView::of(&app, database).await;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

/// Lists databases by number, ascending.
#[utoipa::path(
    get, path = "/databases", tag = "databases",
    params(
        ("limit" = Option<u32>, Query, description = "How many at most: 1 to 1,000, 100 by default."),
        ("cursor" = Option<String>, Query, description = "From the Link header of the page before."),
    ),
    responses((status = 200, body = [DatabaseView], headers(("Link" = String, description = "The next page, if there is one."))))
)]
pub(crate) async fn list(State(app): State<App>, mut params: Params) -> Answer<Response> {
    let page = Page::<DatabaseId>::take(&mut params)?;
    params.finish()?;
    let databases = databases::list(&app, page.after, page.probe()).await?;
    let views = join_all(databases.into_iter().map(|database| DatabaseView::of(&app, database))).await;
    Ok(page.answer("/databases", &params, views, |view| DatabaseId(view.id), |view| view))
}

/// Shows a database.
#[utoipa::path(
    get, path = "/databases/{id}", tag = "databases", params(("id" = i64, Path)),
    responses((status = 200, body = DatabaseView))
)]
pub(crate) async fn get(
    State(app): State<App>,
    DatabaseIdPath(id): DatabaseIdPath,
) -> Answer<Json<DatabaseView>> {
    let database = databases::get(&app, id).await?;
    Ok(Json(DatabaseView::of(&app, database).await))
}

/// Changes a database: only the fields that are sent.
///
/// Shortening its retention takes the delete key besides. Changing host, port or TLS takes its
/// credentials again.
#[utoipa::path(
    patch, path = "/databases/{id}", tag = "databases", params(("id" = i64, Path)),
    request_body(content = ChangeBody, example = json!({"schedule": "0 1 * * 1-5"})),
    responses((status = 200, body = DatabaseView))
)]
pub(crate) async fn change(
    State(app): State<App>,
    Extension(granted): Extension<Granted>,
    DatabaseIdPath(id): DatabaseIdPath,
    object: JsonObject,
) -> Answer<Json<DatabaseView>> {
    let change = change_from(object, granted)?;
    let may_shorten = change.may_shorten_retention;
    match databases::change(&app, id, change).await {
        Ok(database) => Ok(Json(DatabaseView::of(&app, database).await)),
        Err(error) if !may_shorten && error.kind() == ErrorKind::Denied => Err(not_without_delete(&error)),
        Err(error) => Err(error.into()),
    }
}

fn not_without_delete(error: &Error) -> Problem {
    let problem = forbidden(Scope::Delete);
    match error.field() {
        Some(field) => problem.with_field(field),
        None => problem,
    }
}

/// Removes a database. While it has backups, `backups` must say what becomes of them.
#[utoipa::path(
    delete, path = "/databases/{id}", tag = "databases",
    params(("id" = i64, Path), ("backups" = Option<String>, Query, description = "`keep` or `delete`.")),
    responses((status = 204))
)]
pub(crate) async fn remove(
    State(app): State<App>,
    DatabaseIdPath(id): DatabaseIdPath,
    mut params: Params,
) -> Answer<StatusCode> {
    let fate = match params.text("backups")?.as_deref() {
        None => None,
        Some("keep") => Some(BackupsFate::Keep),
        Some("delete") => Some(BackupsFate::Delete),
        Some(_) => return Err(Error::invalid("backups", "it must be keep or delete").into()),
    };
    params.finish()?;
    databases::remove(&app, id, fate).await?;
    Ok(StatusCode::NO_CONTENT)
}
