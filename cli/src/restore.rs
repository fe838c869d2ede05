//! `respaldo restore`: shows the plan, asks, and follows the restore to its end.

mod plan;

use clap::{ArgGroup, Args, ValueEnum};
use respaldo_core::model::JobId;
use serde_json::{Map, Value, json};

use crate::client::{Api, Client};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::follow::{Followed, exit_of, to_the_end};
use crate::show::{Show, agree, document, note, plain, print, text};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct Restore {
    /// The backup to restore.
    #[arg(group = "what", value_name = "BACKUP_ID")]
    backup: Option<JobId>,
    /// Undoes this restore.
    #[arg(long, group = "what", value_name = "JOB_ID")]
    undo: Option<JobId>,
    /// Lets go what would undo this restore.
    #[arg(long, group = "what", value_name = "JOB_ID")]
    confirm: Option<JobId>,
    #[command(flatten)]
    choice: Choice,
    /// Ends connections that are in the way, and goes on where a refusal may be overruled.
    #[arg(long, conflicts_with = "confirm")]
    force: bool,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// Prints the id of the job and ends as soon as it is queued.
    #[arg(long, alias = "no-wait")]
    detach: bool,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// What may be chosen of a restore, and of nothing else.
#[derive(Debug, Args)]
struct Choice {
    /// Into this registered database: a number, a config_id, or a name that only one has.
    #[arg(long, value_name = "DATABASE", conflicts_with_all = ["to_name", "undo", "confirm"])]
    to_database: Option<String>,
    /// Into a database of this name, which is made on the server that the backup came from.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["undo", "confirm"])]
    to_name: Option<String>,
    /// How; the better one that the target allows when left out.
    #[arg(long, value_enum, conflicts_with_all = ["undo", "confirm"])]
    mode: Option<Mode>,
    /// Only these tables (public.orders) or schemas (sales.*).
    #[arg(long, value_delimiter = ',', value_name = "NAMES", conflicts_with_all = ["undo", "confirm"])]
    tables: Vec<String>,
    /// What becomes of the dump's owners and grants; keep when left out.
    #[arg(long, value_enum, conflicts_with_all = ["undo", "confirm"])]
    ownership: Option<Ownership>,
    /// Makes no backup of what is there now.
    #[arg(long, conflicts_with_all = ["undo", "confirm"])]
    no_safety_backup: bool,
    /// Shows the plan and does nothing; ends with 1 if it cannot be carried out.
    #[arg(long, conflicts_with_all = ["undo", "confirm", "yes"])]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Loaded aside, checked, and exchanged in one step.
    Swap,
    /// Into the target, whose objects are dropped.
    #[value(alias = "in_place")]
    InPlace,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Ownership {
    Keep,
    None,
}

impl Restore {
    pub(crate) async fn run(self) -> Answer {
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        let (path, body, question) = match (self.backup, self.undo, self.confirm) {
            (Some(backup), ..) => {
                let path = format!("/backups/{backup}/restore");
                let body = self.body(&client).await?;
                match self.show_plan(&client, &path, &body, show).await? {
                    Shown::Possible(_) if self.choice.dry_run => return Ok(Exit::Done),
                    Shown::Possible(target) => (path, body, format!("Restore into {target}?")),
                    Shown::Refused => return Ok(Exit::Failed),
                }
            }
            (None, Some(of), _) => {
                let job = client.get(&format!("/jobs/{of}")).await?;
                (format!("/jobs/{of}/undo"), json!({"force": self.force}), plan::undo_question(&job))
            }
            (None, None, Some(of)) => {
                let job = client.get(&format!("/jobs/{of}")).await?;
                (format!("/jobs/{of}/confirm"), json!({}), plan::confirm_question(&job))
            }
            (None, None, None) => {
                return Err(Failure::usage(
                    "restore",
                    "name a backup, or a restore with --undo or --confirm",
                ));
            }
        };
        agree(&question, self.yes)?;
        let job = client.post(&path, &body).await?;
        self.follow(&client, &job, show).await
    }

    /// What the API is asked for.
    async fn body(&self, client: &Client) -> Answer<Value> {
        let choice = &self.choice;
        let mut body = Map::new();
        let into = client.optional_database_id(choice.to_database.as_deref()).await?;
        let target = match (into, &choice.to_name) {
            (Some(id), _) => Some(json!({"database_id": id})),
            (None, name) => name.as_ref().map(|name| json!({"database_name": name})),
        };
        body.extend(target.map(|target| ("target".to_owned(), target)));
        let mode = choice.mode.map(|mode| match mode {
            Mode::Swap => "swap",
            Mode::InPlace => "in_place",
        });
        body.extend(mode.map(|mode| ("mode".to_owned(), json!(mode))));
        let ownership = choice.ownership.map(|ownership| match ownership {
            Ownership::Keep => "keep",
            Ownership::None => "none",
        });
        body.extend(ownership.map(|ownership| ("ownership".to_owned(), json!(ownership))));
        body.insert("tables".to_owned(), json!(choice.tables));
        body.insert("safety_backup".to_owned(), json!(!choice.no_safety_backup));
        body.insert("force".to_owned(), json!(self.force));
        Ok(Value::Object(body))
    }

    async fn show_plan(&self, client: &Client, path: &str, body: &Value, show: Show) -> Answer<Shown> {
        let mut body = body.clone();
        body["dry_run"] = json!(true);
        let plan = client.post(path, &body).await?;
        if self.choice.dry_run {
            show.either(&plan, || plan::lines(&plan))?;
        } else if !(show.quiet && self.yes) {
            note(plan::lines(&plan).trim_end());
        }
        if plan["possible"] == json!(true) {
            return Ok(Shown::Possible(text(&plan["target"], "database_name")));
        }
        note("respaldo: this cannot be done as asked; see what is in the way");
        Ok(Shown::Refused)
    }

    async fn follow(&self, client: &Client, queued: &Value, show: Show) -> Answer {
        let id = text(queued, "id");
        if self.detach {
            show.either(queued, || format!("{id}\n"))?;
            return Ok(Exit::Done);
        }
        let job = to_the_end(client, Followed::new(&id), show).await?;
        if show.json {
            document(&job)?;
        }
        let exit = exit_of("job", &job, show);
        if exit == Exit::Done && !show.json {
            print(&success(&job))?;
        }
        Ok(exit)
    }
}

/// What came of showing a plan.
enum Shown {
    /// It may be carried out, into this target.
    Possible(String),
    /// Something stands in its way.
    Refused,
}

fn success(job: &Value) -> String {
    let result = &job["result"];
    let what = match result["action"].as_str() {
        Some("undo") => format!("Undone: restore {} of {}", text(result, "of"), text(result, "target")),
        Some("confirm") => format!("Confirmed: restore {} of {}", text(result, "of"), text(result, "target")),
        _ => format!("Restored: backup {} into {}", text(result, "backup_id"), text(result, "target")),
    };
    let mut lines = format!("{what}\n");
    for (field, flag, why) in [
        ("undo", "--undo", "brings back what was there"),
        ("confirm", "--confirm", "lets that go, once you have looked"),
    ] {
        if result[field].is_string() {
            lines.push_str(&format!("  respaldo restore {flag} {}   {why}\n", text(job, "id")));
        }
    }
    for warning in result["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push_str(&format!("  warning   {}\n", plain(warning)));
    }
    lines
}
