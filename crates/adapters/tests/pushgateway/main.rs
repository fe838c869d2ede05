//! Metrics that are pushed arrive, replace the ones before, and fail nothing when they do not arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod arrival;
mod hostile;
mod spacing;

use respaldo_adapters::pushgateway::{Gateway, Outcome, push};
use respaldo_core::Error;
use respaldo_core::ports::Event;
use respaldo_testkit::app::TestApp;

/// Pushes to this address.
async fn pushed(test: &TestApp, url: &str) -> Outcome {
    push(&test.app, &Gateway::new(url).unwrap()).await
}

/// The error of a push that failed, which the event tells too.
async fn failure(test: &TestApp, url: &str) -> Error {
    let Outcome::Failed(error) = pushed(test, url).await else { panic!("it did not fail") };
    let events = test.events.all();
    let Some(Event::MetricsNotPushed(told)) = events.last() else { panic!("nobody was told: {events:?}") };
    assert_eq!(told, &error);
    error
}
