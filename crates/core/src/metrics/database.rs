//! The series of each database.

use prometheus::proto::MetricFamily;

use super::family::{Family, Labels, flag, instant, number, seconds};
use crate::app::App;
use crate::databases;
use crate::model::{Database, History, Status, VerificationStatus};

/// What a backup can end as: each has a series from the beginning, so that a first failure is an
/// increase.
const ENDS: [Status; 4] = [Status::Succeeded, Status::Failed, Status::Cancelled, Status::Skipped];

/// What a test restore can find, likewise.
const VERDICTS: [VerificationStatus; 3] =
    [VerificationStatus::Ok, VerificationStatus::Failed, VerificationStatus::NotVerified];

pub(super) struct PerDatabase {
    total: Family,
    duration: Family,
    bytes: Family,
    raw_bytes: Family,
    last_success: Family,
    last_duration: Family,
    last_run_failed: Family,
    last_due: Family,
    next_due: Family,
    held_back: Family,
    enabled: Family,
    verdicts: Family,
    last_verified: Family,
    restore: Family,
    verification_failed: Family,
    unread: u64,
}

impl PerDatabase {
    pub(super) fn new() -> Self {
        Self {
            total: Family::counter(
                "backup_total",
                "Backups that have ended, by how: succeeded, failed, cancelled or skipped.",
            ),
            duration: Family::histogram(
                "backup_duration_seconds",
                "How long the last attempt of each succeeded backup took.",
            ),
            bytes: Family::gauge("backup_bytes", "Stored size of the newest succeeded backup."),
            raw_bytes: Family::gauge(
                "backup_raw_bytes",
                "Size of the newest succeeded backup's dump, before compression.",
            ),
            last_success: Family::gauge(
                "backup_last_success_timestamp_seconds",
                "When the newest succeeded backup was complete, in seconds since 1970.",
            ),
            last_duration: Family::gauge(
                "backup_last_duration_seconds",
                "How long the last attempt of the newest succeeded backup took.",
            ),
            last_run_failed: Family::gauge(
                "backup_last_run_failed",
                "1 when the newest backup that ran to its end failed, 0 when it succeeded.",
            ),
            last_due: Family::gauge(
                "backup_last_due_timestamp_seconds",
                "The newest due time of the schedule that has come, in seconds since 1970.",
            ),
            next_due: Family::gauge(
                "backup_next_due_timestamp_seconds",
                "When the next scheduled backup is to start, in seconds since 1970.",
            ),
            held_back: Family::gauge(
                "backup_held_back",
                "1 when this installation cannot back the database up (engine not built, or a variable \
                 with its credentials missing), else 0.",
            ),
            enabled: Family::gauge(super::EACH_DATABASE, "1 when the database's schedule runs, else 0."),
            verdicts: Family::counter(
                "backup_verification_total",
                "Test restores by their verdict: ok, failed, or not_verified where it could not be tried.",
            ),
            last_verified: Family::gauge(
                "backup_last_verified_timestamp_seconds",
                "When a test restore was last found ok, in seconds since 1970.",
            ),
            restore: Family::gauge(
                "backup_restore_seconds",
                "The measured recovery time: how long checking and loading took in that test restore.",
            ),
            verification_failed: Family::gauge(
                "backup_verification_failed",
                "1 when the newest verdict of a test restore is failed, 0 when it is ok.",
            ),
            unread: 0,
        }
    }

    /// Adds the series of one database.
    pub(super) async fn add(&mut self, app: &App, database: &Database) {
        let labels = labels(database);
        self.add_history(&labels, database);
        self.last_due.add_known(&labels, database.last_due_at.map(instant));
        self.next_due.add_known(&labels, database.next_run_at().map(instant));
        self.enabled.add(&labels, flag(database.settings.enabled));
        match databases::held_back(app, database).await {
            Ok(reason) => self.held_back.add(&labels, flag(reason.is_some())),
            // Whoever reads metrics is told by their count; a tick that meets the same tells it in full.
            Err(_) => self.unread += 1,
        }
    }

    fn add_history(&mut self, labels: &Labels, database: &Database) {
        let history = &database.history;
        for status in ENDS {
            let ended = history.ended.get(status.as_str()).copied().unwrap_or(0);
            self.total.add(&labels.clone().with("status", status.as_str()), number(ended));
        }
        if !history.durations.is_empty() {
            self.duration.add_durations(labels, &history.durations);
        }
        if let Some(last) = &history.last_success {
            self.bytes.add(labels, number(last.size_bytes));
            self.raw_bytes.add(labels, number(last.raw_bytes));
            self.last_success.add(labels, instant(last.finished_at));
            self.last_duration.add(labels, seconds(last.duration_ms));
        }
        self.add_verdicts(labels, history);
        let last_run = history.last_run.as_ref();
        self.last_run_failed.add_known(labels, last_run.map(|run| flag(run.status == Status::Failed)));
    }

    fn add_verdicts(&mut self, labels: &Labels, history: &History) {
        for verdict in VERDICTS {
            let counted = history.verdicts.get(verdict.as_str()).copied().unwrap_or(0);
            self.verdicts.add(&labels.clone().with("status", verdict.as_str()), number(counted));
        }
        if let Some(last) = &history.last_verified {
            self.last_verified.add(labels, instant(last.at));
            self.restore.add_known(labels, last.duration_ms.map(seconds));
        }
        let failed = |verdict: VerificationStatus| flag(verdict == VerificationStatus::Failed);
        let known = history.last_verdict.as_ref();
        self.verification_failed.add_known(labels, known.map(|last| failed(last.status)));
    }

    /// How many values could not be read.
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    pub(super) fn into_families(self) -> impl Iterator<Item = MetricFamily> {
        let families = [
            self.total,
            self.duration,
            self.bytes,
            self.raw_bytes,
            self.last_success,
            self.last_duration,
            self.last_run_failed,
            self.last_due,
            self.next_due,
            self.held_back,
            self.enabled,
            self.verdicts,
            self.last_verified,
            self.restore,
            self.verification_failed,
        ];
        families.into_iter().filter_map(Family::finish)
    }
}

/// Names need not be unique, so the number stands beside them: it makes the series one database's.
fn labels(database: &Database) -> Labels {
    let name = database.config_id.as_ref().unwrap_or(&database.settings.name);
    Labels::default()
        .with("database", name)
        .with("database_id", database.id.to_string())
        .with("engine", database.settings.engine.as_str())
}
