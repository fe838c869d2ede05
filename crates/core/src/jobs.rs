//! Jobs: look up, log, cancel.

use crate::Result;
use crate::app::App;
use crate::model::{Job, JobId};
use crate::ports::LogEntry;

/// One job, or `NotFound`.
pub async fn get(app: &App, id: JobId) -> Result<Job> {
    let _ = (app, id);
    todo!()
}

/// Lines of a job's log after `after`.
pub async fn log(app: &App, id: JobId, after: u64, limit: usize) -> Result<Vec<LogEntry>> {
    let _ = (app, id, after, limit);
    todo!()
}

/// Asks a job to stop.
pub async fn cancel(app: &App, id: JobId) -> Result<Job> {
    let _ = (app, id);
    todo!()
}
