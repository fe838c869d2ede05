//! `respaldo rescue`: what can be done with storage and key alone.

mod list;
mod restore;

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use respaldo_adapters::{environment, identity, master_key, storage};
use respaldo_core::redact::escape_controls;
use respaldo_core::rescue::directory::fetch_directory;
use respaldo_core::rescue::fetch::{Form, Output, fetch, file_name};
use respaldo_core::rescue::{Rescue, Wanted};
use respaldo_core::seal::Identity;
use respaldo_core::{Error, ErrorKind, Result};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists every backup that storage holds, and what is wrong with those that are damaged.
    List {
        #[command(flatten)]
        place: Place,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Copies a backup's artifact into a file, compared with its digests.
    Fetch(Fetch),
    /// Restores a backup into a new database. Without --yes it only shows what it would do.
    Restore(Box<restore::Restore>),
}

/// Where backups lie. RESPALDO_MASTER_KEY (or _FILE) is what their signatures are checked with.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The storage, e.g. file:///srv/backups or s3://BUCKET/PREFIX [environment: STORAGE_URL].
    #[arg(long, value_name = "URL")]
    storage: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The backup's id, the beginning of it, or its artifact's name.
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: Place,
    /// The file to write, or - for standard output; the artifact's own name in this folder when left out.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes the dump, decrypted and decompressed, in place of the artifact.
    #[arg(long)]
    dump: bool,
    /// Lays a backup of MongoDB out as a dump directory, which mongorestore DIR reads. It must not be there yet, or be
    /// empty.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "dump", "force", "keep_damaged"])]
    directory: Option<PathBuf>,
    #[command(flatten)]
    identities: Identities,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
    /// Keeps what can be read of a damaged artifact, in a file whose name ends with .damaged.
    #[arg(long)]
    keep_damaged: bool,
}

/// What opens encrypted artifacts.
#[derive(Debug, Args)]
pub(crate) struct Identities {
    /// A file of age identities, as age-keygen writes it [environment: RESPALDO_IDENTITY, RESPALDO_IDENTITY_FILE].
    #[arg(long = "identity", value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { place, json } => list::run(&place.open()?, json).await?,
        Command::Fetch(fetch) => fetch.run().await?,
        Command::Restore(restore) => restore.run().await?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Place {
    /// Storage, with the key where there is one.
    fn open(&self) -> Result<Rescue> {
        let url = match &self.storage {
            Some(url) => Some(url.clone()),
            None => environment::variable("STORAGE_URL")?.filter(|url| !url.is_empty()),
        };
        let url = url.ok_or_else(|| {
            Error::new(ErrorKind::Config, "open storage", "nobody said where the backups are")
                .with_field("storage")
                .with_mend("give --storage URL, or set STORAGE_URL")
        })?;
        let key = master_key::find(environment::secret("RESPALDO_MASTER_KEY")?.as_ref(), None)?;
        Ok(Rescue { storage: storage::open_existing(&url)?, key: key.map(Arc::new) })
    }
}

impl Identities {
    fn read(&self) -> Result<Vec<Identity>> {
        if !self.files.is_empty() {
            let keys = self.files.iter().map(|file| identity::read(file)).collect::<Result<Vec<_>>>()?;
            return Ok(keys.concat());
        }
        environment::secret(identity::VARIABLE)?.map_or(Ok(Vec::new()), |text| identity::parse(&text))
    }
}

impl Fetch {
    async fn run(&self) -> Result<()> {
        let wanted = Wanted::parse(&self.id)?;
        let rescue = self.place.open()?;
        let form = if self.dump { Form::Dump(self.identities.read()?) } else { Form::Stored };
        let found = rescue.find(&wanted).await?.artifact(self.keep_damaged)?;
        let manifest = &found.manifest;
        let signature = found.signature.as_str();
        if let Some(folder) = &self.directory {
            let identities = self.identities.read()?;
            let laid_out = fetch_directory(&rescue.storage, manifest, &identities, folder).await?;
            let place = shown(&folder.to_string_lossy());
            let (collections, documents) = (laid_out.collections, laid_out.documents);
            eprintln!(
                "{place}: {collections} collections, {documents} documents, whole; signature {signature}"
            );
            return Ok(());
        }
        let output = match &self.output {
            Some(path) if path == Path::new("-") => Output::Stream(Box::new(stdout())),
            path => Output::File {
                path: path.clone().unwrap_or_else(|| PathBuf::from(file_name(manifest, &form))),
                force: self.force,
            },
        };
        let fetched = fetch(&rescue.storage, manifest, form, output, self.keep_damaged).await?;
        let place =
            fetched.path.as_ref().map_or("standard output".to_owned(), |path| shown(&path.to_string_lossy()));
        if fetched.damage.is_empty() {
            eprintln!("{place}: {} bytes, whole; signature {signature}", fetched.size_bytes);
            return Ok(());
        }
        let damage = fetched.damage.join("; ");
        Err(Error::new(ErrorKind::Corrupt, "fetch an artifact", damage)
            .with_mend(format!("{place} holds the {} bytes that could be read", fetched.size_bytes)))
    }
}

/// A name as a terminal may see it: manifests are anybody's text.
fn shown(text: &str) -> String {
    escape_controls(text)
}
