//! The installation's settings: written into the catalog by `respaldo config apply`, read from it at the start and
//! again every minute. No file of a function's package says how jobs are done.

use std::path::PathBuf;
use std::time::Duration;

use respaldo_adapters::settings::{identities, threads, with_environment};
use respaldo_adapters::storage::STORES;
use respaldo_core::config::{Config, stored};
use respaldo_core::keyring::MasterKey;
use respaldo_core::limits::HostLimits;
use respaldo_core::ports::Catalog;
use respaldo_core::seal::Identity;
use respaldo_core::{Limits, Result};

/// How old settings may be before they are read again.
pub(crate) const OLDEST: Duration = Duration::from_mins(1);
/// What a download may have to stand in an answer: in base64, with its headers, it just fits into the 6 MiB that
/// Lambda takes.
const INLINE_DOWNLOAD: u64 = 4_500_000;
/// API Gateway waits for 30 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// In what this host differs from the local server.
fn host() -> HostLimits {
    HostLimits {
        inline_download: Some(INLINE_DOWNLOAD),
        longest_wait: LONGEST_WAIT,
        events_end: true,
        presigned_uploads: true,
    }
}

/// What may change while the process lives.
pub(crate) struct Settings {
    config: Config,
    pub(crate) limits: Limits,
    pub(crate) identities: Vec<Identity>,
}

impl Settings {
    /// Reads them; where nobody has applied any, all is as it is by default.
    ///
    /// # Errors
    /// Whatever the catalog answers; `Config` for what this version, or this master key, cannot read.
    pub(crate) async fn read(catalog: &dyn Catalog, key: &MasterKey, staging: PathBuf) -> Result<Self> {
        let config = stored::read(catalog, key, STORES).await?;
        Self::of(config.map_or_else(|| Config::parse(""), Ok)?, staging)
    }

    /// What a configuration means here.
    pub(crate) fn of(config: Config, staging: PathBuf) -> Result<Self> {
        let mut config = with_environment(config)?;
        // A path of another machine: here the keys come from `RESPALDO_IDENTITY`.
        config.identity_file = None;
        let mut limits = config.limits(staging.clone(), threads())?;
        // Nothing else can be written here, whatever suits the host that the file was written for.
        limits.staging = staging;
        limits.host = host();
        Ok(Self { identities: identities(None, &config)?, limits, config })
    }

    /// Whether both say the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.config == other.config
    }
}
