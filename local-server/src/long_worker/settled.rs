//! What a worker on a table goes by: the settings that `respaldo config apply` has written into the catalog, as the
//! functions do, and not a file of the machine that it runs on. The keys that open encrypted backups are this machine's
//! own: the path of a file says nothing elsewhere.

use std::sync::Arc;

use respaldo_adapters::catalog::CatalogUrl;
use respaldo_adapters::settings::{threads, with_environment};
use respaldo_core::config::stored;
use respaldo_core::{App, Result};

use crate::{BUILD, Settings};

/// Puts in the applied settings, where the catalog is a table and there are any.
///
/// # Errors
/// Whatever the catalog answers; `Config` for what this version, or this master key, cannot read.
pub(super) async fn settle(app: &mut App, settings: &Settings) -> Result<()> {
    if !matches!(settings.catalog, CatalogUrl::Dynamodb(_)) {
        return Ok(());
    }
    let Some(config) = stored::read(app.catalog.as_ref(), &app.key, BUILD).await? else { return Ok(()) };
    let config = with_environment(config)?;
    let staging = &settings.limits.staging;
    let mut limits = config.limits(staging.clone(), threads())?;
    // It was made for this machine, whatever suits the host that the file was written for.
    limits.staging.clone_from(staging);
    app.limits = Arc::new(limits);
    Ok(())
}
