//! `respaldo catalog init`: the table of a catalog on DynamoDB. A catalog in a file needs none: its first use makes it.

use respaldo_adapters::catalog::{CatalogUrl, Table};
use respaldo_core::{Error, ErrorKind, Result};

const OPERATION: &str = "prepare the catalog's table";

/// Makes the table of a catalog, or adds what it lacks; with `dry_run` only says what would be done. One line for each
/// step, none when the table is complete.
///
/// # Errors
/// `Config` for a catalog that is no table, or where this build has none; whatever DynamoDB answers.
pub async fn init_catalog(url: &str, dry_run: bool) -> Result<Vec<String>> {
    match CatalogUrl::parse(url)? {
        CatalogUrl::Dynamodb(table) => prepare(&table, dry_run).await,
        CatalogUrl::Sqlite(_) => {
            let why = "a catalog in a file is made at its first use, there is nothing to prepare";
            Err(Error::new(ErrorKind::Config, OPERATION, why).with_field("catalog"))
        }
    }
}

#[cfg(feature = "aws")]
async fn prepare(table: &Table, dry_run: bool) -> Result<Vec<String>> {
    let (endpoint, region) = (table.endpoint.as_deref(), table.region.as_deref());
    let catalog = respaldo_aws::Dynamo::open(&table.name, endpoint, region).await?;
    if dry_run { catalog.plan_table().await } else { catalog.create_table().await }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
async fn prepare(_table: &Table, _dry_run: bool) -> Result<Vec<String>> {
    let why = crate::BUILD.catalogs.why_left_out("dynamodb").unwrap_or_default();
    Err(Error::new(ErrorKind::Config, OPERATION, why).with_field("catalog"))
}
