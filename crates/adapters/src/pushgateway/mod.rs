//! Pushes the metrics to a Prometheus pushgateway, for hosts that nobody can scrape.
//!
//! The numbers are the catalog's, not one host's, so all hosts push the same group (`job="respaldo"`): each
//! push replaces the one before, and a host that goes leaves nothing behind. Every push reads each
//! database's record, so a lease in the catalog spaces them out, over all hosts: one for each minute and
//! each thousand databases.
//!
//! A push that fails is told as an event and fails nothing else: neither a job nor a tick.

mod gateway;

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::ports::Event;
use respaldo_core::{App, Error, ErrorKind, Result, metrics};
use tokio::time::timeout;

pub use self::gateway::Gateway;

/// The lease that spaces pushes out.
const LEASE: &str = "metrics/push";
/// From one push to the next, for each thousand databases. A little less than a minute, so that a tick of
/// every minute does not find it just not over.
const BETWEEN: SignedDuration = SignedDuration::from_secs(50);
const PER_INTERVAL: usize = 1_000;
/// How long reading the metrics may take before the push is given up.
const READING: Duration = Duration::from_secs(30);
/// How long sending them may take, and a little more: so long nobody else begins.
const SENDING: SignedDuration = SignedDuration::from_secs(10);
const OPERATION: &str = "push the metrics";

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The gateway has them.
    Pushed {
        /// Databases that they tell of.
        databases: usize,
        /// Length of their text.
        bytes: usize,
    },
    /// This or another host pushed lately, or is about to.
    NotDue,
    /// They did not arrive. An event has told why.
    Failed(Error),
}

/// Pushes the metrics, unless it is too early for that. Call it as often as you like; it never fails.
pub async fn push(app: &App, gateway: &Gateway) -> Outcome {
    let outcome = attempt(app, gateway).await.unwrap_or_else(Outcome::Failed);
    match &outcome {
        Outcome::Failed(error) => {
            if let Err(untold) = app.events.publish(Event::MetricsNotPushed(error.clone())).await {
                tracing::error!(error = %untold, "a failed push of the metrics could not be told");
            }
        }
        Outcome::Pushed { databases, bytes } => {
            tracing::debug!(gateway = %gateway, databases, size_bytes = bytes, "metrics pushed");
        }
        Outcome::NotDue => {}
    }
    outcome
}

async fn attempt(app: &App, gateway: &Gateway) -> Result<Outcome> {
    let begun = app.now();
    let owner = app.ids.ulid(begun).to_string();
    let Some(fence) = app.catalog.acquire_lease(LEASE, &owner, begun, begun + BETWEEN).await? else {
        return Ok(Outcome::NotDue);
    };
    let families = timeout(READING, metrics::gather(app)).await.map_err(|_| too_slow())??;
    let databases = metrics::databases(&families);
    // Whoever was so slow that another host has pushed meanwhile would replace new numbers with old ones.
    let until = (begun + interval(databases)).max(app.now() + SENDING);
    if !app.catalog.renew_lease(LEASE, fence, until).await? {
        return Ok(Outcome::NotDue);
    }
    let text = metrics::text(&families)?;
    let bytes = text.len();
    gateway.put(text).await?;
    Ok(Outcome::Pushed { databases, bytes })
}

/// From the beginning of one push to the next one.
fn interval(databases: usize) -> SignedDuration {
    let thousands = databases.div_ceil(PER_INTERVAL).max(1);
    BETWEEN.saturating_mul(i32::try_from(thousands).unwrap_or(i32::MAX))
}

fn too_slow() -> Error {
    let why = format!("reading them from the catalog took longer than {} s", READING.as_secs());
    Error::new(ErrorKind::Timeout, OPERATION, why).with_retryable(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_spaced_by_a_minute_for_each_thousand_databases() {
        for (databases, seconds) in
            [(0, 50), (1, 50), (1_000, 50), (1_001, 100), (100_000, 5_000), (usize::MAX, i64::MAX)]
        {
            let expected = SignedDuration::from_secs(seconds.min(50 * i64::from(i32::MAX)));
            assert_eq!(interval(databases), expected, "{databases}");
        }
    }
}
