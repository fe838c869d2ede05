//! The doorbell inside one process.

use async_trait::async_trait;
use respaldo_core::Result;
use respaldo_core::model::{Job, JobId};
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
    async fn ring(&self, job: &Job) -> Result<()> {
        if self.0.try_send(job.id).is_err() {
            tracing::debug!(job = %job.id, "nobody hears the doorbell now; the tick rings again");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use respaldo_core::model::{DatabaseId, DatabaseUid, TestRestore, Work};
    use ulid::Ulid;

    use super::*;

    fn job(n: u128) -> Job {
        let test = TestRestore { backup: JobId(Ulid::nil()), scheduled: false, verdict: None };
        let database = (DatabaseId(1), DatabaseUid(Ulid::nil()));
        let id = JobId(Ulid::from_parts(1, n));
        Job::new(id, database, Work::Verify(Box::new(test)), Timestamp::UNIX_EPOCH, 3)
    }

    #[tokio::test]
    async fn ringing_never_waits_also_when_nobody_answers() {
        let (doorbell, mut rings) = InProcessDoorbell::new();
        for n in 0..3000 {
            doorbell.ring(&job(n)).await.unwrap();
        }
        assert_eq!(rings.recv().await, Some(JobId(Ulid::from_parts(1, 0))));
        drop(rings);
        doorbell.ring(&job(1)).await.unwrap();
    }
}
