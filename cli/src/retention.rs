//! `respaldo retention`: shows what would be removed, and removes it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{Api, Client, Query};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::{Cell, Column, Show, agree, count, document, note, print, table, text, time};

const COLUMNS: &[Column] = &[
    Column::new("BACKUP"),
    Column::new("DATABASE").shrinks(),
    Column::new("KIND").optional(),
    Column::new("CREATED").optional(),
    Column::new("ACTION"),
    Column::new("REASON"),
];

#[derive(Debug, Args)]
pub(crate) struct Retention {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    plan: Plan,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Shows what retention would remove now, and why; what `respaldo retention` does by itself.
    Plan(Plan),
    /// Removes what the plan says, after showing it. Takes the delete key.
    Apply {
        /// Only of this database: a number, a config_id, or a name that only one has.
        #[arg(long, value_name = "DATABASE")]
        database: Option<String>,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Args)]
struct Plan {
    /// Only of this database: a number, a config_id, or a name that only one has.
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// Every backup with its reason, also those that the rule keeps.
    #[arg(long)]
    all: bool,
}

impl Retention {
    pub(crate) async fn run(self) -> Answer {
        if self.verb.is_some() && self.plan != Plan::default() {
            return Err(Failure::usage("retention", "options go behind `plan` or `apply`, or stand alone"));
        }
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        match self.verb.unwrap_or(Verb::Plan(self.plan)) {
            Verb::Plan(plan) => {
                let id = client.optional_database_id(plan.database.as_deref()).await?;
                let plans = read(&client, id, plan.all).await?;
                show.either(&json!(plans), || lines(&plans, show))?;
                Ok(Exit::Done)
            }
            Verb::Apply { database, yes } => {
                let id = client.optional_database_id(database.as_deref()).await?;
                apply(&client, id, yes, show).await
            }
        }
    }
}

async fn read(client: &Client, database: Option<i64>, all: bool) -> Answer<Vec<Value>> {
    let query = Query::default().with("database_id", database).with("all", all.then_some(true));
    client.list("/retention", &query, None).await
}

/// Plans, or what a dry run answers: for people to read.
fn lines(plans: &[Value], show: Show) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut frozen = String::new();
    let (mut keep, mut remove) = (None, 0);
    for plan in plans {
        keep = plan["keep"].as_u64().map(|more| keep.unwrap_or(0) + more).or(keep);
        remove += plan["remove"].as_u64().or(plan["left"].as_u64()).unwrap_or(0);
        let name = text(plan, "name");
        if plan["frozen"].is_string() {
            frozen.push_str(&format!("{name} is frozen: {}\n", text(plan, "frozen")));
        }
        let action = |backup: &Value| {
            let action = text(backup, "action");
            if action.is_empty() { text(backup, "outcome") } else { action }
        };
        let backups = plan["backups"].as_array().into_iter().flatten();
        rows.extend(backups.map(|backup| -> Vec<Cell> {
            vec![
                text(backup, "id").into(),
                name.clone().into(),
                text(backup, "kind").into(),
                time(&backup["created_at"]).into(),
                action(backup).into(),
                text(backup, "reason").into(),
            ]
        }));
    }
    let keep = keep.map_or_else(String::new, |keep| format!("{keep} stay, "));
    format!("{}{frozen}{keep}{remove} go\n", table(show, COLUMNS, &rows))
}

async fn apply(client: &Client, database: Option<i64>, yes: bool, show: Show) -> Answer {
    let mut body = serde_json::Map::new();
    body.extend(database.map(|id| ("database_id".to_owned(), json!(id))));
    let body = Value::Object(body);
    // Asked for in the same way as the removal, so that the delete key is enough.
    let mut dry = body.clone();
    dry["dry_run"] = json!(true);
    let planned = client.post("/retention", &dry).await?;
    let plans = planned.as_array().ok_or_else(|| Failure::foreign(client.base(), "no plan"))?;
    if !(show.quiet && yes) {
        note(lines(plans, show).trim_end());
    }
    let removals = sum(&planned, "left");
    if removals > 0 {
        agree(&format!("Remove {}?", count(removals, "backup or record")), yes)?;
    }
    let mut applied = client.post("/retention", &body).await?;
    // A request ends after a while and tells how many remain: the next one goes on, as long as that helps.
    while sum(&applied, "left") > 0 && sum(&applied, "failed") == 0 {
        let next = client.post("/retention", &body).await?;
        if sum(&next, "removed") == 0 {
            break;
        }
        merge(&mut applied, &next);
    }
    if show.json {
        document(&applied)?;
    } else {
        print(&outcome(&applied))?;
    }
    Ok(if sum(&applied, "failed") > 0 { Exit::Failed } else { Exit::Done })
}

fn sum(applied: &Value, field: &str) -> u64 {
    applied.as_array().into_iter().flatten().filter_map(|one| one[field].as_u64()).sum()
}

/// Adds what a further request did to what those before it did.
fn merge(applied: &mut Value, next: &Value) {
    let Value::Array(all) = applied else { return };
    // A database that the next answer does not name has nothing left.
    for one in all.iter_mut() {
        one["left"] = json!(0);
    }
    for more in next.as_array().into_iter().flatten() {
        let same = all.iter_mut().find(|one| one["database_id"] == more["database_id"]);
        let Some(one) = same else {
            all.push(more.clone());
            continue;
        };
        one["removed"] = json!(one["removed"].as_u64().unwrap_or(0) + more["removed"].as_u64().unwrap_or(0));
        for field in ["waiting", "failed", "left", "frozen"] {
            one[field] = more[field].clone();
        }
        if let (Value::Array(fates), Value::Array(further)) = (&mut one["backups"], &more["backups"]) {
            fates.extend(further.iter().cloned());
        }
    }
}

fn outcome(applied: &Value) -> String {
    let mut lines = String::new();
    let databases = applied.as_array().into_iter().flatten();
    for fate in databases.filter_map(|one| one["backups"].as_array()).flatten() {
        let why = text(&fate["error"], "message");
        let why = if why.is_empty() { text(fate, "reason") } else { why };
        lines.push_str(&format!("{}  {}: {why}\n", text(fate, "id"), text(fate, "outcome")));
    }
    let [removed, waiting, failed, left] =
        ["removed", "waiting", "failed", "left"].map(|field| sum(applied, field));
    lines
        .push_str(&format!("{removed} removed, {waiting} wait for a reader, {failed} failed, {left} left\n"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_requests_did_is_told_as_one() {
        let one = |removed: u64, left: u64, id: &str| {
            json!([{"database_id": 1, "removed": removed, "waiting": 0, "failed": 0, "left": left,
                    "frozen": null, "backups": [{"id": id, "outcome": "removed", "reason": "old"}]}])
        };
        let mut applied = one(3, 2, "a");
        merge(&mut applied, &one(2, 0, "b"));
        assert_eq!(
            outcome(&applied),
            "a  removed: old\nb  removed: old\n5 removed, 0 wait for a reader, 0 failed, 0 left\n"
        );
        merge(&mut applied, &json!([]));
        assert_eq!(sum(&applied, "left"), 0);
    }
}
