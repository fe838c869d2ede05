//! Settings: flag over environment over file, checked before anything is opened.

use std::env::split_paths;
use std::fs;
use std::io::ErrorKind as Io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use respaldo_adapters::storage::STORES;
use respaldo_adapters::url::Url;
use respaldo_adapters::{environment, identity};
use respaldo_api::access::{Guard, Hosts, Keys};
use respaldo_core::config::Config;
use respaldo_core::limits::HostLimits;
use respaldo_core::ports::{ExposeSecret, SecretString};
use respaldo_core::retention::Cron;
use respaldo_core::schedule::Schedule;
use respaldo_core::seal::Identity;
use respaldo_core::{Error, ErrorKind, Limits, Result, package, verify};
use serde_json::json;

const CONFIG_FILE: &str = "config.yaml";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
const CATALOG: &str = "sqlite://data/catalog.db";
const STORAGE: &str = "file://data/backups";
pub(crate) const ATTEMPTS: u32 = 3;
/// Beyond this, compressing one dump faster costs the other jobs more than it gives.
const MOST_THREADS: usize = 4;

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file to read; none: `config.yaml`, if it is there.
    pub config: Option<PathBuf>,
    /// Address and port to listen on.
    pub listen: Option<SocketAddr>,
    /// The catalog's URL.
    pub catalog: Option<String>,
    /// The storage's URL.
    pub storage: Option<String>,
    /// The file of the keys that open encrypted artifacts.
    pub identity: Option<PathBuf>,
    /// Databases of the file to back up at once, by the id of their entry.
    pub backup_now: Vec<String>,
}

/// Everything that a server is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The catalog's file.
    pub catalog: PathBuf,
    /// The storage's URL.
    pub storage: String,
    /// Who may come in.
    pub guard: Guard,
    /// The master key, where the environment gives it.
    pub master_key: Option<SecretString>,
    /// What opens encrypted artifacts.
    pub identities: Vec<Identity>,
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// What jobs may use.
    pub limits: Limits,
    /// The file's content, with the environment's defaults.
    pub config: Config,
    /// Databases of the file to back up at once, by the id of their entry.
    pub backup_now: Vec<String>,
}

impl Settings {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    /// `Config`: which setting cannot be, and what to do.
    pub fn load(overrides: &Overrides) -> Result<Self> {
        let config = with_environment(read_config(overrides.config.as_deref())?)?;
        let either = |flag: &Option<String>, name: &str, file: &Option<String>| {
            let text = flag.clone().map_or_else(|| environment::variable(name), |text| Ok(Some(text)))?;
            Ok::<_, Error>(text.filter(|text| !text.is_empty()).or_else(|| file.clone()))
        };
        let catalog = either(&overrides.catalog, "CATALOG_URL", &config.catalog)?;
        let catalog = catalog_file(catalog.as_deref().unwrap_or(CATALOG))?;
        let storage = either(&overrides.storage, "STORAGE_URL", &config.storage)?;
        let keys = keys()?;
        let open = config.server.allow_unauthenticated;
        let listen = listen(overrides.listen, &config)?;
        check_exposure(listen, keys.is_some() || open)?;
        let limits = limits(&config, &catalog)?;
        Ok(Self {
            listen,
            catalog,
            storage: storage.unwrap_or_else(|| STORAGE.to_owned()),
            guard: keys.map_or(Guard::Open(if open { Hosts::Local } else { Hosts::Loopback }), Guard::Keys),
            master_key: environment::secret("RESPALDO_MASTER_KEY")?,
            identities: identities(overrides.identity.as_deref(), &config)?,
            path: environment::raw("PATH").map(|path| split_paths(&path).collect()).unwrap_or_default(),
            limits,
            config,
            backup_now: overrides.backup_now.clone(),
        })
    }

    /// The folder of the catalog, where what belongs to this installation lies.
    pub fn data(&self) -> &Path {
        folder_of(&self.catalog)
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_config(path: Option<&Path>) -> Result<Config> {
    let file = path.unwrap_or(Path::new(CONFIG_FILE));
    match fs::read(file) {
        Ok(bytes) => {
            let name = file.display().to_string();
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(ErrorKind::Config, name.clone(), "the file is not UTF-8"))?;
            Config::parse_named(&name, &text, STORES)
        }
        Err(error) if error.kind() == Io::NotFound && path.is_none() => Config::parse(""),
        Err(error) => Err(Error::new(
            ErrorKind::Config,
            "read the configuration",
            format!("{}: {error}", file.display()),
        )),
    }
}

/// Puts in what the environment gives as defaults: a zone and a retention.
fn with_environment(mut config: Config) -> Result<Config> {
    if let Some(zone) = environment::variable("TZ")?.filter(|zone| !zone.is_empty()) {
        // A leading colon is how POSIX writes a name from the zone database.
        let zone = zone.trim_start_matches(':');
        Schedule::parse("@daily", Some(zone)).map_err(|error| error.with_field("TZ"))?;
        config = config.with_default("timezone", &json!(zone));
    }
    if let Some(days) = environment::variable("RETENTION_DAYS")?.filter(|days| !days.is_empty()) {
        let days = days.parse::<u32>().ok().filter(|days| *days > 0);
        let days =
            days.ok_or_else(|| refused("RETENTION_DAYS", "it must be a number of days from 1 upwards"))?;
        config = config.with_default("retention_days", &json!(days));
    }
    Ok(config)
}

fn listen(flag: Option<SocketAddr>, config: &Config) -> Result<SocketAddr> {
    if let Some(listen) = flag {
        return Ok(listen);
    }
    match environment::variable("RESPALDO_LISTEN")?.filter(|listen| !listen.is_empty()) {
        None => Ok(config.server.listen.unwrap_or(LISTEN)),
        Some(listen) => listen
            .parse()
            .map_err(|_| refused("RESPALDO_LISTEN", "it must be an address and a port, e.g. 127.0.0.1:8000")),
    }
}

fn check_exposure(listen: SocketAddr, allowed: bool) -> Result<()> {
    if allowed || listen.ip().is_loopback() {
        return Ok(());
    }
    let why = format!("without keys everybody who reaches {listen} could do everything");
    Err(refused("listen", why).with_mend(
        "set ADMIN_API_KEY, or listen on 127.0.0.1; in a container that is published on loopback only, \
         server.allow_unauthenticated: true",
    ))
}

fn keys() -> Result<Option<Keys>> {
    let admin = environment::secret("ADMIN_API_KEY")?;
    let restore = environment::secret("BACKUP_RESTORE_API_KEY")?;
    let delete = environment::secret("BACKUP_DELETE_API_KEY")?;
    if admin.is_none() && restore.is_none() && delete.is_none() {
        return Ok(None);
    }
    let text = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
    Keys::new(text(&admin).as_deref(), text(&restore).as_deref(), text(&delete).as_deref()).map(Some)
}

/// The keys of the file that a flag names, else of `RESPALDO_IDENTITY` (or its `_FILE`), else of the file that
/// the configuration names.
fn identities(flag: Option<&Path>, config: &Config) -> Result<Vec<Identity>> {
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

pub(crate) fn catalog_file(text: &str) -> Result<PathBuf> {
    let url = Url::parse("catalog", text)?;
    if url.scheme != "sqlite" {
        return Err(url.refuse(format!("there is no catalog {}://; there is sqlite://", url.scheme)));
    }
    url.finish("sqlite:// takes none")?;
    url.path()
}

fn limits(config: &Config, catalog: &Path) -> Result<Limits> {
    let server = &config.server;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Limits {
        max_parallel_jobs: config.global.max_parallel_jobs,
        memory_budget: server.memory_budget_mb as usize * 1024 * 1024,
        threads: cores.min(MOST_THREADS),
        lease: SignedDuration::from_secs(server.lease_seconds.into()),
        stall: SignedDuration::from_secs(server.stall_seconds.into()),
        job_timeout: SignedDuration::from_hours(server.job_timeout_hours.into()),
        attempts: ATTEMPTS,
        staging: server.staging.as_ref().map_or_else(|| folder_of(catalog).join("staging"), PathBuf::from),
        sqlite_roots: server.sqlite_roots.iter().map(PathBuf::from).collect(),
        retention: retention(config)?,
        allow_superuser: config.restore.allow_superuser,
        safety_days: config.restore.safety_days,
        verify: verify(config)?,
        test_servers: config.verify.servers.clone(),
        run_as: server.run_as.clone(),
        uploads: config.uploads,
        package: package(config)?,
        incoming_turn: package::Hourly::default(),
        host: HostLimits::default(),
        object_lock: config.object_lock,
        defaults: config.global.settings.clone(),
    })
}

/// Its schedule is read in the zone that databases inherit.
fn retention(config: &Config) -> Result<Option<Cron>> {
    let zone = config.global.settings.get("timezone").and_then(serde_json::Value::as_str);
    let schedule = config.retention_schedule.as_deref().map(|crontab| Schedule::parse(crontab, zone));
    schedule
        .transpose()
        .map(|schedule| schedule.map(Cron::new))
        .map_err(|error| error.with_field("retention.schedule"))
}

fn verify(config: &Config) -> Result<Option<verify::Cron>> {
    let global = config.global.settings.get("timezone").and_then(serde_json::Value::as_str);
    let zone = config.verify.timezone.as_deref().or(global);
    let schedule = config.verify.schedule.as_deref().map(|crontab| Schedule::parse(crontab, zone));
    schedule
        .transpose()
        .map(|schedule| schedule.map(verify::Cron::new))
        .map_err(|error| error.with_field("verify.schedule"))
}

fn package(config: &Config) -> Result<package::Policy> {
    let Some(conf) = &config.package else { return Ok(package::Policy::default()) };
    let global = config.global.settings.get("timezone").and_then(serde_json::Value::as_str);
    let zone = conf.timezone.as_deref().or(global);
    let cron = conf.schedule.as_deref().map(|crontab| package::Cron::parse(crontab, zone)).transpose();
    Ok(package::Policy {
        cron: cron.map_err(|error| error.with_field("package-conf.schedule"))?,
        format: conf.compression,
        allow_incomplete: conf.allow_incomplete,
        retention_turn: package::Hourly::default(),
        retention_days: conf.retention_days,
        max_packages: conf.max_backups,
    })
}

fn refused(field: &str, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "read the settings", why).with_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_loopback_is_listened_on() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(check_exposure(address("127.0.0.1:8000"), false).is_ok());
        assert!(check_exposure(address("[::1]:8000"), false).is_ok());
        let error = check_exposure(address("0.0.0.0:8000"), false).unwrap_err();
        assert!(error.mend().unwrap().contains("ADMIN_API_KEY"));
        assert!(check_exposure(address("0.0.0.0:8000"), true).is_ok());
    }

    #[test]
    fn a_catalog_that_is_not_sqlite_is_refused() {
        assert_eq!(catalog_file(CATALOG).unwrap(), Path::new("data/catalog.db"));
        assert_eq!(catalog_file("sqlite:///srv/c.db").unwrap(), Path::new("/srv/c.db"));
        for url in ["dynamodb://table", "sqlite://", "sqlite://x?mode=ro", "data/catalog.db"] {
            assert_eq!(catalog_file(url).unwrap_err().field(), Some("catalog"), "{url}");
        }
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = read_config(Some(Path::new("/nowhere/config.yaml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/config.yaml"));
    }
}
