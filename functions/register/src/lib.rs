//! The function that registers databases: the routes below `/databases`, but for the one that connects to them.

mod idempotent;
mod routes;

use respaldo_api::Function;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function. It has no tick and works on no jobs.
pub fn function() -> Function {
    let routes = OpenApiRouter::new().routes(routes!(routes::register, routes::list)).routes(routes!(
        routes::get,
        routes::change,
        routes::remove
    ));
    Function::new("register", routes)
}
