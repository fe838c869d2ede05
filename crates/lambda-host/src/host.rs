//! One function on Lambda: what it does with an event.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use lambda_runtime::{Context, Diagnostic};
use respaldo_adapters::pushgateway::{self, Gateway};
use respaldo_adapters::time::SystemClock;
use respaldo_api::access::Guard;
use respaldo_api::{Function, Problem};
use respaldo_aws::sqs::Queue;
use respaldo_core::ports::Clock as _;
use respaldo_core::{App, Error, ErrorKind, Result};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::RwLock;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;
use tracing::Instrument as _;

use crate::answer;
use crate::event::{Event, classify};
use crate::messages::Answerer;
use crate::request::HttpEvent;
use crate::settings::{OLDEST, Settings};

/// API Gateway gives up after 30 s; a function that works on jobs could go on for many minutes.
const LONGEST_REQUEST: Duration = Duration::from_secs(28);
/// What an invocation needs at its end to say how it went.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is told with an event.
pub(crate) struct Invocation {
    request_id: String,
    /// When Lambda ends it.
    deadline: Instant,
}

impl Invocation {
    /// What the runtime tells.
    pub(crate) fn of(context: &Context) -> Self {
        let now = u64::try_from(SystemClock.now().as_millisecond()).unwrap_or_default();
        let left = Duration::from_millis(context.deadline.saturating_sub(now));
        Self { request_id: context.request_id.clone(), deadline: Instant::now() + left }
    }
}

/// What a host is made of.
pub(crate) struct Parts {
    pub(crate) function: Function,
    /// What it serves beside the function's routes.
    pub(crate) besides: fn() -> Router<App>,
    pub(crate) app: App,
    pub(crate) settings: Arc<Settings>,
    pub(crate) guard: Guard,
    /// By which people know its work on jobs.
    pub(crate) owner: String,
    /// Where its messages come from.
    pub(crate) queue: Option<Queue>,
    pub(crate) gateway: Option<Gateway>,
    pub(crate) staging: PathBuf,
}

/// A function that runs.
pub(crate) struct Host {
    parts: Parts,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    app: App,
    settings: Arc<Settings>,
    router: Router,
    read_at: Instant,
}

impl Host {
    /// A host whose settings have just been read.
    pub(crate) fn new(parts: Parts) -> Self {
        let current = RwLock::new(parts.current(Arc::clone(&parts.settings)));
        Self { parts, current }
    }

    /// Does what an event asks for.
    pub(crate) async fn invoke(
        &self,
        event: Value,
        invocation: Invocation,
    ) -> Result<Box<RawValue>, Failure> {
        let span = tracing::info_span!("invocation", request_id = invocation.request_id);
        let handled = AssertUnwindSafe(self.handle(event, &invocation)).catch_unwind().instrument(span).await;
        handled.unwrap_or_else(|_| Err(Error::internal("answer an event", "it panicked"))).map_err(Failure)
    }

    async fn handle(&self, event: Value, invocation: &Invocation) -> Result<Box<RawValue>> {
        match classify(event)? {
            Event::Http(event) => self.respond(*event, invocation).await,
            Event::Tick => {
                self.tick().await?;
                written(&Value::Null)
            }
            Event::Messages(records) => {
                let job = self.parts.function.job.ok_or_else(|| self.no_part("messages"))?;
                let app = self.current().await?.app;
                let (owner, deadline) = (self.parts.owner.as_str(), invocation.deadline);
                let queue = self.parts.queue.as_ref();
                written(&Answerer { app: &app, job, owner, deadline, queue }.answer(&records).await)
            }
        }
    }

    async fn respond(&self, event: HttpEvent, invocation: &Invocation) -> Result<Box<RawValue>> {
        let left = invocation.deadline.saturating_duration_since(Instant::now());
        let longest = LONGEST_REQUEST.min(left.saturating_sub(LAST_WORDS));
        tracing::debug!(source_ip = event.source_ip(), "a request");
        let answer = async { answer::of(self.route(event).await).await };
        match timeout(longest, answer).await {
            Ok(answer) => answer,
            Err(_) => answer::of(too_slow().into_response()).await,
        }
    }

    async fn route(&self, event: HttpEvent) -> Response {
        let request = match event.into_request() {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        match self.current().await {
            Ok(current) => current.router.oneshot(request).await.unwrap_or_else(|never| match never {}),
            Err(error) => Problem::from(error).into_response(),
        }
    }

    async fn tick(&self) -> Result<()> {
        let tick = self.parts.function.tick.ok_or_else(|| self.no_part("schedules"))?;
        let app = self.current().await?.app;
        let ticked = tick(&app).await;
        if let Some(gateway) = &self.parts.gateway {
            // It tells of its own failures, and is none of the tick's.
            let _pushed = pushgateway::push(&app, gateway).await;
        }
        let ticked = ticked?;
        tracing::debug!(?ticked, "ticked");
        Ok(())
    }

    /// What counts now: settings are read again when they are a minute old.
    async fn current(&self) -> Result<Current> {
        let current = self.current.read().await.clone();
        if current.read_at.elapsed() < OLDEST {
            return Ok(current);
        }
        let (catalog, key) = (current.app.catalog.as_ref(), &current.app.key);
        let settings = match Settings::read(catalog, key, self.parts.staging.clone()).await {
            // What was said a minute ago still holds, and whatever the event needs of the catalog fails by itself.
            Err(error) if error.is_retryable() => return Ok(current),
            settings => settings?,
        };
        let fresh = if settings.is(&current.settings) {
            Current { read_at: Instant::now(), ..current }
        } else {
            tracing::info!("the settings have changed");
            self.parts.current(Arc::new(settings))
        };
        *self.current.write().await = fresh.clone();
        Ok(fresh)
    }

    fn no_part(&self, what: &str) -> Error {
        let why = format!("function {} has no part for {what}", self.parts.function.name);
        Error::new(ErrorKind::Unsupported, "answer an event", why)
            .with_mend("look which function the event is sent to")
    }
}

impl Parts {
    fn current(&self, settings: Arc<Settings>) -> Current {
        let app = App {
            limits: Arc::new(settings.limits.clone()),
            identities: settings.identities.clone().into(),
            ..self.app.clone()
        };
        let (function, guard) = (self.function.clone(), self.guard.clone());
        let router = respaldo_api::alone(function, (self.besides)(), app.clone(), guard);
        Current { app, settings, router, read_at: Instant::now() }
    }
}

fn written(value: &Value) -> Result<Box<RawValue>> {
    to_raw_value(value).map_err(|error| Error::internal("write an answer", error))
}

fn too_slow() -> Problem {
    let seconds = LONGEST_REQUEST.as_secs();
    let detail = format!("it took longer than the {seconds} s that a request may take on this host");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", "It took too long", detail)
        .with_mend("ask for its job: what was begun goes on there")
}

/// An event's error, as the runtime tells it: the queue, the schedule or API Gateway then knows.
pub(crate) struct Failure(pub(crate) Error);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(Failure(error): Failure) -> Self {
        Self { error_type: format!("Respaldo.{}", error.kind()), error_message: error.to_string() }
    }
}

#[cfg(test)]
mod tests;
