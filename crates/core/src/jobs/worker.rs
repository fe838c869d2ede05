//! Who works on jobs.

use tokio::sync::watch;

/// Who works, and whether it should stop.
#[derive(Debug)]
pub struct Worker {
    pub(crate) owner: String,
    stop: watch::Sender<bool>,
}

impl Worker {
    /// A worker by a name that people can place: host and process.
    pub fn new(owner: impl Into<String>) -> Self {
        Self { owner: owner.into(), stop: watch::Sender::new(false) }
    }

    /// Asks every run of this worker to stop cleanly; their jobs go back to the queue.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The name.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    pub(crate) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as `self`, so this can only end by being told.
        let _told = stop.wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }
}
