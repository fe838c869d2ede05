//! Puts the installation together from the environment, once, before the first event.
//!
//! Everything that is read is checked here, and nothing is asked of the network that need not be: the catalog is asked
//! for the settings; storage is asked when it is used.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::environment;
use respaldo_adapters::events::TracingEvents;
use respaldo_adapters::pushgateway::Gateway;
use respaldo_adapters::secrets::{Chain, SecretsUrl};
use respaldo_adapters::settings::path;
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_adapters::url::Url;
use respaldo_adapters::{master_key, storage};
use respaldo_api::Function;
use respaldo_api::access::{Guard, Keys};
use respaldo_aws::Dynamo;
use respaldo_aws::ecs::{FargateRunner, Task};
use respaldo_aws::object_lock::S3Locks;
use respaldo_aws::sdk;
use respaldo_aws::secrets::AwsSecrets;
use respaldo_aws::sqs::{Queue, Queues, SqsDoorbell};
use respaldo_core::engine::Toolbox;
use respaldo_core::model::WorkKind;
use respaldo_core::ports::{Catalog, Ids as _};
use respaldo_core::storage::Storage;
use respaldo_core::{App, Error, ErrorKind, Result, transfer};

use crate::host::{Host, Parts};
use crate::settings::Settings;

const OPERATION: &str = "start";
/// All that a function may write to.
const TEMPORARY: &str = "/tmp";

/// The function on the installation that the environment names.
///
/// # Errors
/// `Config`, naming the variable; whatever the catalog answers.
pub(crate) async fn host(function: Function, besides: fn() -> Router<App>) -> Result<Host> {
    let secrets = secrets()?;
    secrets.fetch().await?;
    let keys = Keys::read(environment::secret)?.ok_or_else(|| {
        refused("ADMIN_API_KEY", "it is not set: everybody on the internet could do everything")
            .with_mend("set it, e.g. from a secret: ADMIN_API_KEY_FROM=secretsmanager:ID")
    })?;
    let key = master_key::given(environment::secret("RESPALDO_MASTER_KEY")?.as_ref())?;
    let storage = with_locks(storage()?).await?;
    let gateway = Gateway::from_environment()?;
    let queues = Queues::read(environment::variable)?;
    let task = Task::read(environment::variable)?;
    let staging = staging()?;
    let sdk = sdk::load(None, None).await;
    let catalog = catalog().await?;
    let settings = Settings::read(catalog.as_ref(), &key, staging.clone());
    let (settings, ()) = tokio::try_join!(settings, transfer::refuse_unfinished(catalog.as_ref()))?;
    let settings = Arc::new(settings);
    let queue = function.job.and_then(|(kind, _)| queue_of(&queues, kind)).map(|url| Queue::new(&sdk, url));
    let clock = Arc::new(SystemClock);
    let doorbell = SqsDoorbell::new(&sdk, queues);
    let doorbell = match task {
        Some(task) => {
            let most = settings.limits.max_parallel_jobs;
            doorbell.with_fargate(FargateRunner::new(&sdk, task, most, Arc::clone(&catalog), clock.clone()))
        }
        None => doorbell,
    };
    let app = App {
        catalog,
        storage,
        secrets: Arc::new(secrets),
        clock,
        ids: Arc::new(SystemIds),
        doorbell: Arc::new(doorbell),
        events: Arc::new(TracingEvents),
        key: Arc::new(key),
        toolbox: Arc::new(Toolbox::new(path()).with_distribution_folders()),
        identities: settings.identities.clone().into(),
        limits: Arc::new(settings.limits.clone()),
    };
    let owner = format!("lambda {} {}", function.name, SystemIds.ulid(app.now()));
    let guard = Guard::Keys(keys);
    Ok(Host::new(Parts { function, besides, app, settings, guard, owner, queue, gateway, staging }))
}

/// The environment, and Amazon's stores of secrets, which are asked only for what is named there.
fn secrets() -> Result<Chain> {
    let url = SecretsUrl::from_environment()?;
    let at = url.as_ref().map(|url| (url.endpoint.clone(), url.region.clone()));
    let (endpoint, region) = at.unwrap_or_default();
    Ok(Chain::before(Arc::new(AwsSecrets::new(endpoint, region)), url))
}

/// A table, and nothing else: no file of a function outlives its process.
async fn catalog() -> Result<Arc<dyn Catalog>> {
    match CatalogUrl::parse(&required("CATALOG_URL", "dynamodb://respaldo")?)? {
        CatalogUrl::Dynamodb(table) => {
            let (endpoint, region) = (table.endpoint.as_deref(), table.region.as_deref());
            Ok(Arc::new(Dynamo::open(&table.name, endpoint, region).await?))
        }
        CatalogUrl::Sqlite(_) => Err(refused("CATALOG_URL", "a file does not outlive a function's process")
            .with_mend("set it to a table: dynamodb://TABLE")),
    }
}

fn storage() -> Result<Storage> {
    let text = required("STORAGE_URL", "s3://BUCKET/PREFIX")?;
    if matches!(Url::parse("STORAGE_URL", &text)?.scheme.as_str(), "file" | "memory") {
        return Err(refused("STORAGE_URL", "what is stored there does not outlive a function's process")
            .with_mend("set it to a bucket: s3://BUCKET/PREFIX"));
    }
    storage::open(&text).map_err(|error| error.with_field("STORAGE_URL"))
}

/// Storage on S3 can lock what it holds. Whether its bucket does is seen when a backup is to be locked.
async fn with_locks(storage: Storage) -> Result<Storage> {
    let Some(bucket) = storage::bucket(&required("STORAGE_URL", "s3://BUCKET/PREFIX")?)? else {
        return Ok(storage);
    };
    let locks = S3Locks::open(bucket);
    Ok(storage.with_locks(Arc::new(locks.await)))
}

/// The queue that wakes a function for its kind of jobs; test restores are never done here.
fn queue_of(queues: &Queues, kind: WorkKind) -> Option<String> {
    match kind {
        WorkKind::Dump => queues.dump.clone(),
        WorkKind::Restore => queues.restore.clone(),
        WorkKind::Package => queues.package.clone(),
        WorkKind::Verify => None,
    }
}

fn staging() -> Result<PathBuf> {
    let temporary = environment::variable("TMPDIR")?.filter(|folder| !folder.is_empty());
    let folder = Path::new(temporary.as_deref().unwrap_or(TEMPORARY)).join("respaldo");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        let why = format!("{}: {error}", folder.display());
        Error::new(ErrorKind::Storage, "prepare the staging folder", why).with_field("TMPDIR")
    })?;
    Ok(folder)
}

fn required(name: &str, example: &str) -> Result<String> {
    let given = environment::variable(name)?.filter(|text| !text.is_empty());
    given.ok_or_else(|| refused(name, "it is not set").with_mend(format!("set it, e.g. {name}={example}")))
}

fn refused(field: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, OPERATION, why).with_field(field)
}
