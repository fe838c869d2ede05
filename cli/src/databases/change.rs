//! Registering and changing databases.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::FIRST;
use super::fields::assign;
use super::login::Login;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::show::{Show, card};

/// No definition of a database is longer, in bytes.
const LONGEST: usize = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct Add {
    /// A YAML or JSON file of the API's fields, or - for standard input; options overrule it.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// Its kind, e.g. postgres, mysql, mariadb, sqlite.
    #[arg(long)]
    engine: Option<String>,
    /// The server's name or address.
    #[arg(long)]
    host: Option<String>,
    /// The server's port.
    #[arg(long)]
    port: Option<u16>,
    /// The database's name on its server; for SQLite its path.
    #[arg(long, value_name = "NAME")]
    database_name: Option<String>,
    /// A crontab of five fields; without one there are manual backups only.
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// Removes scheduled backups older than so many days.
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<u32>,
    /// Removes scheduled backups beyond the newest so many.
    #[arg(long, value_name = "N")]
    max_backups: Option<u32>,
    /// gzip, zstd or none.
    #[arg(long)]
    compression: Option<String>,
    /// Any field of the API; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    others: Vec<String>,
    #[command(flatten)]
    login: Login,
}

#[derive(Debug, Args)]
pub(super) struct Edit {
    /// A number, a config_id, or a name that only one has.
    #[arg(value_name = "DATABASE")]
    database: String,
    /// Fields and their new values; null for none.
    #[arg(value_name = "FIELD=VALUE")]
    changes: Vec<String>,
    #[command(flatten)]
    login: Login,
}

impl Add {
    pub(super) async fn run(self, client: &Client, show: Show) -> Answer {
        let mut fields = Map::new();
        for (field, value) in self.options() {
            fields.insert(field.to_owned(), value);
        }
        for other in &self.others {
            assign(&mut fields, other)?;
        }
        self.login.add_to(&mut fields)?;
        if let Some(file) = &self.file {
            for (field, value) in read(file)? {
                fields.entry(field).or_insert(value);
            }
        }
        if fields.is_empty() {
            return Err(Failure::usage("--name", "nothing is known of the database")
                .with_mend("give --name, --engine and --database-name, or --file FILE"));
        }
        let database = client.post("/databases", &Value::Object(fields)).await?;
        show.either(&database, || card(&database, FIRST))?;
        Ok(Exit::Done)
    }

    fn options(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let texts = [
            ("name", &self.name),
            ("engine", &self.engine),
            ("host", &self.host),
            ("database_name", &self.database_name),
            ("schedule", &self.schedule),
            ("compression", &self.compression),
        ];
        let numbers = [
            ("port", self.port.map(u32::from)),
            ("retention_days", self.retention_days),
            ("max_backups", self.max_backups),
        ];
        let texts = texts.into_iter().filter_map(|(field, text)| Some((field, json!(text.as_ref()?))));
        let numbers = numbers.into_iter().filter_map(|(field, number)| Some((field, json!(number?))));
        texts.chain(numbers).collect::<Vec<_>>().into_iter()
    }
}

impl Edit {
    pub(super) async fn run(self, client: &Client, show: Show) -> Answer {
        let mut fields = Map::new();
        for change in &self.changes {
            assign(&mut fields, change)?;
        }
        self.login.add_to(&mut fields)?;
        if fields.is_empty() {
            return Err(
                Failure::usage("FIELD=VALUE", "nothing is to be changed").with_mend("e.g. retention_days=30")
            );
        }
        let id = client.database_id(&self.database).await?;
        let database = client.patch(&format!("/databases/{id}"), &Value::Object(fields)).await?;
        show.either(&database, || card(&database, FIRST))?;
        Ok(Exit::Done)
    }
}

/// The fields in a file. YAML holds JSON, so that one reader does for both.
fn read(file: &Path) -> Answer<Map<String, Value>> {
    let name = file.display();
    let refused = |why: String| Failure::usage("--file", format!("{name}: {why}"));
    let text = if file == Path::new("-") {
        let mut text = String::new();
        let limit = LONGEST as u64 + 1;
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    let text = text.map_err(|error| refused(error.to_string()))?;
    if text.len() > LONGEST {
        return Err(refused(format!("it has more than {LONGEST} bytes")));
    }
    serde_saphyr::from_str::<Map<String, Value>>(&text).map_err(|error| {
        // The place alone: the parser's words may repeat the text, and that may hold a password.
        let at = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        let what = "it must be one YAML or JSON object of the API's fields";
        refused(format!("{what}{}", at.unwrap_or_default()))
    })
}
