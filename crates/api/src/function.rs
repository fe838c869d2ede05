//! The one shape of a function that every host understands.

use futures::future::BoxFuture;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{JobId, WorkKind};
use respaldo_core::tick::Ticked;
use respaldo_core::{App, Result};
use utoipa_axum::router::OpenApiRouter;

/// What answers a trigger without input.
pub type TickFn = for<'a> fn(&'a App) -> BoxFuture<'a, Result<Ticked>>;

/// What works on a job.
pub type JobFn = for<'a> fn(&'a App, JobId, &'a Worker) -> BoxFuture<'a, Result<Ran>>;

/// A unit of deployment: HTTP routes, and what it does on a tick or for a job.
#[derive(Clone)]
pub struct Function {
    /// Its name, also the name under which it is deployed.
    pub name: &'static str,
    /// Its routes, documented. Each must be in [`crate::access::TABLE`].
    pub routes: OpenApiRouter<App>,
    /// What it does on a tick.
    pub tick: Option<TickFn>,
    /// The kind of jobs that it works on, and how.
    pub job: Option<(WorkKind, JobFn)>,
}

impl Function {
    /// A function that has routes and does nothing else.
    pub fn new(name: &'static str, routes: OpenApiRouter<App>) -> Self {
        Self { name, routes, tick: None, job: None }
    }
}
