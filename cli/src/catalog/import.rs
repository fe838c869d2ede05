//! `respaldo catalog import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use respaldo_core::transfer::{Imported, Outcome};
use respaldo_local_server::ImportRequest;

/// Needs the master key of the installation that is moved: RESPALDO_MASTER_KEY (or _FILE), or its master.key in
/// the new catalog's folder. An import that was cut off goes on when it is begun again with the same file.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The new catalog, which must be absent or empty [environment: CATALOG_URL].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// The file that respaldo catalog export wrote.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(command: Import) -> anyhow::Result<ExitCode> {
    let Import { catalog, input, dry_run } = command;
    let catalog = super::setting(catalog, "import a catalog", "catalog", "CATALOG_URL")?;
    let request = ImportRequest { catalog, input, dry_run };
    conclude(&request, &respaldo_local_server::import(&request).await?);
    Ok(ExitCode::SUCCESS)
}

fn conclude(request: &ImportRequest, imported: &Imported) {
    let Imported { file, outcome, expired } = imported;
    println!(
        "{}: written at {} by Respaldo {} from {}",
        request.input.display(),
        file.exported_at,
        file.written_by,
        file.source
    );
    let (catalog, counts) = (&request.catalog, super::counted(&file.counts));
    match outcome {
        Outcome::Filled => println!("{catalog} holds {counts}"),
        Outcome::Before(at) => println!("{catalog} was filled from this file at {at}; nothing was written"),
        Outcome::Possible => {
            println!("{catalog} would hold {counts}; nothing was written; to do it, leave out --dry-run");
        }
    }
    if *expired > 0 {
        println!("{expired} claims have expired since the export and were left out");
    }
    if file.running > 0 {
        println!(
            "{} jobs were running at the export: make sure that the old host is stopped before the new one starts",
            file.running
        );
    }
}
