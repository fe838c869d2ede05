//! What every use case is given: the ports, storage, the instance's key, and its limits.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::engine::Toolbox;
use crate::keyring::MasterKey;
use crate::ports::{Catalog, Clock, Doorbell, Events, Ids, Secrets};
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
    /// What a job may use, and how long it may take.
    pub limits: Arc<Limits>,
}

impl App {
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What a job may use, and how long it may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Jobs that run at once, over all hosts on this catalog.
    pub max_parallel_jobs: u32,
    /// Bytes that one job may hold.
    pub memory_budget: usize,
    /// Threads that compress for one job.
    pub threads: usize,
    /// How long a lease lasts without a heartbeat.
    pub lease: SignedDuration,
    /// A dump that gives no byte for this long is killed.
    pub stall: SignedDuration,
    /// A job that takes longer is stopped.
    pub job_timeout: SignedDuration,
    /// How often a job is tried while its failures are retryable.
    pub attempts: u32,
    /// A private folder for staging and for files that hold secrets.
    pub staging: PathBuf,
    /// Folders that SQLite databases may lie in.
    pub sqlite_roots: Vec<PathBuf>,
    /// Recipients that artifacts are encrypted to where a database names none.
    pub recipients: Vec<String>,
    /// Policy fields of databases that do not set them (`global` in `config.yaml`).
    pub defaults: serde_json::Map<String, serde_json::Value>,
}
