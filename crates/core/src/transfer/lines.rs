//! The file: JSON, one record a line, between a head and an end that proves it whole.

use std::io::{BufRead, Read as _};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::keyring::MasterKey;
use crate::model::{Database, Job, JobId};
use crate::ports::{Claim, LogEntry};
use crate::{Error, ErrorKind, Result};

pub(super) const VERSION: u32 = 1;
/// No record is longer, in bytes; a reader holds one at a time.
pub(super) const LONGEST_LINE: u64 = 64 * 1024 * 1024;
/// Signatures are of the digest behind this, so that one of something else never fits.
const SIGNED: &[u8] = b"respaldo export v1\n";
const READ: &str = "read the export";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The version of this format.
    pub(super) respaldo_export: u32,
    pub(super) written_by: String,
    /// Tells the master key without which the catalog is of no use.
    pub(super) key_id: String,
    /// The catalog, for people to read.
    pub(super) source: String,
    pub(super) exported_at: Timestamp,
    /// The greatest number that a database had there, also one that is gone.
    pub(super) last_number: i64,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Claim(Claim),
    Document { name: String, text: String },
    Job(Box<Job>),
    Log(Log),
    Database(Box<Database>),
    End(End),
}

/// Lines of a job's log, in order; `after` of them came in earlier records.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Log {
    pub(super) job: JobId,
    pub(super) after: u64,
    pub(super) lines: Vec<LogEntry>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) counts: Counts,
    /// Of every byte before this line.
    pub(super) sha256: String,
    /// Of that digest, under the master key.
    pub(super) signature: String,
}

/// How many records of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Databases.
    pub databases: u64,
    /// Jobs, and with them backups, restores and packages.
    pub jobs: u64,
    /// Lines of their logs.
    pub log_lines: u64,
    /// Claims: names that are taken, answers that are remembered.
    pub claims: u64,
    /// Documents, such as the settings.
    pub documents: u64,
}

impl Counts {
    pub(super) fn add(&mut self, line: &Line) {
        match line {
            Line::Claim(_) => self.claims += 1,
            Line::Document { .. } => self.documents += 1,
            Line::Job(_) => self.jobs += 1,
            Line::Log(log) => self.log_lines += log.lines.len() as u64,
            Line::Database(_) => self.databases += 1,
            Line::End(_) => {}
        }
    }
}

/// A file that is whole, and of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What is in it.
    pub counts: Counts,
    /// The catalog that it was made of, for people to read.
    pub source: String,
    /// When it was made.
    pub exported_at: Timestamp,
    /// The version that made it.
    pub written_by: String,
    /// Jobs that were running then.
    pub running: u64,
    /// The digest that tells it from other files.
    pub sha256: String,
    pub(super) last_number: i64,
}

/// What proves a digest under a key.
pub(super) fn sign(key: &MasterKey, sha256: &[u8]) -> String {
    hex::encode(key.sign(&[SIGNED, sha256].concat()))
}

/// Reads a whole file, and answers what is in it. Nothing else is believed of a file that this refuses.
///
/// # Errors
/// `Config` for another master key or a newer version, `Corrupt` when it was cut or changed.
pub fn inspect(input: &mut dyn BufRead, key: &MasterKey) -> Result<Inspected> {
    let (mut reader, head) = Reader::begin(input, key)?;
    let (mut counts, mut running) = (Counts::default(), 0);
    loop {
        let line = reader.next()?;
        counts.add(&line);
        match line {
            Line::Job(job) if job.status == crate::model::Status::Running => running += 1,
            Line::End(end) => {
                let sha256 = reader.end(&end, counts, key)?;
                return Ok(Inspected {
                    counts,
                    source: head.source,
                    exported_at: head.exported_at,
                    written_by: head.written_by,
                    running,
                    sha256,
                    last_number: head.last_number,
                });
            }
            _ => {}
        }
    }
}

/// Reads a file line by line.
pub(super) struct Reader<'a> {
    input: &'a mut (dyn BufRead + 'a),
    buffer: Vec<u8>,
    /// Of all lines before the last that was read.
    sha256: Sha256,
    number: u64,
}

/// What every version's first line has.
#[derive(Deserialize)]
struct Any {
    respaldo_export: u32,
    written_by: String,
}

impl<'a> Reader<'a> {
    pub(super) fn begin(input: &'a mut (dyn BufRead + 'a), key: &MasterKey) -> Result<(Self, Head)> {
        let mut reader = Self { input, buffer: Vec::new(), sha256: Sha256::new(), number: 0 };
        let foreign = || refused(ErrorKind::Invalid, "it is no export of a catalog").with_field("input");
        if !reader.advance().map_err(|_| foreign())? {
            return Err(foreign());
        }
        let any: Any = serde_json::from_slice(&reader.buffer).map_err(|_| foreign())?;
        if any.respaldo_export > VERSION || is_newer(&any.written_by) {
            let why = format!("it was written by a newer Respaldo ({})", any.written_by);
            return Err(refused(ErrorKind::Config, why).with_mend("import it with that version"));
        }
        let head: Head = serde_json::from_slice(&reader.buffer).map_err(|_| reader.broken())?;
        if head.key_id != hex::encode(key.id()) {
            return Err(refused(ErrorKind::Config, "it belongs to another master key")
                .with_field("RESPALDO_MASTER_KEY")
                .with_mend("give the master key of the installation that is moved"));
        }
        Ok((reader, head))
    }

    /// The next record.
    pub(super) fn next(&mut self) -> Result<Line> {
        self.sha256.update(&self.buffer);
        if !self.advance()? {
            return Err(refused(
                ErrorKind::Corrupt,
                format!("it ends after line {}: it was cut", self.number),
            )
            .with_mend("copy it again, or export the catalog again"));
        }
        serde_json::from_slice(&self.buffer).map_err(|_| self.broken())
    }

    /// Whether the end proves all that came before it. Answers the digest.
    pub(super) fn end(mut self, end: &End, counts: Counts, key: &MasterKey) -> Result<String> {
        let sha256 = self.sha256.clone().finalize();
        let signature = hex::decode(&end.signature).unwrap_or_default();
        let signed = key.verify(&[SIGNED, sha256.as_slice()].concat(), &signature);
        if !signed || hex::encode(sha256) != end.sha256 || counts != end.counts || self.advance()? {
            return Err(refused(ErrorKind::Corrupt, "it is not as it was written")
                .with_mend("copy it again, or export the catalog again"));
        }
        Ok(end.sha256.clone())
    }

    /// Reads one line, with its break; false at the end of the file.
    fn advance(&mut self) -> Result<bool> {
        self.buffer.clear();
        let mut limited = self.input.take(LONGEST_LINE + 1);
        let read = limited
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| refused(ErrorKind::Storage, error.to_string()))?;
        self.number += u64::from(read > 0);
        if self.buffer.len() as u64 > LONGEST_LINE {
            return Err(self.broken());
        }
        Ok(read > 0)
    }

    fn broken(&self) -> Error {
        refused(ErrorKind::Corrupt, format!("line {} is not what Respaldo writes", self.number))
            .with_mend("copy it again, or export the catalog again")
    }
}

fn refused(kind: ErrorKind, why: impl Into<String>) -> Error {
    Error::new(kind, READ, why)
}

/// Whether a version knows fields that this one could drop in silence.
fn is_newer(version: &str) -> bool {
    let parts = |text: &str| -> Option<Vec<u64>> {
        let plain = text.split(['-', '+']).next()?;
        plain.split('.').map(|part| part.parse().ok()).collect()
    };
    parts(version) > parts(env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, newer) in [("0.0.9", false), (env!("CARGO_PKG_VERSION"), false), ("999.0.0", true)] {
            assert_eq!(is_newer(version), newer, "{version}");
        }
    }
}
