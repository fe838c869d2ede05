//! `config.yaml`: what it may hold, how it is read, and how it meets the catalog.
//!
//! [`Config::parse`] turns the file's text into settings that are whole and valid, or into one error
//! that names line, column and field, says what is allowed, and never shows a value of the file (a
//! secret may stand anywhere by mistake). [`sync::plan`] compares the file's databases with the
//! catalog's. Neither reads a file, a clock or the environment: hosts do.

mod apply;
mod entries;
mod fields;
mod limits;
mod place;
mod sections;
mod servers;
pub mod stored;
pub(crate) mod suggest;
pub mod sync;
mod yaml;

use std::net::SocketAddr;

use serde_json::{Map, Value};

pub(crate) use self::apply::claim_of_entry;
pub use self::apply::{Applied, Previewed, apply, preview};

use crate::limits::Uploads;
use crate::model::{Credentials, ObjectLock, PackageFormat};
use crate::verify::TestServer;
use crate::{Error, ErrorKind, Result};

/// The longest file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// The most databases that one file may list.
pub const MAX_DATABASES: usize = 100_000;

/// How many jobs run at once when nobody says otherwise.
pub const DEFAULT_PARALLEL_JOBS: u32 = 4;

/// How much memory one job may use when nobody says otherwise, in MiB.
pub const DEFAULT_MEMORY_BUDGET_MB: u32 = 64;

/// How long a job's lease lasts without a heartbeat when nobody says otherwise, in seconds.
pub const DEFAULT_LEASE_SECONDS: u32 = 30;

/// How long a dump may give no byte when nobody says otherwise, in seconds.
pub const DEFAULT_STALL_SECONDS: u32 = 600;

/// How long a job may take when nobody says otherwise, in hours.
pub const DEFAULT_JOB_TIMEOUT_HOURS: u32 = 24;

/// When retention runs when nobody says otherwise.
pub const DEFAULT_RETENTION_SCHEDULE: &str = "15 * * * *";

/// How many days safety backups are kept when nobody says otherwise.
pub const DEFAULT_SAFETY_DAYS: u32 = 7;
/// When databases whose backups are test-restored daily or weekly have their turn when nobody says otherwise.
pub const DEFAULT_VERIFY_SCHEDULE: &str = "0 5 * * *";

/// The whole file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What databases inherit.
    pub global: Global,
    /// How packages are made, where the file says.
    pub package: Option<PackageConf>,
    /// When retention runs over all databases, as a crontab in `global.timezone`; none: it has no schedule
    /// of its own.
    pub retention_schedule: Option<String>,
    /// How good backups are locked in a store that has such locks; none: not at all.
    pub object_lock: Option<ObjectLock>,
    /// When backups are test-restored.
    pub verify: Verify,
    /// The databases, in the file's order, each with what it inherits.
    pub databases: Vec<Entry>,
    /// How the server runs.
    pub server: Server,
    /// What restores may do.
    pub restore: Restore,
    /// The file of the keys that open encrypted artifacts (`encryption.identity_file`), where the file
    /// names one.
    pub identity_file: Option<String>,
    /// What uploads may have.
    pub uploads: Uploads,
    /// The catalog's URL (`sqlite://…`, `dynamodb://…`), where the file names one.
    pub catalog: Option<String>,
    /// The storage's URL (of a scheme of [`Stores`]), where the file names one.
    pub storage: Option<String>,
}

/// The kinds of storage that a build has, by the schemes of their URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stores {
    /// Those that it can open.
    pub here: &'static [&'static str],
    /// Those that others can, each with the reason why this one cannot.
    pub left_out: &'static [(&'static str, &'static str)],
}

impl Default for Stores {
    /// What every build has.
    fn default() -> Self {
        Self { here: &["file", "s3", "memory"], left_out: &[] }
    }
}

/// What a build can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// Storage.
    pub stores: Stores,
    /// Catalogs, by the schemes of their URLs as well.
    pub catalogs: Stores,
}

impl Build {
    /// The catalogs of a build without Amazon's services.
    pub const SQLITE: Stores = Stores {
        here: &["sqlite"],
        left_out: &[(
            "dynamodb",
            "Amazon's services are not in this build; build Respaldo with --features aws",
        )],
    };
    /// The catalogs of a build with them.
    pub const SQLITE_AND_DYNAMODB: Stores = Stores { here: &["sqlite", "dynamodb"], left_out: &[] };
}

impl Default for Build {
    fn default() -> Self {
        Stores::default().into()
    }
}

impl From<Stores> for Build {
    /// With no catalogs but files.
    fn from(stores: Stores) -> Self {
        Self { stores, catalogs: Self::SQLITE }
    }
}

impl Stores {
    /// Why this build cannot open storage of that scheme, though another could.
    pub fn why_left_out(&self, scheme: &str) -> Option<&'static str> {
        self.left_out.iter().find(|(left_out, _)| *left_out == scheme).map(|(_, why)| *why)
    }

    /// The schemes for people to read.
    pub fn spelled(&self) -> String {
        sections::spelled(self.here)
    }
}

/// The section `global`.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Fields of [`Settings`](crate::model::Settings) that a database inherits unless it sets them
    /// itself, one made by API too.
    pub settings: Map<String, Value>,
    /// How many jobs run at once.
    pub max_parallel_jobs: u32,
}

/// The section `verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// When databases whose policy is `daily` or `weekly` have their turn; none: never by themselves.
    pub schedule: Option<String>,
    /// The zone of that schedule, of its days and its weeks; none: `global.timezone`.
    pub timezone: Option<String>,
    /// Servers that test restores use instead of private ones, at most one for a kind of database.
    pub servers: Vec<TestServer>,
}

/// The section `package-conf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageConf {
    /// When packages are made; none: only when asked.
    pub schedule: Option<String>,
    /// The zone of that schedule; none: `global.timezone`.
    pub timezone: Option<String>,
    /// The kind of archive.
    pub compression: PackageFormat,
    /// Packages older than this many days are removed; none: no limit.
    pub retention_days: Option<u32>,
    /// Packages beyond the newest this many are removed; none: no limit.
    pub max_backups: Option<u32>,
    /// Whether a package may do without a database whose backup is missing or broken.
    pub allow_incomplete: bool,
}

/// The section `server`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Address and port to listen on, where the file names one.
    pub listen: Option<SocketAddr>,
    /// The folders that `sqlite` databases may lie under; `data` when the file names none.
    pub sqlite_roots: Vec<String>,
    /// The user that scratch servers run under when the server itself runs as root.
    pub run_as: Option<String>,
    /// Whether a server without any key may listen beyond loopback.
    pub allow_unauthenticated: bool,
    /// How much memory one job may use, in MiB; at least 32.
    pub memory_budget_mb: u32,
    /// The folder for staging and password files; `staging` beside the catalog when the file names
    /// none.
    pub staging: Option<String>,
    /// How long a job's lease lasts without a heartbeat, in seconds: as long, after a crash, until
    /// another worker takes the job over.
    pub lease_seconds: u32,
    /// A dump that gives no byte for this many seconds is killed.
    pub stall_seconds: u32,
    /// A job that takes longer than this many hours is stopped.
    pub job_timeout_hours: u32,
}

/// The section `restore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    /// Whether a dump that this installation did not make may be loaded as a superuser.
    pub allow_superuser: bool,
    /// Safety backups are kept for so many days, unless their restore is confirmed before.
    pub safety_days: u32,
}

/// One database of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its `id`, else its `name`: what ties it to a record of the catalog.
    pub config_id: String,
    /// Exactly the fields of [`Settings`](crate::model::Settings) that the entry sets or inherits.
    pub settings: Map<String, Value>,
    /// Where its user name and password are had: none, or references to variables.
    pub credentials: Credentials,
}

impl Config {
    /// Reads the text of a file that is called `config.yaml`.
    ///
    /// # Errors
    /// `Config`; the error's line reads `config.yaml:LINE:COLUMN: FIELD: what is wrong`.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_named("config.yaml", text, Build::default())
    }

    /// Reads the text of a file of another name, which errors then show, for a build that can open
    /// these stores and catalogs.
    ///
    /// # Errors
    /// As [`Config::parse`].
    pub fn parse_named(file: &str, text: &str, build: impl Into<Build>) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::new(
                ErrorKind::Config,
                file,
                format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len()),
            ));
        }
        let root = yaml::load(file, text)?;
        sections::read(&place::Place::root(file, text, &root), build.into())
    }

    /// Gives a field a value where neither `global` nor an entry sets it: for what comes from the
    /// environment (`TZ`, `RETENTION_DAYS`).
    pub fn with_default(mut self, field: &str, value: &Value) -> Self {
        let all = self.databases.iter_mut().map(|entry| &mut entry.settings);
        for settings in all.chain([&mut self.global.settings]) {
            settings.entry(field).or_insert_with(|| value.clone());
        }
        self
    }
}
