//! The doorbell inside one process.

use async_trait::async_trait;
use respaldo_core::Result;
use respaldo_core::model::JobId;
use respaldo_core::ports::Doorbell;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Rings that nobody has answered yet, at most. Further ones are lost, and the tick rings again.
const MOST_WAITING: usize = 1024;

/// Wakes the worker of this process; it never waits.
#[derive(Debug, Clone)]
pub struct InProcessDoorbell(Sender<JobId>);

impl InProcessDoorbell {
    /// A doorbell, and where its rings are heard.
    pub fn new() -> (Self, Receiver<JobId>) {
        let (sender, receiver) = channel(MOST_WAITING);
        (Self(sender), receiver)
    }
}

#[async_trait]
impl Doorbell for InProcessDoorbell {
    async fn ring(&self, job: JobId) -> Result<()> {
        if self.0.try_send(job).is_err() {
            tracing::debug!(%job, "nobody hears the doorbell now; the tick rings again");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[tokio::test]
    async fn ringing_never_waits_also_when_nobody_answers() {
        let (doorbell, mut rings) = InProcessDoorbell::new();
        for n in 0..3000 {
            doorbell.ring(JobId(Ulid::from_parts(1, n))).await.unwrap();
        }
        assert_eq!(rings.recv().await, Some(JobId(Ulid::from_parts(1, 0))));
        drop(rings);
        doorbell.ring(JobId(Ulid::from_parts(1, 1))).await.unwrap();
    }
}
