//! The scheduler: a tick at the start, then one every few seconds.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use respaldo_api::function::TickFn;
use respaldo_core::ports::Event;
use respaldo_core::{App, Error};
use tokio::sync::watch;
use tokio::time::sleep;

const BETWEEN_TICKS: Duration = Duration::from_secs(5);

/// Ticks until told to stop. A tick that fails, or panics, is reported and ends nothing.
pub(crate) async fn run(app: App, ticks: Vec<TickFn>, mut stop: watch::Receiver<bool>) {
    loop {
        for tick in &ticks {
            let ticked = AssertUnwindSafe(tick(&app)).catch_unwind().await;
            let ticked = ticked.unwrap_or_else(|_| Err(Error::internal("tick", "it panicked")));
            match ticked {
                Ok(ticked) => tracing::debug!(?ticked, "ticked"),
                Err(error) => report(&app, error).await,
            }
        }
        tokio::select! {
            () = sleep(BETWEEN_TICKS) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn report(app: &App, error: Error) {
    if let Err(untold) = app.events.publish(Event::TickFailed(error)).await {
        tracing::error!(error = %untold, "a failed tick could not be told");
    }
}
