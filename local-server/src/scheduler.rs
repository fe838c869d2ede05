//! The scheduler: every function's tick at the start, then every few seconds; and the metrics' way to a
//! pushgateway, where there is one.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use respaldo_adapters::pushgateway::{self, Gateway};
use respaldo_api::function::TickFn;
use respaldo_core::ports::Event;
use respaldo_core::{App, Error};
use tokio::sync::watch;
use tokio::time::sleep;

const BETWEEN_TICKS: Duration = Duration::from_secs(5);
/// The catalog decides whether another host was faster.
const BETWEEN_PUSHES: Duration = Duration::from_mins(1);

/// Ticks until told to stop, each function beside the others: one that takes long (retention, when much is
/// to be removed) delays nobody's schedule.
pub(crate) async fn run(app: App, ticks: Vec<TickFn>, stop: watch::Receiver<bool>) {
    join_all(ticks.into_iter().map(|tick| repeat(&app, tick, stop.clone()))).await;
}

/// A tick that fails, or panics, is reported and ends nothing. One that is under way when the host stops is
/// dropped: what it did not do is due at the next start.
async fn repeat(app: &App, tick: TickFn, mut stop: watch::Receiver<bool>) {
    let forever = async {
        loop {
            let ticked = AssertUnwindSafe(tick(app)).catch_unwind().await;
            let ticked = ticked.unwrap_or_else(|_| Err(Error::internal("tick", "it panicked")));
            match ticked {
                Ok(ticked) => tracing::debug!(?ticked, "ticked"),
                Err(error) => report(app, error).await,
            }
            sleep(BETWEEN_TICKS).await;
        }
    };
    tokio::select! {
        () = forever => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// Pushes the metrics until told to stop, where there is a gateway.
pub(crate) async fn push(app: App, gateway: Option<Gateway>, mut stop: watch::Receiver<bool>) {
    let Some(gateway) = gateway else { return };
    let forever = async {
        loop {
            // What became of it, it has told by itself.
            if AssertUnwindSafe(pushgateway::push(&app, &gateway)).catch_unwind().await.is_err() {
                report(&app, Error::internal("push the metrics", "it panicked")).await;
            }
            sleep(BETWEEN_PUSHES).await;
        }
    };
    tokio::select! {
        () = forever => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn report(app: &App, error: Error) {
    if let Err(untold) = app.events.publish(Event::TickFailed(error)).await {
        tracing::error!(error = %untold, "a failed tick could not be told");
    }
}
