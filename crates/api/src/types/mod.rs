//! What is answered, field by field.

mod backup;
mod database;
mod job;
mod package;
mod restore;
mod retention;
mod transfer;

use jiff::Timestamp;
use respaldo_core::Error;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::backup::{BackupView, StatsView, UploadView, VerificationView};
pub use self::database::{
    ChangeBody, CredentialsBody, DatabaseView, RegisterBody, SettingsView, TestView, change_from,
    registration_from,
};
pub use self::job::{JobView, LogLineView, ProgressView, ResultView};
pub use self::package::{LeftOutView, MemberView, PackagePlanView, PackageView};
pub use self::restore::{RefusalView, RestorePlanView, RestoreResultView, TargetView};
pub use self::retention::{AppliedView, DecisionView, FateView, PlanView};
pub use self::transfer::{DownloadPartView, DownloadView, UploadTicketView};

/// Why something ended badly.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(title = "Failure")]
pub struct ErrorView {
    /// The kind of failure, e.g. `denied`, `unavailable`, `tool`, `incomplete`.
    #[schema(example = "denied")]
    pub kind: &'static str,
    /// What happened, in one line.
    pub message: String,
    /// In which operation.
    pub operation: String,
    /// Whether trying again can help.
    pub retryable: bool,
    /// What to do.
    pub mend: Option<String>,
}

impl From<&Error> for ErrorView {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind().as_str(),
            message: error.message().to_owned(),
            operation: error.operation().to_owned(),
            retryable: error.is_retryable(),
            mend: error.mend().map(ToOwned::to_owned),
        }
    }
}

/// The seconds between two instants, to the millisecond.
fn seconds_between(start: Option<Timestamp>, end: Option<Timestamp>) -> Option<f64> {
    let span = end?.duration_since(start?);
    Some(seconds(u64::try_from(span.as_millis()).unwrap_or(0)))
}

#[expect(clippy::cast_precision_loss, reason = "no duration comes near 2^53 milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
