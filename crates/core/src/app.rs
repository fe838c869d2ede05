//! What every use case is given: the ports, storage, the instance's key, and its limits.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::Toolbox;
use crate::keyring::MasterKey;
use crate::limits::Limits;
use crate::ports::{Catalog, Clock, Doorbell, Events, Ids, Secrets};
use crate::seal::Identity;
use crate::storage::Storage;

/// The surroundings of one installation, as its host put them together.
#[derive(Clone)]
pub struct App {
    /// The truth about databases and jobs.
    pub catalog: Arc<dyn Catalog>,
    /// Where artifacts lie.
    pub storage: Storage,
    /// Where references to credentials are resolved.
    pub secrets: Arc<dyn Secrets>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids and nonces come from.
    pub ids: Arc<dyn Ids>,
    /// Wakes workers.
    pub doorbell: Arc<dyn Doorbell>,
    /// Takes what happened.
    pub events: Arc<dyn Events>,
    /// Seals credentials and signs manifests.
    pub key: Arc<MasterKey>,
    /// Where the engines' tools are found.
    pub toolbox: Arc<Toolbox>,
    /// What opens encrypted artifacts.
    pub identities: Arc<[Identity]>,
    /// What a job may use, and how long it may take.
    pub limits: Arc<Limits>,
}

impl App {
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
