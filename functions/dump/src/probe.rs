//! `/databases/{id}/test`: it needs what a dump needs, the engines' tools and a way to the databases.

use axum::Json;
use axum::extract::State;
use respaldo_api::Problem;
use respaldo_api::extract::DatabaseIdPath;
use respaldo_api::types::TestView;
use respaldo_core::{App, ErrorKind, databases};

/// Connects to a database as a dump would, and says what was found.
///
/// A database that cannot be dumped is an answer too: `ok` is false and `error` says why.
#[utoipa::path(
    post, path = "/databases/{id}/test", tag = "databases", params(("id" = i64, Path)),
    responses((status = 200, body = TestView))
)]
pub(crate) async fn test(
    State(app): State<App>,
    DatabaseIdPath(id): DatabaseIdPath,
) -> Result<Json<TestView>, Problem> {
    databases::get(&app, id).await?;
    match databases::test(&app, id).await {
        Err(error) if error.kind() == ErrorKind::Internal => Err(error.into()),
        outcome => Ok(Json(outcome.into())),
    }
}
