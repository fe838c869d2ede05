//! `respaldo catalog export` and `import`: the file's own side, its place, its mode and its key.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::time::SystemClock;
use respaldo_adapters::{environment, master_key};
use respaldo_core::keyring::MasterKey;
use respaldo_core::ports::{Catalog, Clock as _, SecretString};
use respaldo_core::transfer::{self, Export, Exported, Import, Imported};
use respaldo_core::{Error, ErrorKind, Result};
use respaldo_sqlite::SqliteCatalog;

use crate::open_catalog;

const EXPORT: &str = "export a catalog";
const IMPORT: &str = "import a catalog";
const KEY: &str = "RESPALDO_MASTER_KEY";

/// Which catalog, and into which file.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// The catalog's URL.
    pub catalog: String,
    /// The file, which must not exist.
    pub output: PathBuf,
    /// Go on although a host is at work on the catalog.
    pub force: bool,
}

/// From which file, and into which catalog.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The new catalog's URL.
    pub catalog: String,
    /// The file.
    pub input: PathBuf,
    /// Only look whether it could be done.
    pub dry_run: bool,
}

/// Writes everything that the catalog knows into a new file, which only its owner may read. The file appears
/// when it is whole, and has been read back.
///
/// # Errors
/// `NotFound` without a catalog, `Conflict` when the file exists or a host is at work.
pub async fn export(request: &ExportRequest) -> Result<Exported> {
    let url = CatalogUrl::parse(&request.catalog)?;
    if fs::symlink_metadata(&request.output).is_ok() {
        let why = format!("{} is there already", request.output.display());
        return Err(Error::conflict(EXPORT, why)
            .with_field("output")
            .with_mend("name a file that is not there"));
    }
    if let CatalogUrl::Sqlite(file) = &url
        && is_absent(file)
    {
        return Err(Error::not_found("catalog", file.display()).with_field("catalog"));
    }
    let (catalog, key) = open_catalog(&url, given()?.as_ref()).await?;
    catalog.check().await?;
    let aside = Aside::beside(&request.output);
    let file = aside.create()?;
    let mut out = BufWriter::new(file);
    let how = Export { key: &key, source: url.to_string(), now: SystemClock.now(), force: request.force };
    let exported = transfer::export(&*catalog, how, &mut out).await?;
    let mut file = out.into_inner().map_err(|error| unusable(EXPORT, &aside.0, error.error()))?;
    file.rewind().map_err(|error| unusable(EXPORT, &aside.0, &error))?;
    // Once the old catalog is gone, it is too late to learn that this file is none.
    transfer::inspect(&mut BufReader::new(&file), &key).map_err(|error| error.within("read it back"))?;
    aside.put(&file, &request.output)?;
    Ok(exported)
}

/// Fills a new catalog with what such a file holds. The file is proven whole before anything is made.
///
/// # Errors
/// `Config` without the installation's master key, `Corrupt` for a file that was cut or changed, `Conflict` for
/// a catalog with content.
pub async fn import(request: &ImportRequest) -> Result<Imported> {
    let url = CatalogUrl::parse(&request.catalog)?;
    let given = given()?;
    let key = key(&url, given.as_ref())?;
    let file = File::open(&request.input)
        .map_err(|error| unusable(IMPORT, &request.input, &error).with_field("input"))?;
    let mut input = BufReader::new(file);
    transfer::inspect(&mut input, &key)?;
    input.rewind().map_err(|error| unusable(IMPORT, &request.input, &error))?;
    let how = Import { key: &key, now: SystemClock.now(), dry_run: request.dry_run };
    let catalog: Arc<dyn Catalog> = match &url {
        CatalogUrl::Sqlite(file) if request.dry_run && is_absent(file) => {
            Arc::new(SqliteCatalog::open_in_memory()?)
        }
        _ => open_catalog(&url, given.as_ref()).await?.0,
    };
    if !request.dry_run {
        catalog.check().await?;
    }
    transfer::import(&*catalog, how, &mut input).await
}

fn given() -> Result<Option<SecretString>> {
    environment::secret(KEY)
}

/// The key that is there. None is made: another would open nothing of what is imported.
fn key(url: &CatalogUrl, given: Option<&SecretString>) -> Result<MasterKey> {
    let file = url.data().join("master.key");
    let beside = matches!(url, CatalogUrl::Sqlite(_)).then_some(file.as_path());
    master_key::find(given, beside)?.ok_or_else(|| {
        let mend = match beside {
            Some(file) => format!("bring the old installation's key to {}, or set {KEY}", file.display()),
            None => format!("set {KEY} to the old installation's key (the text of its master.key)"),
        };
        Error::new(ErrorKind::Config, IMPORT, "the master key of the installation that is moved is missing")
            .with_field(KEY)
            .with_mend(mend)
    })
}

fn is_absent(file: &Path) -> bool {
    !fs::metadata(file).is_ok_and(|metadata| metadata.len() > 0)
}

/// A file that is being written; removed unless it was put into its place.
struct Aside(PathBuf);

impl Aside {
    fn beside(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".partial");
        Self(PathBuf::from(name))
    }

    fn create(&self) -> Result<File> {
        // What an earlier export left that was killed.
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unusable(EXPORT, &self.0, &error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.0)
            .map_err(|error| unusable(EXPORT, &self.0, &error).with_field("output"))
    }

    fn put(&self, mut file: &File, output: &Path) -> Result<()> {
        let folder =
            output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A link, unlike a rename, replaces nothing.
        file.flush()
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&self.0, output))
            .and_then(|()| File::open(folder)?.sync_all())
            .map_err(|error| unusable(EXPORT, output, &error).with_field("output"))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What cannot be removed now, the next export to this file removes.
        let _left = fs::remove_file(&self.0);
    }
}

fn unusable(operation: &str, file: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, operation, format!("{}: {error}", file.display()))
}
