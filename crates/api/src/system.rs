//! Whether the server lives, whether it can work, and what it measures.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use respaldo_core::{App, Error, ErrorKind, metrics};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Function, Problem};

/// The health checks and the metrics; every host has them.
pub fn function() -> Function {
    let routes = OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz));
    Function::new("system", routes.routes(routes!(metrics_text)))
}

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the server lives.
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the server can work: the catalog can be written and storage reached.
#[utoipa::path(get, path = "/readyz", tag = "system", responses((status = 200, body = Health)))]
async fn readyz(State(app): State<App>) -> Result<Json<Health>, Problem> {
    let (catalog, storage) = tokio::join!(app.catalog.check(), app.storage.check());
    catalog.map_err(|error| not_ready("the catalog", &error))?;
    storage.map_err(|error| not_ready("storage", &error))?;
    Ok(Json(Health { status: "ok" }))
}

/// Metrics for Prometheus, in its text format 0.0.4. They are read from the catalog: a restart loses nothing.
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses((status = 200, body = String, content_type = "text/plain; version=0.0.4; charset=utf-8"))
)]
async fn metrics_text(State(app): State<App>) -> Result<Response, Problem> {
    let families = metrics::gather(&app).await.map_err(|error| match error.kind() {
        ErrorKind::Internal => error.into(),
        _ => not_ready("the catalog", &error),
    })?;
    // Thousands of databases are megabytes of text, and other requests wait for this thread.
    let text = tokio::task::spawn_blocking(move || metrics::text(&families)).await;
    let text = text.map_err(|error| Error::internal("write metrics down", error))??;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// Anybody may ask, so only the log tells paths and addresses.
fn not_ready(what: &str, error: &Error) -> Problem {
    tracing::error!(%error, "not ready: {what} cannot be used");
    let detail = format!("{what} cannot be used now ({})", error.kind());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "The server cannot work now", detail)
        .with_mend("see the server's log")
}
