//! What a person who starts the server in a terminal is told: where it is, what it will back up, and
//! what to try next. It goes to standard output; the log goes to standard error.

use std::net::SocketAddr;

use respaldo_api::access::Guard;
use respaldo_core::config::Applied;
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_core::{App, Error, Result, backup, databases};
use tokio::sync::watch;
use tokio::time::{Duration, sleep};

use crate::Settings;
use crate::settings::CONFIG_FILE;

/// How many databases are shown; the others are counted.
const MOST_SHOWN: usize = 20;

/// Says where the server is and what stands in its catalog.
pub(crate) async fn show(
    app: &App,
    settings: &Settings,
    address: SocketAddr,
    applied: &[Applied],
) -> Result<()> {
    println!("Respaldo {} on http://{address} (API: http://{address}/docs)", env!("CARGO_PKG_VERSION"));
    println!("  catalog  {}", settings.catalog);
    println!("  storage  {}", app.storage.location());
    if matches!(settings.guard, Guard::Open(_)) {
        println!("  access   no key is set: set ADMIN_API_KEY before others can reach this port");
    }
    if !settings.has_file {
        println!("  config   there is no {CONFIG_FILE} here: databases stay as the catalog has them");
    }
    for applied in applied {
        println!("  config   {}: {}", applied.config_id, applied.reason);
    }
    let all = databases::list(app, None, MOST_SHOWN + 1).await?;
    for database in all.iter().take(MOST_SHOWN) {
        println!("  {}", line(app, database).await?);
    }
    if all.len() > MOST_SHOWN {
        println!("  … and more: curl -s http://{address}/databases");
    }
    Ok(())
}

async fn line(app: &App, database: &Database) -> Result<String> {
    let settings = &database.settings;
    let what = format!("database {} {:?} ({})", database.id, settings.name, settings.engine);
    if let Some(reason) = databases::held_back(app, database).await? {
        return Ok(format!("{what}: held back: {reason}"));
    }
    Ok(database
        .next_run_at()
        .map_or_else(|| format!("{what}: manual backups only"), |next| format!("{what}: next backup {next}")))
}

/// Asks for a backup of each database that was named on the command line, by the id of its entry.
pub(crate) async fn back_up_now(app: &App, ids: &[String]) -> Result<Vec<JobId>> {
    let mut jobs = Vec::new();
    for id in ids {
        let database = find(app, id).await?;
        jobs.push(backup::request(app, database.id, None).await?.id);
    }
    Ok(jobs)
}

async fn find(app: &App, config_id: &str) -> Result<Database> {
    let mut after = None;
    loop {
        let page = databases::list(app, after, 1_000).await?;
        if let Some(found) = page.iter().find(|database| database.config_id.as_deref() == Some(config_id)) {
            return Ok(found.clone());
        }
        let Some(last) = page.last() else {
            return Err(Error::not_found("database of the config file", config_id).with_field("backup-now"));
        };
        after = Some(last.id);
    }
}

/// Waits for those backups and says what became of them.
pub(crate) async fn follow(app: App, jobs: Vec<JobId>, address: SocketAddr, mut stop: watch::Receiver<bool>) {
    for id in jobs {
        let ended = tokio::select! {
            ended = ended(&app, id) => ended,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match ended {
            Ok(job) => tell(&app, &job, address),
            Err(error) => eprintln!("respaldo: {error}"),
        }
    }
}

async fn ended(app: &App, id: JobId) -> Result<Job> {
    loop {
        let job = backup::get(app, id).await?;
        if job.status.is_terminal() {
            return Ok(job);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn tell(app: &App, job: &Job, address: SocketAddr) {
    let (Ok(backup), Some(database)) = (job.backup(), job.database_id()) else { return };
    let name = backup.name.as_deref().unwrap_or("the backup");
    let (Status::Succeeded, Some(artifact)) = (job.status, &backup.artifact) else {
        let why = job.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        println!("\nThe backup of database {database} is {}{why}", job.status.as_str());
        return;
    };
    let rows = backup.fingerprint.as_ref().map_or_else(String::new, |f| format!("{} rows, ", f.rows()));
    println!("\nBacked up database {database}: {rows}{} bytes stored", artifact.size_bytes);
    println!("  artifact {}", app.storage.location_of(name));
    println!("  sha256   {}", artifact.sha256);
    let (id, body) = (job.id, format!("{{\"database_id\": {database}}}"));
    println!("\nTry next, in another terminal:");
    println!("  curl -s http://{address}/backups/{id}");
    println!("  curl -s http://{address}/backups/{id}/download -o {name}");
    println!("  curl -s -X POST http://{address}/backups -H 'Content-Type: application/json' -d '{body}'");
}
