//! Jobs in answers.

use jiff::Timestamp;
use respaldo_core::model::{Job, Progress, Restoration, RestoreStep, Status, Work};
use respaldo_core::ports::{LogEntry, LogLevel};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ErrorView, RestoreResultView, VerificationView, seconds_between};

/// A job: one unit of work.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Job")]
pub struct JobView {
    /// Its id; a dump's is its backup's.
    pub id: String,
    /// What it does: `dump`, `restore` (its undo and its confirmation too), `verify` or `package`.
    pub kind: &'static str,
    /// In a backup's words.
    #[schema(value_type = String)]
    pub status: Status,
    /// The database it works on; null of a job that works on several.
    pub database_id: Option<i64>,
    /// When it was asked for, or due.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// How long its last attempt took.
    pub duration_seconds: Option<f64>,
    /// How far it is.
    pub progress: ProgressView,
    /// The step of a restore that is being taken, or was the last one.
    #[schema(value_type = Option<String>)]
    pub step: Option<&'static str>,
    /// The steps that a restore takes, in order: of `saving`, `checking`, `loading`, `swapping`.
    #[schema(value_type = Vec<String>)]
    pub steps: Vec<&'static str>,
    /// How many attempts have begun.
    pub attempts: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// When the next attempt may begin, while it waits for one.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// Whether somebody asked for it to stop.
    pub cancel_requested: bool,
    /// Why it ended badly, or its last attempt did.
    pub error: Option<ErrorView>,
    /// What it made, once it has succeeded; of a restore, once it has ended.
    pub result: Option<ResultView>,
}

/// What a job made, by its kind.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Result")]
#[serde(untagged)]
pub enum ResultView {
    /// Of a dump.
    Backup {
        /// The backup.
        backup_id: String,
    },
    /// Of a package job.
    Package {
        /// The package.
        package_id: String,
    },
    /// Of a test restore.
    Verification {
        /// The backup.
        backup_id: String,
        /// The verdict.
        verification: Option<VerificationView>,
    },
    /// Of a restore.
    Restore(Box<RestoreResultView>),
}

impl ResultView {
    fn of(job: &Job) -> Option<Self> {
        let succeeded = job.status == Status::Succeeded;
        match &job.work {
            Work::Dump(_) => succeeded.then(|| Self::Backup { backup_id: job.id.to_string() }),
            Work::Package(_) => succeeded.then(|| Self::Package { package_id: job.id.to_string() }),
            Work::Verify(test) => succeeded.then(|| Self::Verification {
                backup_id: test.backup.to_string(),
                verification: test.verdict.clone().map(VerificationView::from),
            }),
            Work::Restore(restoration) => {
                let ended = job.status.is_terminal();
                ended.then(|| Self::Restore(Box::new(RestoreResultView::of(job, restoration))))
            }
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(title = "Progress")]
pub struct ProgressView {
    /// Bytes read from the source.
    pub raw_bytes: u64,
    /// Bytes given to storage.
    pub stored_bytes: u64,
}

impl From<Progress> for ProgressView {
    fn from(progress: Progress) -> Self {
        Self { raw_bytes: progress.raw_bytes, stored_bytes: progress.stored_bytes }
    }
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let restoration = job.restoration().ok();
        let step = restoration.map(|restoration| restoration.step);
        let steps = restoration.map(Restoration::steps).unwrap_or_default();
        Self {
            step: step.filter(|step| *step != RestoreStep::Begun).map(RestoreStep::as_str),
            steps: steps.into_iter().map(RestoreStep::as_str).collect(),
            result: ResultView::of(&job),
            id: job.id.to_string(),
            kind: job.work.as_str(),
            status: job.status,
            database_id: job.database_id().map(|id| id.0),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            duration_seconds: seconds_between(job.started_at, job.finished_at),
            progress: job.progress.into(),
            attempts: job.attempts.current,
            max_attempts: job.attempts.most,
            retry_at: job.attempts.not_before,
            cancel_requested: job.cancel_requested,
            error: job.error.as_ref().map(ErrorView::from),
        }
    }
}

/// One line of a job's log.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "LogLine")]
pub struct LogLineView {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// `info`, `warn` or `error`.
    #[schema(value_type = String)]
    pub level: LogLevel,
    /// What it says.
    pub line: String,
}

impl From<LogEntry> for LogLineView {
    fn from(entry: LogEntry) -> Self {
        Self { seq: entry.seq, at: entry.at, attempt: entry.attempt, level: entry.level, line: entry.line }
    }
}
