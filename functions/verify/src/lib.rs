//! The function that test-restores backups: `/backups/{id}/verify`, the tick of the policies, and the job.

mod routes;

use respaldo_api::Function;
use respaldo_core::model::WorkKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function.
pub fn function() -> Function {
    Function {
        name: "verify",
        routes: OpenApiRouter::new().routes(routes!(routes::create)),
        tick: Some(|app| Box::pin(respaldo_core::verify::tick(app))),
        job: Some((WorkKind::Verify, |app, id, worker| {
            Box::pin(respaldo_core::verify::run(app, id, worker))
        })),
    }
}
