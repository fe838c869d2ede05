//! A file into an empty catalog.
//!
//! Every record is written by an operation that finds itself done when it is repeated, and a document of
//! the catalog says which file it is being filled from. So an import that was cut off is begun again with the
//! same file, and goes on where it stopped; with another file, or into a catalog that has content, it is
//! refused.

use std::io::{BufRead, Seek};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::lines::{Counts, Inspected, Line, Log, Reader};
use super::{DOCUMENTS, MARKER, inspect};
use crate::keyring::MasterKey;
use crate::model::{Database, DatabaseId, DatabaseUid, Job, Settings};
use crate::ports::{Catalog, Claim, JobFilter};
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "import a catalog";

/// What an import is told besides catalog and file.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// The installation's key, which must be the one of the file.
    pub key: &'a MasterKey,
    /// The present instant: claims that have expired by now are left out.
    pub now: Timestamp,
    /// Only look whether it could be done.
    pub dry_run: bool,
}

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The catalog holds what the file holds.
    Filled,
    /// It has been filled from this very file before; nothing was written.
    Before(Timestamp),
    /// It could be filled.
    Possible,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The file.
    pub file: Inspected,
    /// How it ended.
    pub outcome: Outcome,
    /// Claims that have expired since the export.
    pub expired: u64,
}

/// The document [`MARKER`].
#[derive(Serialize, Deserialize)]
struct Marker {
    /// The file's digest.
    sha256: String,
    began_at: Timestamp,
    /// None: it has not ended.
    #[serde(default)]
    ended_at: Option<Timestamp>,
}

/// Fills an empty catalog, or one that the same file has filled in part. The file is read twice: nothing is
/// written before all of it is proven.
///
/// # Errors
/// As [`inspect`]; `Conflict` when the catalog has content.
pub async fn import<I: BufRead + Seek + Send>(
    catalog: &dyn Catalog,
    how: Import<'_>,
    input: &mut I,
) -> Result<Imported> {
    let file = inspect(input, how.key)?;
    let mut imported = Imported { file, outcome: Outcome::Possible, expired: 0 };
    let marker = marker(catalog).await?;
    match &marker {
        None => refuse_filled(catalog).await?,
        Some((marker, _)) if marker.sha256 != imported.file.sha256 => return Err(another_file(marker)),
        Some((Marker { ended_at: Some(at), .. }, _)) => {
            imported.outcome = Outcome::Before(*at);
            return Ok(imported);
        }
        Some(_) => {}
    }
    if how.dry_run {
        return Ok(imported);
    }
    let (marker, revision) = match marker {
        Some(begun) => begun,
        None => begin(catalog, &imported.file, how.now).await?,
    };
    reserve(catalog, &imported.file).await?;
    input.rewind().map_err(|error| Error::new(ErrorKind::Storage, OPERATION, error.to_string()))?;
    imported.expired = fill(catalog, how, input).await?;
    put(catalog, &Marker { ended_at: Some(how.now), ..marker }, revision).await?;
    imported.outcome = Outcome::Filled;
    Ok(imported)
}

/// Refuses a catalog that an import has filled in part only.
///
/// # Errors
/// `Conflict`.
pub async fn refuse_unfinished(catalog: &dyn Catalog) -> Result<()> {
    match marker(catalog).await? {
        Some((Marker { ended_at: None, began_at, .. }, _)) => {
            let why = format!("an import into this catalog began at {began_at} and has not ended");
            Err(Error::conflict("use the catalog", why)
                .with_mend("run respaldo catalog import with the same file again"))
        }
        _ => Ok(()),
    }
}

async fn marker(catalog: &dyn Catalog) -> Result<Option<(Marker, u64)>> {
    let Some(document) = catalog.document(MARKER).await? else { return Ok(None) };
    let marker = serde_json::from_str(&document.text).map_err(|_| {
        Error::new(ErrorKind::Corrupt, OPERATION, "what the catalog says of an earlier import is damaged")
    })?;
    Ok(Some((marker, document.revision)))
}

async fn begin(catalog: &dyn Catalog, file: &Inspected, now: Timestamp) -> Result<(Marker, u64)> {
    let marker = Marker { sha256: file.sha256.clone(), began_at: now, ended_at: None };
    let revision = put(catalog, &marker, 0).await?;
    Ok((marker, revision))
}

async fn put(catalog: &dyn Catalog, marker: &Marker, revision: u64) -> Result<u64> {
    let text = serde_json::to_string(marker).map_err(|error| Error::internal(OPERATION, error))?;
    catalog.put_document(MARKER, &text, revision).await
}

async fn refuse_filled(catalog: &dyn Catalog) -> Result<()> {
    let mut filled = !catalog.databases(None, 1).await?.is_empty()
        || !catalog.jobs(&JobFilter::default(), None, 1).await?.is_empty()
        || !catalog.claims(None, 1).await?.is_empty();
    for name in DOCUMENTS {
        filled = filled || catalog.document(name).await?.is_some();
    }
    if filled {
        let mend = "name a new catalog; a file's databases are applied after the import";
        return Err(Error::conflict(OPERATION, "the catalog is not empty").with_mend(mend));
    }
    Ok(())
}

fn another_file(marker: &Marker) -> Error {
    let why = match marker.ended_at {
        Some(at) => format!("the catalog was filled from another file at {at}"),
        None => format!("the catalog is half filled from another file, since {}", marker.began_at),
    };
    Error::conflict(OPERATION, why).with_mend("name a new catalog, or go on with that file")
}

/// Sees to it that a number whose database is gone is not given again.
async fn reserve(catalog: &dyn Catalog, file: &Inspected) -> Result<()> {
    let last = DatabaseId(file.last_number);
    let held = placeholder(last, file)?;
    if catalog.last_number().await? < last {
        catalog.restore_database(&held).await?;
    }
    match catalog.database(last).await? {
        Some(there) if there.uid == held.uid => catalog.delete_database(&there).await,
        _ => Ok(()),
    }
}

/// A database that only takes a number away. The file's digest names it, so that the same import knows it.
fn placeholder(id: DatabaseId, file: &Inspected) -> Result<Database> {
    let digest = hex::decode(&file.sha256).unwrap_or_default();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    let settings: Settings = serde_json::from_value(serde_json::json!({
        "name": "a number that was in use", "engine": "sqlite", "database_name": "-", "enabled": false,
    }))
    .map_err(|error| Error::internal(OPERATION, error))?;
    let at = file.exported_at;
    Ok(Database {
        id,
        uid: DatabaseUid(Ulid::from_bytes(bytes)),
        revision: 0,
        config_id: None,
        settings,
        credentials: crate::model::Credentials::None,
        created_at: at,
        updated_at: at,
        schedule_changed_at: at,
        next_due_at: None,
        last_due_at: None,
        history: crate::model::History::default(),
        next_start_at: None,
        definition_stale: false,
        definition_retry_at: None,
        synced: None,
    })
}

/// Writes each record, unless it is there. Answers how many claims have expired.
async fn fill(catalog: &dyn Catalog, how: Import<'_>, input: &mut (dyn BufRead + Send)) -> Result<u64> {
    let (mut reader, _head) = Reader::begin(input, how.key)?;
    let (mut counts, mut expired) = (Counts::default(), 0);
    loop {
        let line = reader.next()?;
        counts.add(&line);
        match line {
            Line::Claim(claim) if !claim.is_live(how.now) => expired += 1,
            Line::Claim(claim) => put_claim(catalog, &claim, how.now).await?,
            Line::Document { name, text } => put_document(catalog, &name, &text).await?,
            Line::Job(job) => put_job(catalog, &job).await?,
            Line::Log(log) => put_log(catalog, &log).await?,
            Line::Database(database) => put_database(catalog, &database).await?,
            Line::End(end) => {
                // It was proven before; this tells a file that has changed since.
                reader.end(&end, counts, how.key)?;
                return Ok(expired);
            }
        }
    }
}

async fn put_claim(catalog: &dyn Catalog, claim: &Claim, now: Timestamp) -> Result<()> {
    match catalog.claim(&claim.key, &claim.value, now, claim.expires_at).await? {
        Some(held) if held != claim.value => Err(in_use(&format!("the key {:?}", claim.key))),
        _ => Ok(()),
    }
}

async fn put_document(catalog: &dyn Catalog, name: &str, text: &str) -> Result<()> {
    match catalog.document(name).await? {
        None => catalog.put_document(name, text, 0).await.map(drop),
        Some(there) if there.text == text => Ok(()),
        Some(_) => Err(in_use(&format!("the document {name:?}"))),
    }
}

/// One that is there was written by this import before. Whoever went on with it is right; what nobody went on with
/// is as the file has it, unless the file changed under an earlier reading.
async fn put_job(catalog: &dyn Catalog, job: &Job) -> Result<()> {
    if catalog.create_job(job).await? {
        return Ok(());
    }
    match catalog.job(job.id).await? {
        Some(there) if there.revision == job.revision && there != *job => {
            Err(in_use(&format!("the job {}", job.id)))
        }
        _ => Ok(()),
    }
}

async fn put_log(catalog: &dyn Catalog, log: &Log) -> Result<()> {
    let mut missing = log.lines.as_slice();
    let mut after = log.after;
    while !missing.is_empty() {
        let there = catalog.log(log.job, after, missing.len()).await?.len();
        if there == 0 {
            return catalog.append_log(log.job, missing).await;
        }
        missing = missing.get(there..).unwrap_or_default();
        after += there as u64;
    }
    Ok(())
}

async fn put_database(catalog: &dyn Catalog, database: &Database) -> Result<()> {
    match catalog.restore_database(database).await {
        Err(error) if error.kind() == ErrorKind::Conflict => match catalog.database(database.id).await? {
            Some(there) if there.uid == database.uid => Ok(()),
            _ => Err(in_use(&format!("the database {}", database.id))),
        },
        written => written.map(drop),
    }
}

fn in_use(what: &str) -> Error {
    Error::conflict(OPERATION, format!("somebody else wrote {what} meanwhile"))
        .with_mend("let nothing work on the new catalog until the import has ended; then use a new one")
}
