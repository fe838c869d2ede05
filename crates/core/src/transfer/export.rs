//! A catalog into a file.

use std::io::Write;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::DOCUMENTS;
use super::lines::{Counts, End, Head, LONGEST_LINE, Line, Log, VERSION, sign};
use crate::keyring::MasterKey;
use crate::model::{Job, JobId, Status};
use crate::ports::{Catalog, Cursor, JobFilter};
use crate::{Error, ErrorKind, Result};

/// Records that are read at once.
const PAGE: usize = 200;
const OPERATION: &str = "export a catalog";

/// What an export is told besides the catalog.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The installation's key: the file is signed with it, and is of use only with it.
    pub key: &'a MasterKey,
    /// What the catalog is called, for people to read.
    pub source: String,
    /// The present instant.
    pub now: Timestamp,
    /// Go on although somebody is at work on the catalog.
    pub force: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// How many records.
    pub counts: Counts,
    /// Jobs that were running: their leases run out, and the new host takes them over.
    pub running: u64,
}

/// Writes everything that the catalog knows. Whoever works on it meanwhile is not stopped, and what is written
/// then is of different moments: stop the old host first.
///
/// # Errors
/// `Conflict` when somebody is at work and nobody said to go on, `Storage` when the file cannot be written,
/// `TooLarge` for a record that no import would read.
pub async fn export(
    catalog: &dyn Catalog,
    how: Export<'_>,
    out: &mut (dyn Write + Send),
) -> Result<Exported> {
    super::refuse_unfinished(catalog).await?;
    if !how.force {
        refuse_busy(catalog, how.now).await?;
    }
    let head = Head {
        respaldo_export: VERSION,
        written_by: env!("CARGO_PKG_VERSION").to_owned(),
        key_id: hex::encode(how.key.id()),
        source: how.source.clone(),
        exported_at: how.now,
        last_number: catalog.last_number().await?.0,
    };
    let mut writer = Writer { out, sha256: Sha256::new(), done: Exported::default() };
    writer.put_text(&json(&head)?)?;
    claims(catalog, how.now, &mut writer).await?;
    for name in DOCUMENTS {
        if let Some(document) = catalog.document(name).await? {
            writer.put(&Line::Document { name: name.to_owned(), text: document.text })?;
        }
    }
    // What asks for attention comes last, so that nothing is set in motion by half of a catalog.
    let waiting = settled_jobs(catalog, &mut writer).await?;
    databases(catalog, &mut writer).await?;
    for id in waiting {
        if let Some(job) = catalog.job(id).await? {
            put_job(catalog, job, &mut writer).await?;
        }
    }
    writer.end(how.key)
}

/// Leases are what a host at work can be known by.
async fn refuse_busy(catalog: &dyn Catalog, now: Timestamp) -> Result<()> {
    let at_work = catalog.live_leases("", now).await?.len();
    if at_work == 0 {
        return Ok(());
    }
    let why = format!("a host is at work on the catalog ({at_work} leases are held)");
    Err(Error::conflict(OPERATION, why)
        .with_retryable(true)
        .with_mend("stop it and wait until its jobs have ended; or export as things stand with --force"))
}

async fn claims(catalog: &dyn Catalog, now: Timestamp, writer: &mut Writer<'_>) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let page = catalog.claims(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        for claim in page.into_iter().filter(|claim| claim.is_live(now)) {
            writer.put(&Line::Claim(claim))?;
        }
    }
}

/// Writes the jobs to which nothing more happens, and answers the ids of the others.
async fn settled_jobs(catalog: &dyn Catalog, writer: &mut Writer<'_>) -> Result<Vec<JobId>> {
    let (mut after, mut waiting) = (None, Vec::new());
    loop {
        let page = catalog.jobs(&JobFilter::default(), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(waiting) };
        after = Some(Cursor::after(last));
        for job in page {
            if job.attention_at().is_some() {
                waiting.push(job.id);
            } else {
                put_job(catalog, job, writer).await?;
            }
        }
    }
}

async fn put_job(catalog: &dyn Catalog, job: Job, writer: &mut Writer<'_>) -> Result<()> {
    let id = job.id;
    writer.done.running += u64::from(job.status == Status::Running);
    writer.put(&Line::Job(Box::new(job)))?;
    let (mut seq, mut after) = (0, 0);
    loop {
        let lines = catalog.log(id, seq, PAGE).await?;
        let Some(last) = lines.last() else { return Ok(()) };
        seq = last.seq;
        let next = after + lines.len() as u64;
        writer.put(&Line::Log(Log { job: id, after, lines }))?;
        after = next;
    }
}

async fn databases(catalog: &dyn Catalog, writer: &mut Writer<'_>) -> Result<()> {
    let mut after = None;
    loop {
        let page = catalog.databases(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for database in page {
            writer.put(&Line::Database(Box::new(database)))?;
        }
    }
}

struct Writer<'a> {
    out: &'a mut (dyn Write + Send),
    sha256: Sha256,
    done: Exported,
}

impl Writer<'_> {
    fn put(&mut self, line: &Line) -> Result<()> {
        self.done.counts.add(line);
        self.put_text(&json(line)?)
    }

    fn put_text(&mut self, text: &str) -> Result<()> {
        // With its break. Better told while the old catalog is there than by the import.
        if text.len() as u64 >= LONGEST_LINE {
            let why = format!("a record has {} bytes, and none may have {LONGEST_LINE}", text.len());
            return Err(Error::new(ErrorKind::TooLarge, OPERATION, why));
        }
        for bytes in [text.as_bytes(), b"\n"] {
            self.sha256.update(bytes);
            self.out.write_all(bytes).map_err(|error| unwritable(&error))?;
        }
        Ok(())
    }

    fn end(mut self, key: &MasterKey) -> Result<Exported> {
        let sha256 = self.sha256.clone().finalize();
        let (signature, sha256) = (sign(key, &sha256), hex::encode(sha256));
        let end = End { counts: self.done.counts, sha256, signature };
        self.put_text(&json(&Line::End(end))?)?;
        self.out.flush().map_err(|error| unwritable(&error))?;
        Ok(self.done)
    }
}

fn json(line: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(line).map_err(|error| Error::internal(OPERATION, error))
}

fn unwritable(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, OPERATION, error.to_string())
}
