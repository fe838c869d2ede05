//! Whether the server lives, and whether it can work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use respaldo_core::{App, Error};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Function, Problem};

/// The health checks; every host has them.
pub fn function() -> Function {
    Function::new("system", OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)))
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

/// Anybody may ask, so only the log tells paths and addresses.
fn not_ready(what: &str, error: &Error) -> Problem {
    tracing::error!(%error, "not ready: {what} cannot be used");
    let detail = format!("{what} cannot be used now ({})", error.kind());
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "The server cannot work now", detail)
        .with_mend("see the server's log")
}
