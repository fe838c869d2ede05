//! `respaldo databases`: registers, shows, changes, tests and removes databases.

mod change;
mod fields;
mod login;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::client::{Api, Client, Names, Query};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::filter::word;
use crate::show::{
    Cell, Column, Show, agree, card, count, document, note, plain, print, size, table, text, time,
};

const FIRST: &[&str] = &[
    "id",
    "config_id",
    "name",
    "engine",
    "host",
    "port",
    "database_name",
    "schedule",
    "timezone",
    "next_run_at",
    "held_back",
    "enabled",
    "retention_days",
    "max_backups",
    "compression",
    "encryption",
];

const COLUMNS: &[Column] = &[
    Column::new("ID").right(),
    Column::new("NAME").shrinks(),
    Column::new("CONFIG ID").shrinks().optional(),
    Column::new("ENGINE"),
    Column::new("SCHEDULE").optional(),
    Column::new("NEXT RUN"),
    Column::new("STATE").shrinks(),
];

#[derive(Debug, Args)]
pub(crate) struct Databases {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists databases by number; what `respaldo databases` does by itself.
    List,
    /// Shows one database.
    Show {
        #[arg(value_name = "DATABASE")]
        database: String,
    },
    /// Registers a database: from options, or from a file of the API's fields.
    Add(Box<change::Add>),
    /// Changes a database: only the fields that are named.
    Edit(change::Edit),
    /// Connects to a database as a dump would, and says what was found; ends with 1 if it cannot be dumped.
    Test {
        #[arg(value_name = "DATABASE")]
        database: String,
    },
    /// Removes a database.
    Remove(Remove),
}

#[derive(Debug, Args)]
struct Remove {
    #[arg(value_name = "DATABASE")]
    database: String,
    /// What becomes of its backups; needed while it has some.
    #[arg(long, value_enum)]
    backups: Option<Fate>,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Fate {
    Keep,
    Delete,
}

impl Databases {
    pub(crate) async fn run(self) -> Answer {
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        match self.verb.unwrap_or(Verb::List) {
            Verb::List => list(&client, show).await,
            Verb::Show { database } => {
                let id = client.database_id(&database).await?;
                let database = client.get(&format!("/databases/{id}")).await?;
                show.either(&database, || card(&database, FIRST))?;
                Ok(Exit::Done)
            }
            Verb::Add(add) => add.run(&client, show).await,
            Verb::Edit(edit) => edit.run(&client, show).await,
            Verb::Test { database } => test(&client, &database, show).await,
            Verb::Remove(remove) => remove.run(&client, show).await,
        }
    }
}

async fn list(client: &Client, show: Show) -> Answer {
    let names = Names::read(client).await?;
    if names.all().is_empty() && !show.json {
        note("no databases; respaldo databases add registers one");
    }
    let rows: Vec<Vec<Cell>> = names.all().iter().map(row).collect();
    show.either(&json!(names.all()), || table(show, COLUMNS, &rows))?;
    Ok(Exit::Done)
}

fn row(database: &Value) -> Vec<Cell> {
    let or_dash = |field: &str| {
        let text = text(database, field);
        if text.is_empty() { "-".to_owned() } else { text }
    };
    let held_back = text(database, "held_back");
    let state = match (held_back.is_empty(), database["enabled"] == json!(false)) {
        (false, _) => format!("held back: {held_back}"),
        (true, true) => "disabled".to_owned(),
        (true, false) => "ready".to_owned(),
    };
    vec![
        plain(&database["id"].to_string()).into(),
        text(database, "name").into(),
        or_dash("config_id").into(),
        text(database, "engine").into(),
        or_dash("schedule").into(),
        time(&database["next_run_at"]).into(),
        state.into(),
    ]
}

async fn test(client: &Client, wanted: &str, show: Show) -> Answer {
    let id = client.database_id(wanted).await?;
    let found = client.post(&format!("/databases/{id}/test"), &json!({})).await?;
    let ok = found["ok"] == json!(true);
    show.either(&found, || if ok { told(&found) } else { String::new() })?;
    if !ok && !show.json {
        let error = &found["error"];
        note(&format!("respaldo: database {id} cannot be backed up: {}", text(error, "message")));
        let mend = text(error, "mend");
        if !mend.is_empty() {
            note(&format!("  to mend it: {mend}"));
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn told(found: &Value) -> String {
    let mut parts = vec!["ok".to_owned()];
    parts.extend(
        [text(found, "server_version"), text(found, "tool")].into_iter().filter(|part| !part.is_empty()),
    );
    parts.extend(found["size_bytes"].as_u64().map(size));
    format!("{}\n", parts.join(", "))
}

impl Remove {
    async fn run(self, client: &Client, show: Show) -> Answer {
        let id = client.database_id(&self.database).await?;
        let database = client.look(&format!("/databases/{id}"), json!({"id": id})).await?;
        let query = Query::default().with("database_id", Some(id));
        let stats = client.look(&format!("/backups/stats{}", query.text()), Value::Null).await?;
        let total = stats["total"].as_u64().unwrap_or(0);
        let bytes = size(stats["size_bytes"].as_u64().unwrap_or(0));
        let fate = match (total, self.backups) {
            _ if stats.is_null() => "the key may remove it, not look at it".to_owned(),
            (0, _) => "it has no backups".to_owned(),
            (_, Some(Fate::Keep)) => format!("its {} ({bytes}) stay", count(total, "backup")),
            (_, Some(Fate::Delete)) => format!("its {} ({bytes}) are DELETED", count(total, "backup")),
            (_, None) => {
                let detail = format!("it has {} ({bytes})", count(total, "backup"));
                return Err(Failure::usage("--backups", detail)
                    .with_mend("say what becomes of them: --backups keep or --backups delete"));
            }
        };
        let name = text(&database, "name");
        agree(&format!("Remove database {id} ({name})? {fate}."), self.yes)?;
        let query = Query::default().with("backups", self.backups.as_ref().and_then(word));
        client.delete(&format!("/databases/{id}{}", query.text())).await?;
        if show.json {
            document(&database)?;
        } else {
            print(&format!("Removed: database {id} ({name}); {fate}\n"))?;
        }
        Ok(Exit::Done)
    }
}
