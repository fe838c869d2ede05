//! `respaldo packages`: one archive of the latest good backups of several databases.

mod create;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use respaldo_core::model::JobId;
use serde_json::{Value, json};

use crate::backups::deliver;
use crate::client::{Api, Client, Stored};
use crate::exit::Exit;
use crate::failure::{Answer, Failure};
use crate::filter::{Listed, word};
use crate::remove::remove;
use crate::show::{Cell, Column, Show, card, note, plain, size, table, text, time};

const FIRST: &[&str] = &[
    "id",
    "name",
    "kind",
    "status",
    "format",
    "created_at",
    "started_at",
    "finished_at",
    "duration_seconds",
    "size_bytes",
    "md5",
    "sha256",
    "location",
    "error",
];

const COLUMNS: &[Column] = &[
    Column::new("ID"),
    Column::new("KIND").optional(),
    Column::new("STATUS"),
    Column::new("CREATED"),
    Column::new("MEMBERS").right(),
    Column::new("SIZE").right(),
    Column::new("NAME").shrinks().optional(),
];

#[derive(Debug, Args)]
pub(crate) struct Packages {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
    #[command(flatten)]
    pub(crate) api: Api,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Lists packages, newest first; what `respaldo packages` does by itself.
    List(List),
    /// Makes a package, and follows it to its end.
    Create(create::Create),
    /// Shows one package.
    Show {
        #[arg(value_name = "PACKAGE_ID")]
        id: JobId,
    },
    /// Downloads a package or one of its members, and compares its digest.
    Download(Download),
    /// Deletes packages. The backups in them stay.
    Remove {
        #[arg(value_name = "PACKAGE_ID", required = true)]
        ids: Vec<JobId>,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Args)]
struct List {
    #[command(flatten)]
    listed: Listed,
    /// Only packages of this kind.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Scheduled,
    Manual,
}

#[derive(Debug, Args)]
struct Download {
    #[arg(value_name = "PACKAGE_ID")]
    id: JobId,
    /// Only this member, by its file's name in the package.
    #[arg(long, value_name = "FILE")]
    member: Option<String>,
    /// The file to write, a folder, or - for standard output; its own name here when left out.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
}

impl Packages {
    pub(crate) async fn run(self) -> Answer {
        if self.verb.is_some() && self.list != List::default() {
            return Err(Failure::usage(
                "packages",
                "conditions of the list go behind `list`, or stand alone",
            ));
        }
        let (show, client) = (Show::of(&self.api)?, Client::new(&self.api)?);
        match self.verb.unwrap_or(Verb::List(self.list)) {
            Verb::List(list) => list.run(&client, show).await,
            Verb::Create(create) => create.run(&client, show).await,
            Verb::Show { id } => {
                let package = client.get(&format!("/packages/{id}")).await?;
                show.either(&package, || shown(&package, show))?;
                Ok(Exit::Done)
            }
            Verb::Download(download) => download.run(&client, show).await,
            Verb::Remove { ids, yes } => remove(&client, "packages", &ids, yes, show).await,
        }
    }
}

impl List {
    async fn run(self, client: &Client, show: Show) -> Answer {
        let kind = self.kind.as_ref().and_then(word);
        let query = self.listed.query().with("kind", kind);
        let packages = client.list("/packages", &query, self.listed.limit()).await?;
        if packages.is_empty() && !show.json {
            note("no packages");
        }
        let rows: Vec<Vec<Cell>> = packages.iter().map(row).collect();
        show.either(&json!(packages), || table(show, COLUMNS, &rows))?;
        Ok(Exit::Done)
    }
}

fn row(package: &Value) -> Vec<Cell> {
    vec![
        text(package, "id").into(),
        text(package, "kind").into(),
        Cell::status(text(package, "status")),
        time(&package["created_at"]).into(),
        package["members"].as_array().map_or_else(|| "-".to_owned(), |all| all.len().to_string()).into(),
        package["size_bytes"].as_u64().map_or_else(|| "-".to_owned(), size).into(),
        text(package, "name").into(),
    ]
}

/// A package for people: itself, then its members and those that were left out, a line each.
fn shown(package: &Value, show: Show) -> String {
    let mut head = package.clone();
    if let Value::Object(fields) = &mut head {
        fields.retain(|field, _| !matches!(field.as_str(), "members" | "left_out"));
    }
    format!("{}{}", card(&head, FIRST), contents(package, show))
}

/// Members, and those that were left out.
fn contents(package: &Value, show: Show) -> String {
    const MEMBERS: &[Column] = &[
        Column::new("MEMBER"),
        Column::new("DATABASE").shrinks(),
        Column::new("BACKED UP").optional(),
        Column::new("SIZE").right(),
    ];
    let members = package["members"].as_array().into_iter().flatten();
    let rows = members.map(|member| -> Vec<Cell> {
        vec![
            text(member, "file").into(),
            text(member, "database").into(),
            time(&member["backup_created_at"]).into(),
            member["size_bytes"].as_u64().map_or_else(|| "-".to_owned(), size).into(),
        ]
    });
    let left_out = package["left_out"].as_array().into_iter().flatten();
    let left_out =
        left_out.map(|one| format!("left out: {}: {}\n", text(one, "database"), text(one, "reason")));
    let rows: Vec<Vec<Cell>> = rows.collect();
    let lines = std::iter::once(table(show, MEMBERS, &rows)).chain(left_out);
    lines.collect()
}

impl Download {
    async fn run(self, client: &Client, show: Show) -> Answer {
        let package = client.get(&format!("/packages/{}", self.id)).await?;
        let what = format!("package {}", self.id);
        let path = format!("/packages/{}/download", self.id);
        let (object, stored) = match &self.member {
            None => (&package, Stored::of(&what, &package, "name", path)?),
            Some(wanted) => {
                let member = member(&package, wanted)?;
                let query = crate::client::Query::default().with("member", Some(wanted));
                (member, Stored::of(&what, member, "file", format!("{path}{}", query.text()))?)
            }
        };
        deliver(client, &stored, self.output, self.force, object, show).await
    }
}

fn member<'a>(package: &'a Value, wanted: &str) -> Answer<&'a Value> {
    let members = || package["members"].as_array().into_iter().flatten();
    let found = members().find(|member| member["file"].as_str() == Some(wanted));
    found.ok_or_else(|| {
        let files: Vec<String> = members().map(|member| text(member, "file")).collect();
        let detail = format!("the package has no member {}; it has {}", plain(wanted), files.join(", "));
        Failure::new(Exit::NotFound, "not_found", "It does not exist", detail)
    })
}
