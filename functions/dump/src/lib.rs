//! The function that makes backups: the routes below `/backups`, `/uploads` and `/jobs`, the test of a connection, the
//! tick, and the job.

mod backups;
mod download;
mod events;
mod jobs;
mod probe;
mod sent;
mod uploads;

use axum::extract::DefaultBodyLimit;
use respaldo_api::Function;
use respaldo_core::model::WorkKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function.
pub fn function() -> Function {
    let routes = OpenApiRouter::new()
        .routes(routes!(backups::create, backups::list))
        .routes(routes!(backups::stats))
        .routes(routes!(backups::get, backups::delete))
        .routes(routes!(download::download))
        .merge(OpenApiRouter::new().routes(routes!(uploads::create)).layer(DefaultBodyLimit::disable()))
        .routes(routes!(sent::complete))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::log))
        .routes(routes!(events::events))
        .routes(routes!(jobs::cancel))
        .routes(routes!(probe::test));
    Function {
        name: "dump",
        routes,
        tick: Some(|app| Box::pin(respaldo_core::tick::tick(app))),
        job: Some((WorkKind::Dump, |app, id, worker| Box::pin(respaldo_core::backup::run(app, id, worker)))),
    }
}
