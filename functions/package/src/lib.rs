//! The function that makes packages: the routes below `/packages`, the tick of their schedule, and the job.

mod download;
mod routes;

use respaldo_api::Function;
use respaldo_core::model::WorkKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function.
pub fn function() -> Function {
    let routes = OpenApiRouter::new()
        .routes(routes!(routes::create, routes::list))
        .routes(routes!(routes::get, routes::delete))
        .routes(routes!(download::download));
    Function {
        name: "package",
        routes,
        tick: Some(|app| Box::pin(respaldo_core::package::tick(app))),
        job: Some((WorkKind::Package, |app, id, worker| {
            Box::pin(respaldo_core::package::run(app, id, worker))
        })),
    }
}
