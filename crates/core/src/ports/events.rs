//! What happened, for whoever wants to know: metrics, notifications.

use async_trait::async_trait;

use crate::model::{Database, Job};
use crate::retention::Reason;
use crate::{Error, Result};

/// Something that happened and is already recorded in the catalog.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A database was registered.
    DatabaseRegistered(Box<Database>),
    /// A database's settings changed.
    DatabaseChanged(Box<Database>),
    /// A database was removed.
    DatabaseRemoved(Box<Database>),
    /// Retention removes this backup, or this record of a run that made none: it is marked, and goes now, or
    /// as soon as those who read it have ended.
    BackupRetired {
        /// The backup's record, as it was last.
        job: Box<Job>,
        /// Why the rule does not keep it.
        reason: Reason,
    },
    /// A job reached a terminal status.
    JobEnded(Box<Job>),
    /// A tick met a failure that belongs to no single job.
    TickFailed(Error),
    /// Storage refuses something that nothing stops for but somebody should know of, with the mend.
    StorageRefused(Error),
    /// The metrics did not reach the pushgateway. The next push brings them.
    MetricsNotPushed(Error),
}

/// Takes events. They are told after the fact, so a failure here undoes nothing.
#[async_trait]
pub trait Events: Send + Sync {
    /// Tells one event.
    async fn publish(&self, event: Event) -> Result<()>;
}
