//! Opens what the settings name.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use respaldo_adapters::catalog::{CatalogUrl, Table};
use respaldo_adapters::doorbell::InProcessDoorbell;
use respaldo_adapters::events::TracingEvents;
use respaldo_adapters::secrets::{Chain, SecretsUrl};
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_adapters::{master_key, storage};
use respaldo_core::engine::Toolbox;
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::JobId;
use respaldo_core::ports::{Catalog, SecretString};
#[cfg(feature = "aws")]
use respaldo_core::storage::Locks as _;
use respaldo_core::storage::Storage;
use respaldo_core::{App, Error, ErrorKind, Result, transfer};
use respaldo_sqlite::SqliteCatalog;
use tokio::sync::mpsc::Receiver;

use crate::Settings;

/// An opened catalog, storage and all the rest, and where the doorbell is heard.
pub struct Installation {
    /// What the use cases are given.
    pub app: App,
    /// The doorbell's rings.
    pub rings: Receiver<JobId>,
}

impl Installation {
    /// Opens the catalog (made with its key where there is none), storage, and the staging folder,
    /// and checks that both can be written.
    ///
    /// # Errors
    /// One line that names what cannot be used.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let (catalog, key) = open_catalog(&settings.catalog, settings.master_key.as_ref()).await?;
        let storage = with_locks(storage::open(&settings.storage)?, settings).await?;
        prepare_staging(&settings.limits.staging)?;
        catalog.check().await?;
        transfer::refuse_unfinished(&*catalog).await?;
        storage.check().await.map_err(|error| error.with_field("storage"))?;
        let (doorbell, rings) = InProcessDoorbell::new();
        let app = App {
            catalog,
            storage,
            secrets: Arc::new(secrets()?),
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            doorbell: Arc::new(doorbell),
            events: Arc::new(TracingEvents),
            key: Arc::new(key),
            toolbox: Arc::new(Toolbox::new(settings.path.clone()).with_distribution_folders()),
            identities: settings.identities.clone().into(),
            limits: Arc::new(settings.limits.clone()),
        };
        Ok(Self { app, rings })
    }
}

/// Opens a catalog and finds its master key: the given one, else that of the file beside it. Where there is no
/// catalog in a file yet, one is made, with its key where none is given.
///
/// # Errors
/// `Config` when the key is missing, or this build has no such catalogs; whatever the catalog answers.
pub async fn open_catalog(
    url: &CatalogUrl,
    given: Option<&SecretString>,
) -> Result<(Arc<dyn Catalog>, MasterKey)> {
    match url {
        CatalogUrl::Sqlite(file) => open_file(file, &url.data().join("master.key"), given),
        CatalogUrl::Dynamodb(table) => open_table(table, given).await,
    }
}

/// Gives storage on S3 its locks, and asks for them where backups are to be locked.
#[cfg(feature = "aws")]
async fn with_locks(storage: Storage, settings: &Settings) -> Result<Storage> {
    let Some(bucket) = storage::bucket(&settings.storage)? else { return Ok(storage) };
    let locks = respaldo_aws::object_lock::S3Locks::open(bucket).await;
    if settings.limits.object_lock.is_some() {
        locks.check().await.map_err(|error| error.with_field("retention.object_lock"))?;
    }
    Ok(storage.with_locks(Arc::new(locks)))
}

/// Without Amazon's SDK nothing has locks; settings that ask for them were refused.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn with_locks(storage: Storage, _settings: &Settings) -> Result<Storage> {
    Ok(storage)
}

/// A new catalog comes after its key, so that no catalog ever stands without one; an existing file is
/// first asked whether it is a catalog at all.
fn open_file(
    file: &Path,
    key_file: &Path,
    given: Option<&SecretString>,
) -> Result<(Arc<dyn Catalog>, MasterKey)> {
    let exists = fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0);
    let key = || master_key::load(given, key_file, exists, &SystemIds);
    if exists {
        let catalog = SqliteCatalog::open(file)?;
        return Ok((Arc::new(catalog), key()?));
    }
    let key = key()?;
    Ok((Arc::new(SqliteCatalog::open(file)?), key))
}

/// A table has no folder for its key, and other hosts may use it already: the key is never made here.
#[cfg(feature = "aws")]
async fn open_table(table: &Table, given: Option<&SecretString>) -> Result<(Arc<dyn Catalog>, MasterKey)> {
    let key = master_key::given(given)?;
    let (endpoint, region) = (table.endpoint.as_deref(), table.region.as_deref());
    Ok((Arc::new(respaldo_aws::dynamodb::Dynamo::open(&table.name, endpoint, region).await?), key))
}

#[cfg(not(feature = "aws"))]
async fn open_table(_table: &Table, _given: Option<&SecretString>) -> Result<(Arc<dyn Catalog>, MasterKey)> {
    let why = crate::BUILD.catalogs.why_left_out("dynamodb").unwrap_or_default();
    Err(Error::new(ErrorKind::Config, "open the catalog", why).with_field("catalog"))
}

/// Where references to secrets are resolved: the environment, and in a build with Amazon's services their stores.
///
/// # Errors
/// `Config` when `SECRETS_URL` cannot be, or needs what this build has not.
pub fn secrets() -> Result<Chain> {
    let url = SecretsUrl::from_environment()?;
    #[cfg(feature = "aws")]
    {
        let at = url.as_ref().map(|url| (url.endpoint.clone(), url.region.clone()));
        let (endpoint, region) = at.unwrap_or_default();
        Ok(Chain::before(Arc::new(respaldo_aws::secrets::AwsSecrets::new(endpoint, region)), url))
    }
    #[cfg(not(feature = "aws"))]
    match url {
        None => Ok(Chain::of_environment()),
        Some(_) => {
            let why = crate::BUILD.catalogs.why_left_out("dynamodb").unwrap_or_default();
            Err(Error::new(ErrorKind::Config, "read the settings", why)
                .with_field(respaldo_adapters::secrets::VARIABLE))
        }
    }
}

fn prepare_staging(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        let why = format!("{}: {error}", folder.display());
        Error::new(ErrorKind::Storage, "prepare the staging folder", why)
            .with_mend("check that this folder can be written, or name another: server.staging")
    })
}
