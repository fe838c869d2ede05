//! The series of packages.

use super::family::{Family, Labels, instant, number, seconds};
use crate::Result;
use crate::app::App;
use crate::model::{Job, PackageCounts, Status};
use crate::package;

pub(super) struct Packages {
    counts: PackageCounts,
    newest: Option<Job>,
}

impl Packages {
    pub(super) async fn read(app: &App) -> Result<Self> {
        let counts = package::totals(app).await?;
        let newest = package::list(app, Some(Status::Succeeded), None, None, 1).await?.pop();
        Ok(Self { counts, newest })
    }

    pub(super) fn families(&self) -> [Family; 4] {
        let mut total =
            Family::counter("backup_package_total", "Packages that have ended, by how: succeeded or failed.");
        let ends = [(Status::Succeeded, self.counts.succeeded), (Status::Failed, self.counts.failed)];
        for (status, count) in ends {
            total.add(&Labels::default().with("status", status.as_str()), number(count));
        }
        let mut bytes = Family::gauge("backup_package_bytes", "Stored size of the newest good package.");
        let mut at = Family::gauge(
            "backup_package_last_success_timestamp_seconds",
            "When the newest good package was finished, in seconds since 1970.",
        );
        let mut duration =
            Family::gauge("backup_package_duration_seconds", "How long making the newest good package took.");
        let (none, newest) = (Labels::default(), self.newest.as_ref());
        bytes.add_known(&none, newest.and_then(|job| Some(number(job.artifact()?.size_bytes))));
        at.add_known(&none, newest.and_then(|job| Some(instant(job.finished_at?))));
        duration.add_known(&none, newest.and_then(|job| Some(seconds(job.duration_ms()?))));
        [total, bytes, at, duration]
    }
}
