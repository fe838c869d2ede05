//! `respaldo catalog init`.

use std::process::ExitCode;

use clap::Args;

/// Needs rights that no function has: to make tables and change their settings. It may be run again at any time.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The catalog, dynamodb://TABLE?region=…&endpoint=… [environment: CATALOG_URL].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Init) -> anyhow::Result<ExitCode> {
    let catalog = super::setting(command.catalog, "prepare a catalog", "catalog", "CATALOG_URL")?;
    let steps = respaldo_local_server::init_catalog(&catalog, command.dry_run).await?;
    for step in &steps {
        println!("{step}");
    }
    if steps.is_empty() {
        println!("{catalog} is complete, nothing is to be done");
    } else if command.dry_run {
        println!("nothing was changed; to do it, leave out --dry-run");
    }
    Ok(ExitCode::SUCCESS)
}
