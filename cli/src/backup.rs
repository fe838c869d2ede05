//! `respaldo backup`: makes backups now, and follows them to their end.

use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use crate::client::{Api, Client, Names, Query};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::follow::{Followed, all_to_the_end, exit_of};
use crate::show::{Show, duration, note, size, text};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct Backup {
    /// The databases: a number, a config_id, or a name that only one has.
    #[arg(group = "which", value_name = "DATABASE")]
    databases: Vec<String>,
    /// Every database that is enabled.
    #[arg(long, group = "which")]
    all: bool,
    /// Prints the ids of the backups and ends as soon as they are queued.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    pub(crate) api: Api,
}

/// What was asked for: a queued backup, or why there is none.
type Asked = (String, Answer<Value>);

impl Backup {
    pub(crate) async fn run(self) -> Answer {
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        let wanted = self.wanted(&client).await?;
        if wanted.is_empty() {
            let detail = "no database is registered and enabled";
            return Err(Failure::new(Exit::NotFound, "not_found", "It does not exist", detail));
        }
        let single = !self.all && wanted.len() == 1;
        let asked = ask(&client, &wanted).await?;
        let (queued, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(_, answer)| answer.is_ok());
        let queued: Vec<(String, Value)> =
            queued.into_iter().filter_map(|(name, answer)| Some((name, answer.ok()?))).collect();
        let mut exit = Exit::Done;
        for (name, failure) in refused.into_iter().filter_map(|(name, answer)| Some((name, answer.err()?))) {
            if single {
                return Err(failure);
            }
            note(&format!("respaldo: {name} is not backed up:"));
            failure.tell(show.json);
            exit = Exit::Failed;
        }
        let ended = if self.detach {
            queued.into_iter().map(|(_, backup)| backup).collect()
        } else {
            follow(&client, &queued, single, show).await?
        };
        self.tell(&ended, single, show)?;
        let failed = !self.detach && ended.iter().any(|backup| exit_of("backup", backup, show) != Exit::Done);
        if failed {
            exit = Exit::Failed;
        }
        Ok(exit)
    }

    /// The databases' numbers and how people call them, each once.
    async fn wanted(&self, client: &Client) -> Answer<Vec<(Value, String)>> {
        let number = |name: &String| Some((json!(name.parse::<i64>().ok()?), name.clone()));
        if let [one] = &self.databases[..]
            && let Some(numbered) = number(one)
        {
            return Ok(vec![numbered]);
        }
        let names = Names::read(client).await?;
        let mut wanted: Vec<(Value, String)> = Vec::new();
        let enabled = names.all().iter().filter(|database| self.all && database["enabled"] != json!(false));
        let named = self.databases.iter().map(|name| names.find(name)).collect::<Answer<Vec<_>>>()?;
        for database in enabled.chain(named) {
            if !wanted.iter().any(|(id, _)| *id == database["id"]) {
                wanted.push((database["id"].clone(), names.of(&database["id"])));
            }
        }
        Ok(wanted)
    }

    fn tell(&self, backups: &[Value], single: bool, show: Show) -> Answer<()> {
        let document = match backups {
            [one] if single => one.clone(),
            several => json!(several),
        };
        let line = |backup: &Value| match backup["status"].as_str() {
            _ if self.detach => format!("{}\n", text(backup, "id")),
            Some("succeeded") => told(backup),
            _ => String::new(),
        };
        show.either(&document, || backups.iter().map(line).collect())
    }
}

/// Asks for each backup. A server that is away or refuses the key does so with the others too.
async fn ask(client: &Client, wanted: &[(Value, String)]) -> Answer<Vec<Asked>> {
    let mut asked = Vec::new();
    for (id, name) in wanted {
        match client.post("/backups", &json!({"database_id": id})).await {
            Err(e) if matches!(e.exit(), Exit::Unreachable | Exit::Refused) => return Err(e),
            answer => asked.push((name.clone(), answer)),
        }
    }
    Ok(asked)
}

async fn follow(client: &Client, queued: &[(String, Value)], single: bool, show: Show) -> Answer<Vec<Value>> {
    let mut jobs = Vec::new();
    for (name, backup) in queued {
        let followed = Followed::new(text(backup, "id"));
        jobs.push(if single {
            followed.expecting(length_of_the_last(client, backup).await?)
        } else {
            followed.labelled(format!("{name}: "))
        });
    }
    all_to_the_end(client, jobs, show).await?;
    let mut ended = Vec::new();
    for (_, backup) in queued {
        ended.push(client.get(&format!("/backups/{}", text(backup, "id"))).await?);
    }
    Ok(ended)
}

/// The new dump will be about as long as the last one of the same database.
async fn length_of_the_last(client: &Client, backup: &Value) -> Answer<Option<u64>> {
    let query = Query::default().with("database_id", backup["database_id"].as_i64());
    let query = query.with("status", Some("succeeded"));
    let last = client.list("/backups", &query, Some(1)).await?;
    Ok(last.first().and_then(|backup| backup["raw_bytes"].as_u64()))
}

/// What a backup came to, for people.
fn told(backup: &Value) -> String {
    let bytes = |field: &str| size(backup[field].as_u64().unwrap_or(0));
    format!(
        "Backed up {}: {}, {} of {} in {}\n",
        text(backup, "name"),
        text(backup, "id"),
        bytes("size_bytes"),
        bytes("raw_bytes"),
        duration(backup["duration_seconds"].as_f64().unwrap_or(0.0)),
    )
}
