//! The jobs port. The catalog is the truth about jobs; this only wakes a worker.

use async_trait::async_trait;

use crate::Result;
use crate::model::Job;

/// Tells some worker that a job may be waiting. A ring may be lost, repeated, late or out of order:
/// whoever answers it asks the catalog.
#[async_trait]
pub trait Doorbell: Send + Sync {
    /// Rings for a job. Who hears it may depend on the kind of its work and on
    /// [`Job::needs_long_runner`].
    async fn ring(&self, job: &Job) -> Result<()>;
}
