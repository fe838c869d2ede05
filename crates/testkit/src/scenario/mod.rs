//! The scenarios: what a user does with an installation, written once, and run against every host.
//!
//! A [`Host`] is an installation of real processes that is asked over HTTP alone. Hosts differ in their
//! [`Capabilities`], which are data, and in nothing else. Put one line into a test file:
//!
//! ```ignore
//! respaldo_testkit::scenarios!(my_host); // async fn my_host() -> Option<impl Host>
//! ```
//!
//! A new scenario is a `pub async fn` in one of the files here, and its name in
//! [`scenarios!`](crate::scenarios).
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a broken promise panics: that is how a test fails"
)]

mod access;
mod api;
mod hosts;
mod jobs;
mod journey;
mod requests;
mod source;
mod uploads;

use async_trait::async_trait;

use crate::clock_shift::ShiftedClock;

pub use access::*;
pub use api::{Answer, Api, Key};
pub use hosts::{Catalog, CloudHost, LocalHost, functions_folder, keys};
pub use jobs::*;
pub use journey::*;
pub use requests::*;
pub use source::{Hold, Source};
pub use uploads::*;

/// The password by which the hosts' databases are reached: it must not be found in any output.
pub const ADMIN_KEY: &str = "scenario-admin-key-0123456789abcdef";
/// The key of restores.
pub const RESTORE_KEY: &str = "scenario-restore-key-0123456789abcdef";
/// The key of removals.
pub const DELETE_KEY: &str = "scenario-delete-key-0123456789abcdef";
/// The master key, 32 bytes in base64.
pub const MASTER_KEY: &str = "c2NlbmFyaW8tbWFzdGVyLWtleS0wMTIzNDU2Nzg5YWI=";

/// In what hosts differ to those who ask: all of it (`respaldo_core::limits::HostLimits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A longer download is answered by an address at which storage has it; in bytes.
    pub inline_download: Option<u64>,
    /// `Prefer: wait=N` waits no longer, in seconds.
    pub longest_wait_s: u64,
    /// The events of a job end before the job does.
    pub events_end: bool,
    /// Files are sent to storage, not to the host.
    pub presigned_uploads: bool,
}

impl Capabilities {
    /// The local server's.
    pub const LOCAL: Self =
        Self { inline_download: None, longest_wait_s: 120, events_end: false, presigned_uploads: false };
    /// Those of functions on Lambda.
    pub const LAMBDA: Self = Self {
        inline_download: Some(5_000_000),
        longest_wait_s: 25,
        events_end: true,
        presigned_uploads: true,
    };
}

/// An installation of real processes.
#[async_trait]
pub trait Host: Send + Sync {
    /// Where its API is: `http://127.0.0.1:PORT`.
    fn endpoint(&self) -> String;
    /// What it can answer.
    fn capabilities(&self) -> Capabilities;
    /// The clock that all its processes go by.
    fn clock(&self) -> &ShiftedClock;
    /// Gives every schedule a turn; a host that does so by itself may leave it.
    async fn tick(&self);
    /// From now on each message of its queues is delivered twice, in any order; a host without queues leaves it.
    fn deliver_twice(&self) {}
    /// Turns over one bit in the middle of an artifact, by its `location`.
    async fn corrupt(&self, location: &str);
    /// The keys of all objects in storage, sorted.
    async fn stored(&self) -> Vec<String>;
    /// The keys that uploads are under way to.
    async fn open_uploads(&self) -> Vec<String>;
    /// Whether it shares this machine's disk, so that a SQLite file can be its source.
    fn reaches_files(&self) -> bool;
    /// Everything that its processes have printed.
    fn log(&self) -> String;
    /// Ends and starts all its processes.
    async fn restart(&mut self);
}

/// No secret of the scenarios stands in anything that the host has printed.
pub fn assert_nothing_leaked(host: &dyn Host, further: &[&str]) {
    let log = host.log();
    assert!(!log.is_empty(), "the host's output is not found");
    for secret in
        [ADMIN_KEY, RESTORE_KEY, DELETE_KEY, MASTER_KEY, crate::aws::SECRET_KEY].iter().chain(further)
    {
        assert!(!log.contains(secret), "a secret was printed: {secret}");
    }
}

/// Expands to the scenarios against the hosts that the given `async fn` makes; one that answers none has said
/// what is missing, and the scenario is skipped. The calling crate needs `tokio` with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! scenarios {
    ($make:expr) => {
        $crate::scenarios! { @tests $make;
            a_backup_goes_its_whole_way_and_comes_back
            a_large_artifact_is_downloaded_whole
            two_ticks_at_once_and_each_message_twice_make_one_backup
            a_host_that_is_restarted_goes_on_where_it_was
            a_sqlite_file_is_backed_up_and_put_back
            what_is_asked_twice_with_one_key_is_done_once
            a_wait_ends_with_the_job_or_after_its_time
            the_events_of_a_job_tell_its_log_to_the_end
            each_key_opens_its_own_scope
            what_is_not_there_is_not_found
            a_refused_request_names_its_field
            a_file_of_the_users_becomes_a_backup
            a_damaged_upload_leaves_nothing
        }
    };
    (@tests $make:expr; $($scenario:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                let Some(mut host) = $make().await else { return };
                $crate::scenario::$scenario(&mut host).await;
            }
        )*
    };
}
