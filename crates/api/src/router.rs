//! All functions as one HTTP service.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use respaldo_core::App;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::Guard;
use crate::{Function, Problem, middleware, openapi, system};

/// Joins the functions' routes, the health checks and the documentation behind one guard.
pub fn router(functions: Vec<Function>, app: App, guard: Guard) -> Router {
    let (routes, document) = openapi::join(functions);
    guarded(routes.merge(openapi::pages(openapi::text(&document))), app, guard)
}

/// One function's routes alone, for a host that runs each by itself. The one that is given the document of all
/// functions (the text of `/openapi.json`) answers the health checks, the metrics and the documentation too.
pub fn alone(function: Function, document: Option<&'static str>, app: App, guard: Guard) -> Router {
    let routes = function.routes.split_for_parts().0;
    let Some(document) = document else { return guarded(routes, app, guard) };
    let common = system::function().routes.split_for_parts().0;
    guarded(routes.merge(common).merge(openapi::pages(document.into())), app, guard)
}

fn guarded(routes: Router<App>, app: App, guard: Guard) -> Router {
    routes
        .fallback(|| async { Problem::no_route() })
        .layer(from_fn_with_state(Arc::new(guard), middleware::admit))
        .layer(from_fn(middleware::drain))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn(middleware::log))
        .with_state(app)
}
