//! `respaldo verify`: has a server restore a backup into a scratch server, and tells its verdict.

use std::process::ExitCode;

use clap::Args;
use respaldo_core::model::JobId;
use serde_json::{Value, json};

use crate::client::{Client, Server, plain, text};
use crate::follow::{tell_failure, to_the_end};

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The backup to verify.
    #[arg(value_name = "BACKUP_ID")]
    backup: JobId,
    /// Prints the backup's verification as JSON; all else goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

impl Verify {
    /// Ends with success only when the restored copy was found equal.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let client = Client::new(&self.server)?;
        let queued = client.post(&format!("/backups/{}/verify", self.backup), &json!({})).await?;
        let job = to_the_end(&client, &text(&queued, "id")).await?;
        let backup = client.get(&format!("/backups/{}", self.backup)).await?;
        let verdict = &backup["verification"];
        if self.json {
            println!("{verdict:#}");
        }
        if job["status"] != json!("succeeded") {
            tell_failure(&job);
            return Ok(ExitCode::FAILURE);
        }
        if !self.json {
            tell(verdict);
        }
        Ok(if verdict["status"] == json!("ok") { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn tell(verdict: &Value) {
    let reason = text(verdict, "reason");
    let reason = if reason.is_empty() { reason } else { format!(": {reason}") };
    println!("{}{reason}", text(verdict, "status"));
    for difference in verdict["differences"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        println!("  {}", plain(difference));
    }
}
