//! `respaldo catalog`: what is done to a catalog as a whole.

mod export;
mod import;
mod init;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use respaldo_adapters::environment;
use respaldo_core::redact::escape_controls;
use respaldo_core::rescue::rebuild::{CredentialsFate, Rebuilt, Summary, Told};
use respaldo_core::transfer::Counts;
use respaldo_core::{Error, ErrorKind, Result};
use respaldo_local_server::{RebuildRequest, rebuild};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes the table of a catalog on DynamoDB, or adds what it lacks.
    Init(init::Init),
    /// Builds a new catalog from storage alone: databases, policies, and every whole backup.
    Rebuild(Rebuild),
    /// Writes everything that a catalog knows into a file, to move it to another host.
    Export(export::Export),
    /// Fills a new catalog, of any kind, with such a file.
    Import(import::Import),
}

/// Needs the master key of the installation that filled storage: RESPALDO_MASTER_KEY (or _FILE), or the file
/// master.key in the folder of the new catalog.
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// The storage, e.g. file:///srv/backups or s3://BUCKET/PREFIX [environment: STORAGE_URL].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// The new catalog, which must be absent or empty [environment: CATALOG_URL].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Goes on although the key is lost: signatures are not checked, and sealed credentials are left out.
    #[arg(long)]
    without_key: bool,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(command) => init::run(command).await,
        Command::Rebuild(command) => rebuilt(command).await,
        Command::Export(command) => export::run(command).await,
        Command::Import(command) => import::run(command).await,
    }
}

async fn rebuilt(command: Rebuild) -> anyhow::Result<ExitCode> {
    const OPERATION: &str = "rebuild a catalog";
    let request = RebuildRequest {
        storage: setting(command.storage, OPERATION, "storage", "STORAGE_URL")?,
        catalog: setting(command.catalog, OPERATION, "catalog", "CATALOG_URL")?,
        dry_run: command.dry_run,
        without_key: command.without_key,
    };
    let summary = rebuild(&request, &mut |told| show(&told)).await?;
    conclude(&request, &summary);
    Ok(ExitCode::SUCCESS)
}

fn setting(flag: Option<String>, operation: &str, field: &str, variable: &str) -> Result<String> {
    let given = match flag {
        Some(text) => Some(text),
        None => environment::variable(variable)?.filter(|text| !text.is_empty()),
    };
    given.ok_or_else(|| {
        Error::new(ErrorKind::Config, operation, "it is not given")
            .with_field(field)
            .with_mend(format!("give --{field} URL, or set {variable}"))
    })
}

/// What a catalog holds, in words.
fn counted(counts: &Counts) -> String {
    let Counts { databases, jobs, log_lines, claims, documents } = counts;
    format!(
        "{databases} databases, {jobs} jobs with {log_lines} lines of logs, {claims} claims, {documents} documents"
    )
}

fn show(told: &Told<'_>) {
    let line = match told {
        Told::Database(rebuilt) => database(rebuilt),
        Told::Left { what, reason } => format!("left aside: {what}: {reason}"),
    };
    println!("{}", escape_controls(&line));
}

fn database(rebuilt: &Rebuilt) -> String {
    let Rebuilt { database, adopted, credentials, notes, .. } = rebuilt;
    let settings = &database.settings;
    // Without the key no signature was checked: where passwords would be sent is for a person to look at.
    let server = match (&settings.host, settings.port) {
        (Some(host), Some(port)) => format!(" at {host}:{port}"),
        (Some(host), None) => format!(" at {host}"),
        _ => String::new(),
    };
    let login = match credentials {
        CredentialsFate::Kept => "",
        CredentialsFate::Open => ", sealed credentials open",
        CredentialsFate::Needed => ", credentials needed",
    };
    let state = if settings.enabled { "" } else { ", disabled" };
    let mut line = format!(
        "database {}: {} ({} {}{server}): {adopted} backups{login}{state}",
        database.id, settings.name, settings.engine, settings.database_name
    );
    for note in notes {
        line += "; ";
        line += note;
    }
    line
}

fn conclude(request: &RebuildRequest, summary: &Summary) {
    let Summary { databases, backups, size_bytes, left, litter, credentials_needed, foreign } = summary;
    let would = if request.dry_run { "would hold" } else { "holds" };
    println!(
        "{} {would} {databases} databases and {backups} backups ({size_bytes} bytes); {left} left aside; {litter} \
         unfinished attempts and objects that are not Respaldo's, untouched",
        request.catalog
    );
    if *credentials_needed > 0 {
        println!("{credentials_needed} databases need their credentials again: PATCH /databases/ID");
    }
    if *foreign > 0 {
        println!(
            "{foreign} backups are signed by another key: if this is not the key that they were made with, give \
             that one; if it is lost, add --without-key"
        );
    }
    if request.dry_run {
        println!("nothing was written; to do it, leave out --dry-run");
    }
}
