//! Settings: flag over environment over file, checked before anything is opened.

use std::fs;
use std::io::ErrorKind as Io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::pushgateway::Gateway;
use respaldo_adapters::storage::STORES;
use respaldo_adapters::{environment, settings};
use respaldo_api::access::{Guard, Hosts, Keys};
use respaldo_core::config::{Build, Config};
use respaldo_core::ports::SecretString;
use respaldo_core::seal::Identity;
use respaldo_core::{Error, ErrorKind, Limits, Result};

/// What this build can open.
pub const BUILD: Build = Build {
    stores: STORES,
    catalogs: if cfg!(feature = "aws") { Build::SQLITE_AND_DYNAMODB } else { Build::SQLITE },
};

pub(crate) const CONFIG_FILE: &str = "config.yaml";
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
const CATALOG: &str = "sqlite://data/catalog.db";
const STORAGE: &str = "file://data/backups";

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
    /// Where the catalog is.
    pub catalog: CatalogUrl,
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
    /// Whether there is a file. Without one nothing says that databases have left it.
    pub has_file: bool,
    /// Where the metrics are pushed to, besides being there to be scraped.
    pub pushgateway: Option<Gateway>,
    /// Databases of the file to back up at once, by the id of their entry.
    pub backup_now: Vec<String>,
}

impl Settings {
    /// Reads flags, environment and file.
    ///
    /// # Errors
    /// `Config`: which setting cannot be, and what to do.
    pub fn load(overrides: &Overrides) -> Result<Self> {
        let file = read_config(overrides.config.as_deref())?;
        let has_file = file.is_some();
        let config = settings::with_environment(file.map_or_else(|| Config::parse(""), Ok)?)?;
        let either = |flag: &Option<String>, name: &str, file: &Option<String>| {
            let text = flag.clone().map_or_else(|| environment::variable(name), |text| Ok(Some(text)))?;
            Ok::<_, Error>(text.filter(|text| !text.is_empty()).or_else(|| file.clone()))
        };
        let catalog = either(&overrides.catalog, "CATALOG_URL", &config.catalog)?;
        let catalog = CatalogUrl::parse(catalog.as_deref().unwrap_or(CATALOG))?;
        let storage = either(&overrides.storage, "STORAGE_URL", &config.storage)?;
        let keys = Keys::read(environment::secret)?;
        let open = config.server.allow_unauthenticated;
        let listen = listen(overrides.listen, &config)?;
        check_exposure(listen, keys.is_some() || open)?;
        check_object_lock(&config, storage.as_deref().unwrap_or(STORAGE))?;
        let limits = config.limits(catalog.data().join("staging"), settings::threads())?;
        Ok(Self {
            listen,
            catalog,
            storage: storage.unwrap_or_else(|| STORAGE.to_owned()),
            guard: keys.map_or(Guard::Open(if open { Hosts::Local } else { Hosts::Loopback }), Guard::Keys),
            master_key: environment::secret("RESPALDO_MASTER_KEY")?,
            identities: settings::identities(overrides.identity.as_deref(), &config)?,
            path: settings::path(),
            limits,
            config,
            has_file,
            pushgateway: Gateway::from_environment()?,
            backup_now: overrides.backup_now.clone(),
        })
    }

    /// The folder where what belongs to this installation lies: the catalog's, where it is a file.
    pub fn data(&self) -> &Path {
        self.catalog.data()
    }
}

/// The file; none where none was named, and none lies here.
fn read_config(path: Option<&Path>) -> Result<Option<Config>> {
    let file = path.unwrap_or(Path::new(CONFIG_FILE));
    match fs::read(file) {
        Ok(bytes) => {
            let name = file.display().to_string();
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(ErrorKind::Config, name.clone(), "the file is not UTF-8"))?;
            Config::parse_named(&name, &text, BUILD).map(Some)
        }
        Err(error) if error.kind() == Io::NotFound && path.is_none() => Ok(None),
        Err(error) => Err(Error::new(
            ErrorKind::Config,
            "read the configuration",
            format!("{}: {error}", file.display()),
        )),
    }
}

/// Locks take a store that has them, and a build that can ask for them.
fn check_object_lock(config: &Config, storage: &str) -> Result<()> {
    if config.object_lock.is_none() {
        return Ok(());
    }
    let refused = |why: &str| refused("retention.object_lock", why);
    if !storage.starts_with("s3://") {
        return Err(refused("only storage on s3:// has such locks").with_mend("take it out, or use a bucket"));
    }
    if !cfg!(feature = "aws") {
        return Err(refused("this build cannot lock objects").with_mend("build Respaldo with --features aws"));
    }
    Ok(())
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
    fn object_locks_are_refused_where_nothing_can_hold_them() {
        let text = "retention:\n  object_lock: {mode: governance, days: 1}\n";
        let config = Config::parse(text).unwrap();
        let error = check_object_lock(&config, STORAGE).unwrap_err();
        assert_eq!(error.field(), Some("retention.object_lock"));
        assert!(check_object_lock(&Config::parse("").unwrap(), STORAGE).is_ok());
        assert_eq!(check_object_lock(&config, "s3://bucket/x").is_ok(), cfg!(feature = "aws"));
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = read_config(Some(Path::new("/nowhere/config.yaml"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/config.yaml"));
    }
}
