//! What every host reads from its surroundings beside catalog and storage: defaults of the configuration,
//! the keys that open artifacts, the folders of tools, the processors.

use std::env::split_paths;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use respaldo_core::config::Config;
use respaldo_core::ports::ExposeSecret;
use respaldo_core::schedule::Schedule;
use respaldo_core::seal::Identity;
use respaldo_core::{Error, ErrorKind, Result};
use serde_json::json;

use crate::{environment, identity};

/// Beyond this, compressing one dump faster costs the other jobs more than it gives.
const MOST_THREADS: usize = 4;

/// Puts in what the environment gives as defaults: a zone (`TZ`) and a retention (`RETENTION_DAYS`).
///
/// # Errors
/// `Config`, naming the variable.
pub fn with_environment(mut config: Config) -> Result<Config> {
    if let Some(zone) = environment::variable("TZ")?.filter(|zone| !zone.is_empty()) {
        // A leading colon is how POSIX writes a name from the zone database.
        let zone = zone.trim_start_matches(':');
        Schedule::parse("@daily", Some(zone)).map_err(|error| error.with_field("TZ"))?;
        config = config.with_default("timezone", &json!(zone));
    }
    if let Some(days) = environment::variable("RETENTION_DAYS")?.filter(|days| !days.is_empty()) {
        let days = days.parse::<u32>().ok().filter(|days| *days > 0);
        let days = days.ok_or_else(|| {
            let why = "it must be a number of days from 1 upwards";
            Error::new(ErrorKind::Config, "read the settings", why).with_field("RETENTION_DAYS")
        })?;
        config = config.with_default("retention_days", &json!(days));
    }
    Ok(config)
}

/// The keys of the file that a flag names, else of `RESPALDO_IDENTITY` (or its `_FILE`), else of the file that
/// the configuration names.
///
/// # Errors
/// `Config` when they cannot be read; no line of them is shown.
pub fn identities(flag: Option<&Path>, config: &Config) -> Result<Vec<Identity>> {
    if let Some(file) = flag {
        return identity::read(file);
    }
    let given = environment::secret(identity::VARIABLE)?;
    match (given.filter(|text| !text.expose_secret().trim().is_empty()), &config.identity_file) {
        (Some(text), _) => identity::parse(&text),
        (None, Some(file)) => identity::read(Path::new(file)),
        (None, None) => Ok(Vec::new()),
    }
}

/// The folders of `PATH`.
pub fn path() -> Vec<PathBuf> {
    environment::raw("PATH").map(|path| split_paths(&path).collect()).unwrap_or_default()
}

/// How many threads compress one dump on this machine.
pub fn threads() -> usize {
    available_parallelism().map_or(1, std::num::NonZero::get).min(MOST_THREADS)
}
