//! `respaldo restore`: shows the plan, asks, and follows the restore to its end.

use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use respaldo_core::model::JobId;
use serde_json::{Map, Value, json};

use crate::client::{Client, Server, plain, text};
use crate::follow::{agreed, size, tell_failure, to_the_end};

/// What a command ends with when nobody was there to agree.
pub(crate) const NOBODY_AGREED: u8 = 2;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
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
    /// Waits until it has ended, and shows its log; the default.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Ends as soon as it is queued.
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
    /// Prints the plan (with --dry-run) or the job as JSON; all else goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// What may be chosen of a restore, and of nothing else.
#[derive(Debug, Args)]
struct Choice {
    /// Into this registered database, by its number.
    #[arg(long, value_name = "ID", conflicts_with_all = ["to_name", "undo", "confirm"])]
    to_database: Option<i64>,
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
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.server)?;
        let (path, body, question) = match (self.backup, self.undo, self.confirm) {
            (Some(backup), ..) => {
                let path = format!("/backups/{backup}/restore");
                let body = self.body();
                match self.show_plan(&client, &path, &body).await? {
                    Shown::Possible(_) if self.choice.dry_run => return Ok(ExitCode::SUCCESS),
                    Shown::Possible(target) => (path, body, format!("Restore into {target}?")),
                    Shown::Refused => return Ok(ExitCode::FAILURE),
                }
            }
            (None, Some(of), _) => {
                let job = client.get(&format!("/jobs/{of}")).await?;
                (format!("/jobs/{of}/undo"), json!({"force": self.force}), undo_question(&job))
            }
            (None, None, Some(of)) => {
                let job = client.get(&format!("/jobs/{of}")).await?;
                (format!("/jobs/{of}/confirm"), json!({}), confirm_question(&job))
            }
            (None, None, None) => anyhow::bail!("name a backup, or a restore with --undo or --confirm"),
        };
        if !self.yes {
            match agreed(&question)? {
                Some(true) => {}
                Some(false) => {
                    eprintln!("respaldo: nothing was done");
                    return Ok(ExitCode::FAILURE);
                }
                None => {
                    eprintln!(
                        "{question}\nrespaldo: nothing was done: there is no terminal to ask on; --yes agrees"
                    );
                    return Ok(ExitCode::from(NOBODY_AGREED));
                }
            }
        }
        let job = client.post(&path, &body).await?;
        self.follow(&client, job).await
    }

    /// What the API is asked for.
    fn body(&self) -> Value {
        let choice = &self.choice;
        let mut body = Map::new();
        let target = match (choice.to_database, &choice.to_name) {
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
        Value::Object(body)
    }

    async fn show_plan(&self, client: &Client, path: &str, body: &Value) -> anyhow::Result<Shown> {
        let mut body = body.clone();
        body["dry_run"] = json!(true);
        let plan = client.post(path, &body).await?;
        if self.json && self.choice.dry_run {
            println!("{plan:#}");
        } else if self.json || !self.choice.dry_run {
            eprint!("{}", plan_text(&plan));
        } else {
            print!("{}", plan_text(&plan));
        }
        if plan["possible"] == json!(true) {
            return Ok(Shown::Possible(text(&plan["target"], "database_name")));
        }
        eprintln!("respaldo: this cannot be done as asked; see what is in the way");
        Ok(Shown::Refused)
    }

    async fn follow(&self, client: &Client, queued: Value) -> anyhow::Result<ExitCode> {
        let id = text(&queued, "id");
        if self.no_wait {
            if self.json {
                println!("{queued:#}");
            } else {
                println!("queued as job {id}: {}/jobs/{id}", client.base());
            }
            return Ok(ExitCode::SUCCESS);
        }
        let job = to_the_end(client, &id).await?;
        if self.json {
            println!("{job:#}");
        }
        if job["status"] != json!("succeeded") {
            tell_failure(&job);
            return Ok(ExitCode::FAILURE);
        }
        if !self.json {
            tell_success(&job);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What came of showing a plan.
enum Shown {
    /// It may be carried out, into this target.
    Possible(String),
    /// Something stands in its way.
    Refused,
}

/// The plan for people to read.
fn plan_text(plan: &Value) -> String {
    let target = &plan["target"];
    let there = match (target["exists"].as_bool(), target["size_bytes"].as_u64()) {
        (Some(true), Some(bytes)) => format!("{} there now", size(bytes)),
        (Some(true), None) => "there is something now".to_owned(),
        _ => "new".to_owned(),
    };
    let mut lines = vec![
        format!(
            "backup    {} ({}), as of {}",
            text(plan, "backup_id"),
            text(plan, "name"),
            text(plan, "created_at")
        ),
        format!("into      {} (database {}, {there})", text(target, "database_name"), target["database_id"]),
        format!("mode      {}", text(plan, "mode")),
    ];
    let all = |field: &str| plan[field].as_array().cloned().unwrap_or_default();
    let texts = |field: &str| all(field).iter().filter_map(Value::as_str).map(plain).collect::<Vec<_>>();
    let tables = texts("tables");
    if !tables.is_empty() {
        lines.push(format!("only      {}", tables.join(", ")));
    }
    lines.extend(texts("steps").iter().enumerate().map(|(n, step)| format!("step {}    {step}", n + 1)));
    lines.push(format!("undone by {}", text(plan, "undo")));
    lines.extend(texts("connections").iter().map(|connection| format!("connected {connection}")));
    lines.extend(texts("warnings").iter().map(|warning| format!("warning   {warning}")));
    for refusal in all("refusals") {
        let force = if refusal["forceable"] == json!(true) { "; --force overrules this" } else { "" };
        lines.push(format!("in the way: {}", text(&refusal, "reason")));
        lines.push(format!("  to mend it: {}{force}", text(&refusal, "mend")));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn undo_question(job: &Value) -> String {
    let result = &job["result"];
    let by = if result["kept_database"].is_string() {
        format!("exchanging it with {}", text(result, "kept_database"))
    } else {
        format!("restoring safety backup {}", text(result, "safety_backup_id"))
    };
    format!("Undo restore {} of {} by {by}?", text(job, "id"), text(result, "target"))
}

fn confirm_question(job: &Value) -> String {
    let result = &job["result"];
    let mut lost = Vec::new();
    if result["kept_database"].is_string() {
        lost.push(format!("database {} is dropped", text(result, "kept_database")));
    }
    if result["safety_backup_id"].is_string() {
        lost.push(format!("safety backup {} is left to retention", text(result, "safety_backup_id")));
    }
    let lost = if lost.is_empty() { "nothing is left to let go".to_owned() } else { lost.join(", ") };
    format!("Confirm restore {} of {}: {lost}?", text(job, "id"), text(result, "target"))
}

fn tell_success(job: &Value) {
    let result = &job["result"];
    let what = match result["action"].as_str() {
        Some("undo") => format!("Undone: restore {} of {}", text(result, "of"), text(result, "target")),
        Some("confirm") => format!("Confirmed: restore {} of {}", text(result, "of"), text(result, "target")),
        _ => format!("Restored: backup {} into {}", text(result, "backup_id"), text(result, "target")),
    };
    println!("{what}");
    for (field, flag, why) in [
        ("undo", "--undo", "brings back what was there"),
        ("confirm", "--confirm", "lets that go, once you have looked"),
    ] {
        if result[field].is_string() {
            println!("  respaldo restore {flag} {}   {why}", text(job, "id"));
        }
    }
    for warning in result["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        println!("  warning   {}", plain(warning));
    }
}
