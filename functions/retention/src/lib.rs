//! The function that removes backups that have outlived their policy: `/retention`, and the tick.

mod routes;

use respaldo_api::Function;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function. It works on no jobs.
pub fn function() -> Function {
    let routes = OpenApiRouter::new().routes(routes!(routes::show, routes::apply));
    Function {
        name: "retention",
        routes,
        tick: Some(|app| Box::pin(respaldo_core::retention::tick(app))),
        job: None,
    }
}
