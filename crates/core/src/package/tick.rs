//! Packages by a schedule: one due time, one outcome, however many servers there are.
//!
//! The job of a slot has an id that follows from the slot, so two schedulers make one package, and its
//! tombstone (`backup/tombstone.rs`) keeps a stopped tick from making a second one. After downtime the newest
//! slot alone is made up for. Which slots have had their turn stands in the catalog, so that neither a restart
//! nor a deleted package brings one back, and no slot counts that came before its schedule was set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use super::request::{Request, any_is_flagged};
use crate::app::App;
use crate::backup::tombstone;
use crate::jobs::aftermath;
use crate::model::{Job, JobId, PackageKind, Status};
use crate::schedule::{Schedule, Turns};
use crate::tick::Ticked;
use crate::{Error, Result};

/// The claim that tells from when on slots count: `{instant} {schedule}`.
const SINCE: &str = "package-schedule";
/// How often the claim is replaced before others are believed to be faster.
const MOST_TRIES: usize = 10;
const SECONDS_PER_HOUR: i64 = 3_600;

/// When packages are made.
#[derive(Debug, Clone)]
pub struct Cron {
    turns: Turns,
    /// The schedule's text and zone: another one counts from when it was set.
    text: String,
}

impl Cron {
    /// Reads a crontab in a zone (none: UTC).
    ///
    /// # Errors
    /// As [`Schedule::parse`].
    pub fn parse(crontab: &str, zone: Option<&str>) -> Result<Self> {
        let schedule = Schedule::parse(crontab, zone)?;
        let text = format!("{} {crontab}", zone.unwrap_or("UTC"));
        Ok(Self { turns: Turns::of(schedule), text })
    }

    /// The instant after which slots count.
    async fn since(&self, app: &App) -> Result<Timestamp> {
        let now = app.now();
        for _ in 0..MOST_TRIES {
            let Some(held) = app.catalog.claim(SINCE, &self.value(now), now, None).await? else {
                return Ok(now);
            };
            match held.split_once(' ') {
                Some((since, text)) if text == self.text => {
                    return since.parse().map_err(|e| Error::internal("read the packages' schedule", e));
                }
                // Another schedule was set before.
                _ => app.catalog.release_claim(SINCE, &held).await?,
            }
        }
        Err(Error::conflict("read the packages' schedule", "others change it all the time")
            .with_retryable(true))
    }

    /// Records that slots up to this one have had their turn.
    async fn passed(&self, app: &App, since: Timestamp, slot: Timestamp) -> Result<()> {
        app.catalog.release_claim(SINCE, &self.value(since)).await?;
        app.catalog.claim(SINCE, &self.value(slot), app.now(), None).await.map(drop)
    }

    fn value(&self, since: Timestamp) -> String {
        format!("{since} {}", self.text)
    }
}

/// Has a thing done once an hour: the hour in which it was done last, since 1970.
#[derive(Debug, Clone, Default)]
pub struct Hourly(Arc<AtomicI64>);

impl Hourly {
    pub(crate) fn takes_turn(&self, now: Timestamp) -> bool {
        let hour = now.as_second().div_euclid(SECONDS_PER_HOUR);
        self.0.swap(hour, Ordering::Relaxed) != hour
    }
}

/// Queues the package of a slot that has come, and applies the retention of packages once an hour.
///
/// # Errors
/// When the catalog fails; the next tick begins anew, and finds done what is done.
pub async fn tick(app: &App) -> Result<Ticked> {
    let mut ticked = Ticked::default();
    let now = app.now();
    if app.limits.package.retention_turn.takes_turn(now) {
        ticked.retired += super::apply_retention(app, None).await?;
    }
    let Some(cron) = &app.limits.package.cron else { return Ok(ticked) };
    if let Some(slot) = cron.turns.due(now) {
        let since = cron.since(app).await?;
        if slot > since {
            start(app, slot).await?;
            cron.passed(app, since, slot).await?;
            ticked.due += 1;
        }
        cron.turns.passed(slot);
    }
    Ok(ticked)
}

async fn start(app: &App, slot: Timestamp) -> Result<()> {
    let id = JobId::for_package(app.key.id(), slot);
    let package = Request::default().package(app, PackageKind::Scheduled, Some(slot));
    let mut job = Job::packaging(id, package, slot, app.limits.attempts);
    if let Some(reason) = held_back(app, id).await? {
        job.skip(&reason, app.now());
    }
    if !app.catalog.create_job(&job).await? || tombstone::lay_to_rest(app, &job).await? {
        return Ok(());
    }
    match job.status {
        Status::Queued => app.doorbell.ring(&job).await,
        _ => aftermath::see_to(app, &job).await,
    }
}

/// Why a slot gives no package.
async fn held_back(app: &App, own: JobId) -> Result<Option<String>> {
    for status in [Status::Running, Status::Queued] {
        let others = super::all(app, Some(status)).await?;
        if let Some(other) = others.iter().find(|job| job.id != own) {
            return Ok(Some(format!("package {} has not ended yet", other.id)));
        }
    }
    let flagged = any_is_flagged(app).await?;
    Ok((!flagged).then(|| "no database has package: true".to_owned()))
}
