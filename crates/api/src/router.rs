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

/// One function's routes alone, for a host that runs each by itself, and those of `besides`.
pub fn alone(function: Function, besides: Router<App>, app: App, guard: Guard) -> Router {
    guarded(function.routes.split_for_parts().0.merge(besides), app, guard)
}

/// What belongs to no function: the health checks, the metrics and the documentation, which is that of `document`,
/// the text of `/openapi.json`.
pub fn common(document: &'static str) -> Router<App> {
    system::function().routes.split_for_parts().0.merge(openapi::pages(document.into()))
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
