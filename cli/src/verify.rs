//! `respaldo verify`: has a server restore backups into a scratch server, and tells its verdict.

use clap::Args;
use respaldo_core::model::JobId;
use serde_json::{Value, json};

use crate::client::{Api, Client};
use crate::exit::Exit;
use crate::failure::Answer;
use crate::follow::{Followed, exit_of, to_the_end};
use crate::show::{Show, document, plain, text};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The backup to verify.
    #[arg(value_name = "BACKUP_ID")]
    backup: JobId,
    /// Prints the id of the job and ends as soon as it is queued.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    pub(crate) api: Api,
}

impl Verify {
    /// Ends with success only when the restored copy was found equal.
    pub(crate) async fn run(self) -> Answer {
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        let queued = client.post(&format!("/backups/{}/verify", self.backup), &json!({})).await?;
        if self.detach {
            show.either(&queued, || format!("{}\n", text(&queued, "id")))?;
            return Ok(Exit::Done);
        }
        let job = to_the_end(&client, Followed::new(text(&queued, "id")), show).await?;
        let backup = client.get(&format!("/backups/{}", self.backup)).await?;
        let verdict = &backup["verification"];
        if show.json {
            document(verdict)?;
        }
        if exit_of("job", &job, show) != Exit::Done {
            return Ok(Exit::Failed);
        }
        if !show.json {
            show.either(verdict, || lines(verdict))?;
        }
        Ok(if verdict["status"] == json!("ok") { Exit::Done } else { Exit::Failed })
    }
}

fn lines(verdict: &Value) -> String {
    let reason = text(verdict, "reason");
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    let differences = verdict["differences"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let differences = differences.map(|difference| format!("  {}\n", plain(difference)));
    std::iter::once(format!("{}{reason}\n", text(verdict, "status"))).chain(differences).collect()
}
