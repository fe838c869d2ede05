//! Metrics: what the catalog and the disks say, for Prometheus.
//!
//! Nothing is counted in memory. Each call of [`gather`] reads the numbers that the records hold
//! ([`History`](crate::model::History)), so a restart loses nothing, and every host that is asked gives
//! the same answer. `docs/metrics.md` lists the metrics, one by one.
//!
//! A value that is unknown is absent, never 0: an alert that waits for a number must not see one that
//! nobody measured. What could not be read (a disk that does not answer) is counted in
//! `respaldo_scrape_errors`; only a catalog that fails makes [`gather`] fail.

mod database;
mod family;
mod installation;
mod packages;

use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;

use self::database::PerDatabase;
use self::installation::Installation;
use crate::app::App;
use crate::{Error, Result};

/// The media type of what [`text`] answers.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Databases that are held in memory at once.
const PAGE: usize = 1_000;

/// The metric with one series for each database, whatever its state.
const EACH_DATABASE: &str = "backup_database_enabled";

/// Every metric of this installation at this moment.
///
/// # Errors
/// What the catalog fails with. Storage that cannot be reached, or a secret that cannot be looked up,
/// leaves its value out.
pub async fn gather(app: &App) -> Result<Vec<MetricFamily>> {
    let mut databases = PerDatabase::new();
    let mut after = None;
    loop {
        let page = app.catalog.databases(after, PAGE).await?;
        after = page.last().map(|database| database.id);
        if after.is_none() {
            break;
        }
        for database in &page {
            databases.add(app, database).await;
        }
    }
    let unread = databases.unread();
    let installation = Installation::read(app, unread).await?;
    Ok(databases.into_families().chain(installation.into_families()).collect())
}

/// How many databases these metrics tell of.
pub fn databases(families: &[MetricFamily]) -> usize {
    let each = families.iter().find(|family| family.name() == EACH_DATABASE);
    each.map_or(0, |family| family.get_metric().len())
}

/// The metrics in the text exposition format 0.0.4.
///
/// # Errors
/// `Internal` when they cannot be written down.
pub fn text(families: &[MetricFamily]) -> Result<String> {
    TextEncoder::new().encode_to_string(families).map_err(|e| Error::internal("write metrics down", e))
}
