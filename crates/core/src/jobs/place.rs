//! Places: `max_parallel_jobs` leases in the catalog, one for each job that runs at a time.

use jiff::{SignedDuration, Timestamp};

use super::hand_over;
use crate::Result;
use crate::app::App;
use crate::model::{JobId, Status};

/// What the names of all places begin with.
const PREFIX: &str = "place/";
/// Queued jobs attend to a tick a minute after they were made; this looks as far ahead.
const LOOK_AHEAD: SignedDuration = SignedDuration::from_secs(61);

/// How many places are taken now, by jobs of all hosts.
pub(crate) async fn live_places(app: &App) -> Result<usize> {
    Ok(app.catalog.live_leases(PREFIX, app.now()).await?.len())
}

/// One of the places, held.
pub(crate) struct Place {
    name: String,
    fence: u64,
}

impl Place {
    /// Takes a free place; none when all are taken.
    pub(crate) async fn take(app: &App, job: JobId) -> Result<Option<Self>> {
        let now = app.now();
        for number in 0..app.limits.max_parallel_jobs {
            let name = format!("{PREFIX}{number:04}");
            let until = now + app.limits.lease;
            if let Some(fence) = app.catalog.acquire_lease(&name, &job.to_string(), now, until).await? {
                return Ok(Some(Self { name, fence }));
            }
        }
        Ok(None)
    }

    /// Keeps it; false when it was lost.
    pub(crate) async fn renew(&self, app: &App, until: Timestamp) -> Result<bool> {
        app.catalog.renew_lease(&self.name, self.fence, until).await
    }

    /// Gives it back, and wakes a worker for the job that has waited longest: one for a job that any host may
    /// work on, and one for a job that needs a host without a deadline, which may be busy, or not there.
    pub(crate) async fn release(self, app: &App) -> Result<()> {
        app.catalog.release_lease(&self.name, self.fence).await?;
        let now = app.now();
        let waiting = app.catalog.due_jobs(now + LOOK_AHEAD, 32).await?;
        for long in [false, true] {
            let next = waiting.iter().find(|job| {
                job.status == Status::Queued && job.may_be_leased(now) && job.needs_long_runner() == long
            });
            if let Some(job) = next {
                hand_over::wake(app, job).await?;
            }
        }
        Ok(())
    }
}
