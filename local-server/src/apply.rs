//! `respaldo config apply`: a file becomes the installation's databases and settings, in its catalog.
//!
//! It is the only way on hosts that have no file, such as Lambda functions. A local server goes on reading its
//! own file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::master_key;
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_core::config::stored::{self, Change, Sections};
use respaldo_core::config::{self, Config, Previewed};
use respaldo_core::keyring::MasterKey;
use respaldo_core::ports::{Catalog, Clock as _, Ids as _};
use respaldo_core::{Error, ErrorKind, Result, transfer};
use respaldo_sqlite::SqliteCatalog;

use crate::settings::{BUILD, CONFIG_FILE, LISTEN};
use crate::{Installation, Overrides, Settings, open_catalog};

/// What the environment may give in place of the file's `global`.
const DEFAULTS: [&str; 2] = ["timezone", "retention_days"];

/// Which file, into which catalog, and how.
#[derive(Debug, Clone, Default)]
pub struct ApplyRequest {
    /// The file; none: `config.yaml` of this folder.
    pub config: Option<PathBuf>,
    /// The catalog's URL, where it is given.
    pub catalog: Option<String>,
    /// The storage's URL, where it is given.
    pub storage: Option<String>,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What is shown of an application before it is made.
#[derive(Debug)]
pub struct Shown {
    /// The catalog, for people to read.
    pub catalog: String,
    /// The storage.
    pub storage: String,
    /// One step for each database of the file and each that left it.
    pub databases: Vec<Previewed>,
    /// What becomes of the settings.
    pub settings: Change,
}

impl Shown {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        let unchanged = |step: &Previewed| step.action == config::sync::Action::Unchanged;
        matches!(self.settings, Change::Unchanged { .. }) && self.databases.iter().all(unchanged)
    }
}

/// Plans, has the plan shown, and carries it out unless only the plan was asked for. All of the file is
/// validated before anything is written.
///
/// # Errors
/// `Config` for a file that cannot be, `Conflict` when the catalog keeps changing meanwhile.
pub async fn apply(request: &ApplyRequest, show: &mut (dyn FnMut(&Shown) + Send)) -> Result<()> {
    let file = request.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_FILE));
    let text = read(&file)?;
    let overrides = Overrides {
        config: Some(file.clone()),
        // Nobody listens here: whether a server might is not asked.
        listen: Some(LISTEN),
        catalog: request.catalog.clone(),
        storage: request.storage.clone(),
        ..Overrides::default()
    };
    let settings = Settings::load(&overrides)?;
    let sections = sections(&file, &text, &settings.config)?;
    let shown = {
        let (catalog, key) = open_to_look(&settings).await?;
        transfer::refuse_unfinished(&*catalog).await?;
        let now = SystemClock.now();
        Shown {
            catalog: settings.catalog.to_string(),
            storage: settings.storage.clone(),
            databases: config::preview(&*catalog, &settings.limits, now, &settings.config).await?,
            settings: stored::compare(&*catalog, &key, &sections).await?,
        }
    };
    show(&shown);
    if request.dry_run || shown.is_empty() {
        return Ok(());
    }
    let app = Installation::open(&settings).await?.app;
    config::apply(&app, &settings.config).await?;
    // Databases that were merged once are unchanged the next time, so a failure here is mended by doing it again.
    stored::write(&app, &sections).await.map_err(|error| error.within("keep the settings"))?;
    Ok(())
}

fn read(file: &Path) -> Result<String> {
    let failed =
        |why: String| Error::new(ErrorKind::Config, "read the configuration", why).with_field("config");
    let bytes = fs::read(file).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    String::from_utf8(bytes).map_err(|_| failed(format!("{}: the file is not UTF-8", file.display())))
}

/// The file's sections, with what the environment said where `global` did not.
fn sections(file: &Path, text: &str, config: &Config) -> Result<Sections> {
    let mut sections = Sections::of(&file.display().to_string(), text, BUILD)?;
    for field in DEFAULTS {
        if let Some(value) = config.global.settings.get(field) {
            sections = sections.with_default(field, value);
        }
    }
    Ok(sections)
}

/// The catalog to compare with. One that is not there yet is not made for that, nor is its key.
async fn open_to_look(settings: &Settings) -> Result<(Arc<dyn Catalog>, MasterKey)> {
    if let CatalogUrl::Sqlite(file) = &settings.catalog
        && fs::metadata(file).map_or(true, |metadata| metadata.len() == 0)
    {
        let key_file = settings.data().join("master.key");
        let key = master_key::find(settings.master_key.as_ref(), Some(&key_file))?;
        return Ok((Arc::new(SqliteCatalog::open_in_memory()?), key.unwrap_or_else(any_key)));
    }
    open_catalog(&settings.catalog, settings.master_key.as_ref()).await
}

/// An empty catalog has nothing that a key must open.
fn any_key() -> MasterKey {
    let mut random = [0; 32];
    SystemIds.random(&mut random);
    MasterKey::generate(random)
}
