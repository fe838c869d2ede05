//! `respaldo jobs`: lists, shows, follows and cancels jobs.

use std::time::Duration;

use clap::{Args, Subcommand};
use respaldo_core::model::JobId;
use serde_json::{Value, json};

use crate::client::{Api, Client, Names};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::filter::Filter;
use crate::follow::{Followed, exit_of, log_line, new_lines, to_the_end};
use crate::show::{Cell, Column, Show, card, document, duration, note, print_while_read, table, text, time};

const FIRST: &[&str] = &[
    "id",
    "kind",
    "status",
    "database_id",
    "created_at",
    "started_at",
    "finished_at",
    "duration_seconds",
    "step",
    "steps",
    "progress",
    "attempts",
    "max_attempts",
    "retry_at",
    "cancel_requested",
    "error",
    "result",
];

const COLUMNS: &[Column] = &[
    Column::new("ID"),
    Column::new("KIND"),
    Column::new("DATABASE").shrinks(),
    Column::new("STATUS"),
    Column::new("CREATED"),
    Column::new("TOOK").right().optional(),
];

/// While a log is followed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: Filter,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists jobs, newest first; what `respaldo jobs` does by itself.
    List(Filter),
    /// Shows one job.
    Show {
        #[arg(value_name = "JOB_ID")]
        id: JobId,
    },
    /// Prints a job's log.
    Log {
        #[arg(value_name = "JOB_ID")]
        id: JobId,
        /// Goes on until the job has ended.
        #[arg(long, short)]
        follow: bool,
    },
    /// Asks a job to stop.
    Cancel {
        #[arg(value_name = "JOB_ID")]
        id: JobId,
    },
    /// Follows a job until it has ended; the exit code says how.
    Follow {
        #[arg(value_name = "JOB_ID")]
        id: JobId,
    },
}

impl Jobs {
    pub(crate) async fn run(self) -> Answer {
        if self.verb.is_some() && self.list != Filter::default() {
            return Err(Failure::usage("jobs", "conditions of the list go behind `list`, or stand alone"));
        }
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        match self.verb.unwrap_or(Verb::List(self.list)) {
            Verb::List(filter) => list(&client, &filter, show).await,
            Verb::Show { id } => {
                let job = client.get(&format!("/jobs/{id}")).await?;
                show.either(&job, || card(&job, FIRST))?;
                Ok(Exit::Done)
            }
            Verb::Log { id, follow } => log(&client, id, follow, show).await,
            Verb::Cancel { id } => cancel(&client, id, show).await,
            Verb::Follow { id } => {
                let job = to_the_end(&client, Followed::new(id.to_string()), show).await?;
                show.either(&job, || ended(&job))?;
                Ok(exit_of("job", &job, show))
            }
        }
    }
}

async fn list(client: &Client, filter: &Filter, show: Show) -> Answer {
    let jobs = client.list("/jobs", &filter.query(client).await?, filter.limit()).await?;
    let lines = if show.json { String::new() } else { lines(client, &jobs, show).await? };
    show.either(&Value::Array(jobs), || lines)?;
    Ok(Exit::Done)
}

async fn lines(client: &Client, jobs: &[Value], show: Show) -> Answer<String> {
    if jobs.is_empty() {
        note("no jobs");
        return Ok(String::new());
    }
    let names = Names::read(client).await?;
    let row = |job: &Value| -> Vec<Cell> {
        let database = &job["database_id"];
        vec![
            text(job, "id").into(),
            text(job, "kind").into(),
            if database.is_null() { "-".to_owned() } else { names.of(database) }.into(),
            Cell::status(text(job, "status")),
            time(&job["created_at"]).into(),
            job["duration_seconds"].as_f64().map_or_else(|| "-".to_owned(), duration).into(),
        ]
    };
    Ok(table(show, COLUMNS, &jobs.iter().map(row).collect::<Vec<_>>()))
}

/// The log is what was asked for: it goes to standard output. Its exit code tells nothing of the job.
async fn log(client: &Client, id: JobId, follow: bool, show: Show) -> Answer {
    let path = format!("/jobs/{id}");
    let mut seen = 0;
    loop {
        // The job before its log: whatever an ended job wrote is then in the log.
        let job = client.get(&path).await?;
        let goes_on = follow && matches!(job["status"].as_str(), Some("queued" | "running"));
        if show.json && !goes_on {
            let mut lines = Vec::new();
            new_lines(client, &id.to_string(), &mut seen, &mut |line| lines.push(line.clone())).await?;
            document(&json!(lines))?;
        }
        let read = show.json || print_lines(client, &id.to_string(), &mut seen).await?;
        if !goes_on || !read {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Answers whether anybody reads them.
async fn print_lines(client: &Client, id: &str, seen: &mut u64) -> Answer<bool> {
    let mut lines = String::new();
    let mut take = |line: &Value| lines.push_str(&format!("{}  {}\n", time(&line["at"]), log_line(line)));
    new_lines(client, id, seen, &mut take).await?;
    print_while_read(&lines)
}

async fn cancel(client: &Client, id: JobId, show: Show) -> Answer {
    let job = client.post(&format!("/jobs/{id}/cancel"), &json!({})).await?;
    show.either(&job, || match job["status"].as_str() {
        Some("cancelled") => format!("Cancelled: job {id}\n"),
        Some("queued" | "running") => {
            format!("Told to stop: job {id}; respaldo jobs follow {id} waits for it\n")
        }
        _ => ended(&job),
    })?;
    Ok(Exit::Done)
}

fn ended(job: &Value) -> String {
    format!("Job {} is {}\n", text(job, "id"), text(job, "status"))
}
