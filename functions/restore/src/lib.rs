//! The function that puts backups back: `/backups/{id}/restore`, what undoes and confirms it, and the job.

mod routes;

use respaldo_api::Function;
use respaldo_core::model::WorkKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function.
pub fn function() -> Function {
    let routes = OpenApiRouter::new()
        .routes(routes!(routes::restore))
        .routes(routes!(routes::undo))
        .routes(routes!(routes::confirm));
    Function {
        name: "restore",
        routes,
        tick: None,
        job: Some((WorkKind::Restore, |app, id, worker| {
            Box::pin(respaldo_core::restore::run(app, id, worker))
        })),
    }
}
