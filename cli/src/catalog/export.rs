//! `respaldo catalog export`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use respaldo_local_server::ExportRequest;

/// Needs the installation's master key: RESPALDO_MASTER_KEY (or _FILE), or the file master.key in the catalog's
/// folder. The file holds hosts, names and sealed credentials: keep it as you keep the catalog.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The catalog [environment: CATALOG_URL].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// The file to write, which must not exist.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Goes on although a host is at work on the catalog.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(command: Export) -> anyhow::Result<ExitCode> {
    let Export { catalog, output, force } = command;
    let catalog = super::setting(catalog, "export a catalog", "catalog", "CATALOG_URL")?;
    let exported =
        respaldo_local_server::export(&ExportRequest { catalog, output: output.clone(), force }).await?;
    println!("{}: {}", output.display(), super::counted(&exported.counts));
    if exported.running > 0 {
        println!(
            "{} jobs were running: once their leases have run out, the new host takes them over; stop the old one \
             before",
            exported.running
        );
    }
    Ok(ExitCode::SUCCESS)
}
