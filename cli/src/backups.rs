//! `respaldo backups`: lists, shows, downloads and removes backups.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use respaldo_core::model::JobId;
use serde_json::Value;

use crate::client::{Api, Client, Names, Query, Stored, Target, download};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::filter::{Filter, word};
use crate::remove::remove;
use crate::show::{Cell, Column, Show, card, document, note, print, size, table, text, time};

const FIRST: &[&str] = &[
    "id",
    "name",
    "database_id",
    "config_id",
    "engine",
    "kind",
    "status",
    "created_at",
    "started_at",
    "finished_at",
    "duration_seconds",
    "size_bytes",
    "raw_bytes",
    "compression",
    "encryption",
    "md5",
    "sha256",
    "location",
    "locked_until",
    "error",
    "verification",
];

const COLUMNS: &[Column] = &[
    Column::new("ID"),
    Column::new("DATABASE").shrinks(),
    Column::new("KIND").optional(),
    Column::new("STATUS"),
    Column::new("CREATED"),
    Column::new("SIZE").right(),
    Column::new("VERIFIED").optional(),
];

#[derive(Debug, Args)]
pub(crate) struct Backups {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists backups, newest first; what `respaldo backups` does by itself.
    List(List),
    /// Shows one backup.
    Show {
        #[arg(value_name = "BACKUP_ID")]
        id: JobId,
    },
    /// Downloads a backup's artifact, and compares its digest.
    Download(Download),
    /// Deletes backups: manifests, artifacts, records.
    Remove {
        #[arg(value_name = "BACKUP_ID", required = true)]
        ids: Vec<JobId>,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Sums over backups.
    Stats {
        /// Only this database's: a number, a config_id, or a name that only one has.
        #[arg(long, value_name = "DATABASE")]
        database: Option<String>,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Args)]
struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only backups of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Scheduled,
    Manual,
    Safety,
    Uploaded,
}

#[derive(Debug, Args)]
struct Download {
    #[arg(value_name = "BACKUP_ID")]
    id: JobId,
    /// The file to write, a folder, or - for standard output; the artifact's own name here when left out.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
}

impl Backups {
    pub(crate) async fn run(self) -> Answer {
        if self.verb.is_some() && self.list != List::default() {
            return Err(Failure::usage("backups", "conditions of the list go behind `list`, or stand alone"));
        }
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        match self.verb.unwrap_or(Verb::List(self.list)) {
            Verb::List(list) => list.run(&client, show).await,
            Verb::Show { id } => {
                let backup = client.get(&format!("/backups/{id}")).await?;
                show.either(&backup, || card(&backup, FIRST))?;
                Ok(Exit::Done)
            }
            Verb::Download(download) => download.run(&client, show).await,
            Verb::Remove { ids, yes } => remove(&client, "backups", &ids, yes, show).await,
            Verb::Stats { database } => stats(&client, database.as_deref(), show).await,
        }
    }
}

impl List {
    async fn run(self, client: &Client, show: Show) -> Answer {
        let kind = self.kind.as_ref().and_then(word);
        let query = self.filter.query(client).await?.with("kind", kind);
        let backups = client.list("/backups", &query, self.filter.limit()).await?;
        let lines = if show.json { String::new() } else { lines(client, &backups, show).await? };
        show.either(&Value::Array(backups), || lines)?;
        Ok(Exit::Done)
    }
}

async fn lines(client: &Client, backups: &[Value], show: Show) -> Answer<String> {
    if backups.is_empty() {
        note("no backups");
        return Ok(String::new());
    }
    let names = Names::read(client).await?;
    let row = |backup: &Value| -> Vec<Cell> {
        let verified = text(&backup["verification"], "status");
        vec![
            text(backup, "id").into(),
            names.of(&backup["database_id"]).into(),
            text(backup, "kind").into(),
            Cell::status(text(backup, "status")),
            time(&backup["created_at"]).into(),
            backup["size_bytes"].as_u64().map_or_else(|| "-".to_owned(), size).into(),
            if verified.is_empty() { "-".into() } else { Cell::status(verified) },
        ]
    };
    Ok(table(show, COLUMNS, &backups.iter().map(row).collect::<Vec<_>>()))
}

impl Download {
    async fn run(self, client: &Client, show: Show) -> Answer {
        let backup = client.get(&format!("/backups/{}", self.id)).await?;
        let what = format!("backup {}", self.id);
        let path = format!("/backups/{}/download", self.id);
        let stored = Stored::of(&what, &backup, "name", path)?;
        deliver(client, &stored, self.output, self.force, &backup, show).await
    }
}

/// Downloads a file and tells where it lies: for programs, the object that it belongs to.
pub(crate) async fn deliver(
    client: &Client,
    stored: &Stored,
    output: Option<PathBuf>,
    force: bool,
    object: &Value,
    show: Show,
) -> Answer {
    let target = Target::of(output.as_deref(), stored, force)?;
    if show.json && matches!(target, Target::Stdout) {
        return Err(Failure::usage("--json", "standard output takes the file: there is no room for JSON"));
    }
    let path = download(client, stored, target, show).await?;
    let told = format!("{}, SHA-256 {}", size(stored.size_bytes), stored.sha256);
    match path {
        Some(_) if show.json => document(object)?,
        Some(path) => print(&format!("{}: {told}\n", path.display()))?,
        None if show.quiet => {}
        None => note(&format!("standard output: {told}")),
    }
    Ok(Exit::Done)
}

async fn stats(client: &Client, database: Option<&str>, show: Show) -> Answer {
    let id = client.optional_database_id(database).await?;
    let stats =
        client.get(&format!("/backups/stats{}", Query::default().with("database_id", id).text())).await?;
    show.either(&stats, || card(&stats, &["total", "by_status", "size_bytes"]))?;
    Ok(Exit::Done)
}
