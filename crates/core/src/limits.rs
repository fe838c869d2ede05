//! What one installation allows its jobs.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::model::ObjectLock;
use crate::package;
use crate::retention::Cron;
use crate::verify;

/// How often a job is tried while its failures are retryable.
pub const ATTEMPTS: u32 = 3;

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
    /// When retention runs over all databases; none: only after backups, and when asked.
    pub retention: Option<Cron>,
    /// When backups are test-restored by policy; none: only after backups, and when asked.
    pub verify: Option<verify::Cron>,
    /// Servers that test restores use instead of private ones, at most one for a kind of database.
    pub test_servers: Vec<verify::TestServer>,
    /// Whether a dump that this installation did not make may be loaded as a superuser.
    pub allow_superuser: bool,
    /// Safety backups are kept for so many days, unless their restore is confirmed before.
    pub safety_days: u32,
    /// The system user that scratch servers run as, where this process is root; none: a user that the
    /// server's package made, else `nobody`.
    pub run_as: Option<String>,
    /// What uploads may have.
    pub uploads: Uploads,
    /// How packages are made.
    pub package: package::Policy,
    /// When files are looked for that were sent to storage and that nobody completed.
    pub incoming_turn: package::Hourly,
    /// What this host can answer over HTTP.
    pub host: HostLimits,
    /// How good backups are locked in a store that has such locks; none: not at all.
    pub object_lock: Option<ObjectLock>,
    /// Policy fields of databases that do not set them (`global` in `config.yaml`).
    pub defaults: serde_json::Map<String, serde_json::Value>,
}

/// What a file that somebody uploads may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploads {
    /// Bytes once it is unpacked.
    pub most_raw: u64,
    /// Bytes as they are sent.
    pub most_sent: u64,
}

impl Default for Uploads {
    /// 100 GB, packed or not.
    fn default() -> Self {
        Self { most_raw: 100 * GIGABYTE, most_sent: 100 * GIGABYTE }
    }
}

/// What a host can answer over HTTP: all in which hosts differ to those who ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostLimits {
    /// At most so many bytes of a download stand in one answer; for more the answer tells where storage gives
    /// them out. None: there is no limit.
    pub inline_download: Option<u64>,
    /// Nobody who would wait (`Prefer: wait=N`) waits longer.
    pub longest_wait: Duration,
    /// The events of a job tell what is new and end; else they go on until the job has ended.
    pub events_end: bool,
    /// Files are sent to storage and not to this host, which takes no body of that length.
    pub presigned_uploads: bool,
}

impl Default for HostLimits {
    /// The local server's: whatever is asked for stands in the answer.
    fn default() -> Self {
        Self {
            inline_download: None,
            longest_wait: Duration::from_mins(2),
            events_end: false,
            presigned_uploads: false,
        }
    }
}

/// A gigabyte, in bytes.
pub const GIGABYTE: u64 = 1_000_000_000;
