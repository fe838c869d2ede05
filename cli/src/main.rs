//! `respaldo`: serve, be a client of a server, rescue, and look at what this machine has.
//!
//! This file only reads the command line; what is done stands where it belongs.

#![expect(clippy::doc_markdown, reason = "the doc comments of arguments are the help that people read")]

mod backup;
mod backups;
mod catalog;
mod client;
mod completions;
mod config;
mod databases;
mod doctor;
mod exit;
mod failure;
mod filter;
mod follow;
mod jobs;
mod logging;
mod packages;
mod remove;
mod rescue;
mod restore;
mod retention;
mod show;
mod verify;
mod worker;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use exit::Exit;
use respaldo_local_server::{Overrides, Settings, bind, run, secrets, stop_signal};

/// Backs up databases and proves that the backups restore.
#[derive(Debug, Parser)]
#[command(name = "respaldo", version, arg_required_else_help = true, after_long_help = exit::HELP)]
struct Cli {
    /// How log lines look; they go to stderr. RUST_LOG chooses which.
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API, runs schedules and makes backups.
    Serve(Serve),
    /// Takes jobs from the catalog, and from a queue, without serving the API: the ones that functions have no time for.
    Worker(worker::Worker),
    /// Lists, registers, changes, tests and removes databases of a running server.
    Databases(databases::Databases),
    /// Has a running server make backups now, and follows them.
    Backup(backup::Backup),
    /// Lists, shows, downloads and removes backups of a running server.
    Backups(backups::Backups),
    /// Restores a backup, undoes a restore, or confirms one: a client of a running server.
    Restore(Box<restore::Restore>),
    /// Has a running server restore a backup into a scratch server and compare.
    Verify(verify::Verify),
    /// Makes, lists, downloads and removes packages of backups on a running server.
    Packages(packages::Packages),
    /// Lists, shows, follows and cancels jobs of a running server.
    Jobs(jobs::Jobs),
    /// Shows what retention would remove on a running server, and has it removed.
    Retention(retention::Retention),
    /// Prints the completions of a shell.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Checks a configuration file, or applies it to a catalog.
    #[command(subcommand)]
    Config(config::Command),
    /// Lists, fetches and restores backups from storage alone: without catalog and server.
    #[command(subcommand)]
    Rescue(rescue::Command),
    /// Looks after the catalog.
    #[command(subcommand)]
    Catalog(catalog::Command),
    /// Says which engines' tools are here, their versions, and what this machine or a configuration lacks.
    Doctor {
        /// The configuration file; config.yaml of this folder, if there is one, when left out.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// The configuration file; config.yaml of this folder, if there is one, when left out.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on [environment: RESPALDO_LISTEN] [default: 127.0.0.1:8000].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The catalog [environment: CATALOG_URL] [default: sqlite://data/catalog.db].
    #[arg(long, value_name = "URL")]
    catalog: Option<String>,
    /// Where backups are stored [environment: STORAGE_URL] [default: file://data/backups].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
    /// The age identities that open encrypted backups [environment: RESPALDO_IDENTITY, the keys themselves].
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Backs up this database of the configuration file as soon as the server runs; may be repeated.
    #[arg(long, value_name = "ID")]
    backup_now: Vec<String>,
}

impl Command {
    /// Whether it is a part of the installation, which has secrets of its own, and no client.
    fn reads_secrets(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Worker(_)
                | Self::Config(_)
                | Self::Rescue(_)
                | Self::Catalog(_)
                | Self::Doctor { .. }
        )
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.log_format);
    match start(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("respaldo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("start the runtime")?;
    if command.reads_secrets() {
        runtime.block_on(async { secrets()?.fetch().await })?;
    }
    match command {
        Command::Serve(serve) => {
            runtime.block_on(serve.run())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Worker(it) => {
            runtime.block_on(it.run())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Databases(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Backup(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Backups(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Restore(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Verify(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Packages(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Jobs(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Retention(it) => Ok(ended(it.api.json, runtime.block_on(it.run()))),
        Command::Completions { shell } => {
            Ok(ended(false, completions::print(shell, &mut Cli::command()).map(|()| Exit::Done)))
        }
        Command::Config(command) => runtime.block_on(config::run(command)),
        Command::Rescue(command) => runtime.block_on(rescue::run(command)),
        Command::Catalog(command) => runtime.block_on(catalog::run(command)),
        Command::Doctor { config } => runtime.block_on(doctor::run(config.as_deref())),
    }
}

/// The exit code of a command that asked a server; what went wrong is told.
fn ended(as_json: bool, answer: failure::Answer) -> ExitCode {
    let exit = answer.unwrap_or_else(|failure| {
        failure.tell(as_json);
        failure.exit()
    });
    exit.into()
}

impl Serve {
    async fn run(self) -> anyhow::Result<()> {
        let Self { config, listen, catalog, storage, identity, backup_now } = self;
        let settings = Settings::load(&Overrides { config, listen, catalog, storage, identity, backup_now })?;
        let stop = stop_signal()?;
        let listener = bind(settings.listen).await?;
        Ok(Box::pin(run(settings, listener, stop)).await?)
    }
}

#[cfg(test)]
mod paper;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
