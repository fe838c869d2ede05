//! The series of the installation: its queue, its places, its disks.

use jiff::Timestamp;
use prometheus::proto::MetricFamily;

use super::family::{Family, Labels, instant, number};
use super::packages::Packages;
use crate::Result;
use crate::app::App;
use crate::jobs::live_places;
use crate::model::Status;
use crate::ports::{Cursor, JobFilter, Totals};
use crate::storage::Space;

const PAGE: usize = 1_000;

pub(super) struct Installation {
    totals: Totals,
    packages: Packages,
    oldest_queued_at: Option<Timestamp>,
    places_taken: usize,
    places_max: u32,
    disks: Vec<(&'static str, Space)>,
    errors: [(&'static str, u64); 3],
}

impl Installation {
    /// Reads all of it. Disks that do not answer are counted; `unread` is how many databases could not
    /// be asked whether they are held back.
    pub(super) async fn read(app: &App, unread: u64) -> Result<Self> {
        let totals = app.catalog.totals(None).await?;
        let oldest_queued_at = oldest_queued_at(app).await?;
        let places_taken = live_places(app).await?;
        let mut disks = Vec::new();
        let storage = app.storage.space().await;
        let staging = Space::of(&app.limits.staging).await.map(Some);
        let failed = [&storage, &staging].map(|space| u64::from(space.is_err()));
        for (place, space) in [("storage", storage), ("staging", staging)] {
            if let Ok(Some(space)) = space {
                disks.push((place, space));
            }
        }
        Ok(Self {
            totals,
            packages: Packages::read(app).await?,
            oldest_queued_at,
            places_taken,
            places_max: app.limits.max_parallel_jobs,
            disks,
            errors: [("storage", failed[0]), ("staging", failed[1]), ("held_back", unread)],
        })
    }

    pub(super) fn into_families(self) -> impl Iterator<Item = MetricFamily> {
        let [available, total] = self.disks();
        let packages = self.packages.families();
        let jobs = [self.jobs(), self.oldest_queued(), self.places(), self.stored()];
        let rest = [available, total, self.errors(), build()];
        jobs.into_iter().chain(packages).chain(rest).filter_map(Family::finish)
    }

    fn jobs(&self) -> Family {
        let mut family = Family::gauge("backup_jobs", "Backups that wait for a worker or are being made.");
        for status in [Status::Queued, Status::Running] {
            let jobs = self.totals.by_status.get(status.as_str()).copied().unwrap_or(0);
            family.add(&Labels::default().with("status", status.as_str()), number(jobs));
        }
        family
    }

    fn oldest_queued(&self) -> Family {
        let mut family = Family::gauge(
            "backup_oldest_queued_timestamp_seconds",
            "When the backup that has waited longest was asked for or due, in seconds since 1970.",
        );
        family.add_known(&Labels::default(), self.oldest_queued_at.map(instant));
        family
    }

    fn places(&self) -> Family {
        let mut family = Family::gauge(
            "backup_places",
            "Places for backups that run at once, over all hosts: max there are, and taken.",
        );
        let taken = u64::try_from(self.places_taken).unwrap_or(u64::MAX);
        for (state, places) in [("max", u64::from(self.places_max)), ("taken", taken)] {
            family.add(&Labels::default().with("state", state), number(places));
        }
        family
    }

    fn stored(&self) -> Family {
        let mut family =
            Family::gauge("backup_stored_bytes", "Stored size of all succeeded backups together.");
        family.add(&Labels::default(), number(self.totals.size_bytes));
        family
    }

    fn disks(&self) -> [Family; 2] {
        let mut available = Family::gauge(
            "available_disk_space_bytes",
            "Bytes that the server may still write, where storage or staging is a local disk.",
        );
        let mut total = Family::gauge(
            "total_disk_space_bytes",
            "Size of the file system, where storage or staging is a local disk.",
        );
        for (place, space) in &self.disks {
            let labels = Labels::default().with("place", *place);
            available.add(&labels, number(space.free_bytes));
            total.add(&labels, number(space.total_bytes));
        }
        [available, total]
    }

    fn errors(&self) -> Family {
        let mut family = Family::gauge(
            "respaldo_scrape_errors",
            "Values that are missing from this answer because they could not be read, by what they tell of.",
        );
        for (part, errors) in self.errors {
            family.add(&Labels::default().with("part", part), number(errors));
        }
        family
    }
}

fn build() -> Family {
    let mut family = Family::gauge("respaldo_build_info", "Always 1; the label tells the version that runs.");
    family.add(&Labels::default().with("version", env!("CARGO_PKG_VERSION")), 1.0);
    family
}

/// Lists are newest first, so this walks the queue; it holds about one backup of each database at most.
async fn oldest_queued_at(app: &App) -> Result<Option<Timestamp>> {
    let queued = JobFilter { status: Some(Status::Queued), ..JobFilter::default() };
    let (mut oldest, mut after) = (None, None);
    loop {
        let page = app.catalog.jobs(&queued, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(oldest) };
        oldest = Some(last.created_at);
        if page.len() < PAGE {
            return Ok(oldest);
        }
        after = Some(Cursor::after(last));
    }
}
