//! Making a package.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::contents;
use crate::client::{Client, Names};
use crate::exit::Exit;
use crate::failure::Answer;
use crate::filter::word;
use crate::follow::{Followed, exit_of, to_the_end};
use crate::show::{Show, count, duration, size, text};

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The archive's format; the configuration's when left out.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only these databases: numbers, config_ids, or names that only one has. Else those with package: true.
    #[arg(long = "database", value_name = "DATABASE")]
    databases: Vec<String>,
    /// Leaves out databases that have no good backup, and lists them; else the package fails.
    #[arg(long)]
    allow_incomplete: bool,
    /// Shows what would go in, and does nothing.
    #[arg(long)]
    dry_run: bool,
    /// Prints the package's id and ends as soon as it is queued.
    #[arg(long, conflicts_with = "dry_run")]
    detach: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Zip,
    #[value(name = "tar.gz")]
    TarGz,
}

impl Create {
    pub(super) async fn run(self, client: &Client, show: Show) -> Answer {
        let asked = client.post("/packages", &self.body(client).await?).await?;
        if self.dry_run {
            show.either(&asked, || contents(&asked, show))?;
            return Ok(Exit::Done);
        }
        let id = text(&asked, "id");
        if self.detach {
            show.either(&asked, || format!("{id}\n"))?;
            return Ok(Exit::Done);
        }
        to_the_end(client, Followed::new(&id), show).await?;
        let package = client.get(&format!("/packages/{id}")).await?;
        let exit = exit_of("package", &package, show);
        show.either(&package, || if exit == Exit::Done { told(&package, show) } else { String::new() })?;
        Ok(exit)
    }

    /// What the API is asked for: what was not chosen is left to the configuration.
    async fn body(&self, client: &Client) -> Answer<Value> {
        let mut body = Map::new();
        let format = self.format.as_ref().and_then(word);
        body.extend(format.map(|format| ("format".to_owned(), json!(format))));
        if !self.databases.is_empty() {
            let names = Names::read(client).await?;
            let ids = self.databases.iter().map(|name| Ok(names.find(name)?["id"].clone()));
            body.insert("database_ids".to_owned(), Value::Array(ids.collect::<Answer<_>>()?));
        }
        for (field, chosen) in [("allow_incomplete", self.allow_incomplete), ("dry_run", self.dry_run)] {
            if chosen {
                body.insert(field.to_owned(), json!(true));
            }
        }
        Ok(Value::Object(body))
    }
}

fn told(package: &Value, show: Show) -> String {
    let members = package["members"].as_array().map_or(0, Vec::len);
    format!(
        "Packaged {} into {}: {}, {} in {}\n{}",
        count(members as u64, "backup"),
        text(package, "name"),
        text(package, "id"),
        size(package["size_bytes"].as_u64().unwrap_or(0)),
        duration(package["duration_seconds"].as_f64().unwrap_or(0.0)),
        contents(package, show),
    )
}
