//! `respaldo config`: a configuration file is checked, or applied to a catalog.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use respaldo_core::config::stored::Change;
use respaldo_core::config::sync::Action;
use respaldo_core::config::{Config, Previewed};
use respaldo_core::redact::escape_controls;
use respaldo_local_server::{ApplyRequest, BUILD, Shown, apply};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Checks a file, and says what it holds or what is wrong with it.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Merges a file's databases into a catalog, and keeps its other settings there for hosts without a file.
    Apply(Apply),
}

/// Needs the installation's master key: RESPALDO_MASTER_KEY (or _FILE), or the file master.key in the catalog's
/// folder.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The configuration file [default: config.yaml of this folder].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The catalog [environment: CATALOG_URL] [default: the file's, else sqlite://data/catalog.db].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Where backups are stored [environment: STORAGE_URL] [default: the file's, else file://data/backups].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { file } => check(&file)?,
        Command::Apply(Apply { config, catalog, storage, dry_run }) => {
            let request = ApplyRequest { config, catalog, storage, dry_run };
            let mut nothing = false;
            let mut told = |shown: &_| {
                nothing = Shown::is_empty(shown);
                show(shown);
            };
            Box::pin(apply(&request, &mut told)).await?;
            match (nothing, dry_run) {
                (true, _) => println!("nothing has changed; nothing was written"),
                (false, true) => println!("nothing was written; to do it, leave out --dry-run"),
                (false, false) => println!("applied"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(file: &Path) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| format!("read {name}"))?;
    let config = Config::parse_named(&name, &text, BUILD)?;
    println!("{name}: no errors; {} databases", config.databases.len());
    if let Some(file) = &config.identity_file {
        println!("  identities that open encrypted backups: {file} (respaldo doctor reads it)");
    }
    for entry in &config.databases {
        let shown = |field: &str| entry.settings.get(field).and_then(|value| value.as_str()).unwrap_or("-");
        println!("  {} ({}, schedule {})", entry.config_id, shown("engine"), shown("schedule"));
    }
    Ok(())
}

fn show(shown: &Shown) {
    println!("catalog {}, storage {}", shown.catalog, shown.storage);
    let changes = shown.databases.iter().filter(|step| step.action != Action::Unchanged);
    for step in changes {
        println!("{}", escape_controls(&format!("  {}", told(step))));
    }
    let unchanged = shown.databases.iter().filter(|step| step.action == Action::Unchanged).count();
    if unchanged > 0 {
        println!("  {unchanged} databases stay as they are");
    }
    match &shown.settings {
        Change::New => println!("  settings: new in this catalog"),
        Change::Changed(sections) => println!("  settings: change: {}", sections.join(", ")),
        Change::Unchanged { written_at } => println!("  settings: as they were applied at {written_at}"),
    }
}

fn told(step: &Previewed) -> String {
    let Previewed { config_id, database_id, action, reason } = step;
    let number = database_id.map(|id| format!(" (database {id})")).unwrap_or_default();
    let what = match action {
        Action::Create => "create".to_owned(),
        Action::Update { changed, .. } if changed.is_empty() => "keep".to_owned(),
        Action::Update { changed, overridden } if overridden.is_empty() => {
            format!("change {}", changed.join(", "))
        }
        Action::Update { changed, overridden } => {
            format!("change {}, over what the API had changed: {}", changed.join(", "), overridden.join(", "))
        }
        Action::Disable => "disable".to_owned(),
        Action::Reenable { changed } => format!("enable again, change {}", changed.join(", ")),
        Action::Unchanged => "leave".to_owned(),
    };
    format!("{config_id}{number}: {what}: {reason}")
}
