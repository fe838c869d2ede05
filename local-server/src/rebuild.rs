//! A lost catalog is built anew, beside its place, and put there when it is whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::time::{SystemClock, SystemIds};
use respaldo_adapters::{environment, master_key, storage};
use respaldo_core::limits::ATTEMPTS;
use respaldo_core::ports::{Catalog, Clock as _};
use respaldo_core::rescue::Rescue;
use respaldo_core::rescue::rebuild::{Rebuild, Summary, Told};
use respaldo_core::{Error, ErrorKind, Result};
use respaldo_sqlite::SqliteCatalog;

const OPERATION: &str = "rebuild a catalog";

/// Which catalog, from which storage, and how.
#[derive(Debug, Clone)]
pub struct RebuildRequest {
    /// The storage's URL.
    pub storage: String,
    /// The catalog's URL.
    pub catalog: String,
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Go on although the key of the installation that filled storage is lost.
    pub without_key: bool,
}

/// Builds a catalog from storage alone. It appears in its place when it is whole; one that is there and not
/// empty is refused.
///
/// # Errors
/// `Conflict` for a catalog that is not empty, `Config` without a key, and whatever storage answers.
pub async fn rebuild(request: &RebuildRequest, tell: &mut (dyn FnMut(Told<'_>) + Send)) -> Result<Summary> {
    let file = file_of(&request.catalog)?;
    let key_file = file.with_file_name("master.key");
    let given = environment::secret("RESPALDO_MASTER_KEY")?;
    let key = master_key::find(given.as_ref(), Some(&key_file))?;
    let rescue = Rescue { storage: storage::open_existing(&request.storage)?, key: key.map(Arc::new) };
    let how = Rebuild { now: SystemClock.now(), attempts: ATTEMPTS, without_key: request.without_key };
    if fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0) {
        // An empty catalog may be in use already: it is filled where it stands.
        let catalog = SqliteCatalog::open(&file)?;
        let into = (!request.dry_run).then_some(&catalog as &dyn Catalog);
        if into.is_none() {
            respaldo_core::rescue::rebuild::refuse_filled(&catalog).await?;
        }
        return rescue.rebuild(into, how, tell).await.map_err(|e| half_filled(e, &file, into.is_some()));
    }
    if request.dry_run {
        return rescue.rebuild(None, how, tell).await;
    }
    // A catalog comes after its key, so that none ever stands without one.
    if rescue.key.is_some() || request.without_key {
        master_key::load(given.as_ref(), &key_file, false, &SystemIds)?;
    }
    let aside = Aside::beside(&file);
    aside.remove()?;
    let summary = {
        let catalog = SqliteCatalog::open(&aside.0)?;
        rescue.rebuild(Some(&catalog), how, tell).await?
    };
    aside.put(&file)?;
    Ok(summary)
}

/// A rebuild ends with the file in its place, whole or not at all, which a table cannot do.
fn file_of(url: &str) -> Result<PathBuf> {
    match CatalogUrl::parse(url)? {
        CatalogUrl::Sqlite(file) => Ok(file),
        CatalogUrl::Dynamodb(_) => {
            Err(Error::new(ErrorKind::Config, OPERATION, "a catalog is rebuilt into a file: sqlite://FILE")
                .with_field("catalog")
                .with_mend("rebuild into a file; respaldo catalog export and import take it into the table"))
        }
    }
}

/// A catalog that is being built, with its log.
struct Aside(PathBuf);

impl Aside {
    fn beside(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".rebuilding");
        Self(PathBuf::from(name))
    }

    fn companion(&self, end: &str) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    }

    /// Removes what an earlier rebuild left that did not end.
    fn remove(&self) -> Result<()> {
        for path in [self.0.clone(), self.companion("-wal"), self.companion("-shm")] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(&path, &e)),
                _ => {}
            }
        }
        Ok(())
    }

    fn put(&self, file: &Path) -> Result<()> {
        // Its last connection, closed, has brought the log into the file.
        if self.companion("-wal").exists() {
            let why = format!("{} is still in use", self.0.display());
            return Err(Error::new(ErrorKind::Storage, OPERATION, why));
        }
        // A link, unlike a rename, replaces nothing.
        fs::hard_link(&self.0, file).map_err(|e| unwritable(file, &e))?;
        self.remove()?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| unwritable(file, &e))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What cannot be removed now, the next rebuild removes.
        let _left = self.remove();
    }
}

fn half_filled(error: Error, file: &Path, written: bool) -> Error {
    if !written || matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Config) {
        return error;
    }
    let mend = format!("{} is filled in part: remove it before the next try", file.display());
    error.with_mend(mend)
}

fn unwritable(file: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, OPERATION, format!("{}: {error}", file.display()))
}
