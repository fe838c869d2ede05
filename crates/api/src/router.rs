//! All functions as one HTTP service.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use respaldo_core::App;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::Guard;
use crate::{Function, Problem, middleware, openapi};

/// Joins the functions' routes, the health checks and the documentation behind one guard.
pub fn router(functions: Vec<Function>, app: App, guard: Guard) -> Router {
    let (routes, document) = openapi::join(functions);
    routes
        .merge(openapi::pages(&document))
        .fallback(|| async { Problem::no_route() })
        .layer(from_fn_with_state(Arc::new(guard), middleware::admit))
        .layer(from_fn(middleware::drain))
        .layer(CatchPanicLayer::custom(middleware::panicked))
        .layer(from_fn(middleware::log))
        .with_state(app)
}
