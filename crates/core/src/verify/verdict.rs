//! What an error says of a backup, and where a verdict is written.

use std::time::Duration;

use jiff::Timestamp;

use crate::app::App;
use crate::engine::JobLog;
use crate::jobs;
use crate::model::{JobId, Status, Verification, VerificationStatus};
use crate::retention::heirs;
use crate::{Error, ErrorKind, Result};

/// So many differing tables are kept in a record.
const MOST_DIFFERENCES: usize = 100;
/// What loaders say of what the dump needs and this machine lacks; and of what, in one word.
const LACKING: [(&str, &str); 6] = [
    ("is not available", "extension"),
    ("could not open extension control file", "extension"),
    ("could not access file \"$libdir/", "library"),
    ("collation \"", "locale"),
    ("Unknown storage engine", "storage engine"),
    ("Plugin '", "plugin"),
];

/// Why a test ends before its comparison.
pub(super) enum Ending {
    /// The backup is judged.
    Verdict(VerificationStatus, Error),
    /// It is not: something of ours, or of the store, failed.
    Trouble(Error),
}

/// What failed while the artifact was read.
pub(super) fn reading(error: Error) -> Ending {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Incomplete => Ending::Verdict(VerificationStatus::Failed, error),
        _ => Ending::Trouble(error),
    }
}

/// What failed while the artifact was opened: only here does `Denied` mean that no identity fits.
pub(super) fn opening(error: Error) -> Ending {
    match error.kind() {
        ErrorKind::Denied => Ending::Verdict(VerificationStatus::NotVerified, error),
        _ => reading(error),
    }
}

/// What failed while a scratch server was started.
pub(super) fn starting(error: Error) -> Ending {
    match error.kind() {
        ErrorKind::Tool if !error.is_retryable() => Ending::Verdict(VerificationStatus::NotVerified, error),
        _ => Ending::Trouble(error),
    }
}

/// What failed while the dump was loaded into a server that was made for it. `alive`: the server runs on.
pub(super) fn loading(error: Error, alive: bool) -> Ending {
    use ErrorKind::{Cancelled, Conflict, Corrupt, Denied, Fenced, Incomplete, Internal, Invalid, NotFound, Tool};
    match error.kind() {
        Corrupt | Incomplete => Ending::Verdict(VerificationStatus::Failed, error),
        Tool if !error.is_retryable() => Ending::Verdict(VerificationStatus::NotVerified, error),
        Cancelled | Fenced => Ending::Trouble(error),
        _ if !alive || is_ours(error.message()) => Ending::Trouble(error),
        _ if is_lacking(error.message()) => Ending::Verdict(VerificationStatus::NotVerified, error),
        // The server is ours and empty: what it refuses of a whole dump does not restore elsewhere either.
        Internal | Invalid | NotFound | Conflict | Denied => {
            Ending::Verdict(VerificationStatus::Failed, error)
        }
        _ => Ending::Trouble(error),
    }
}

/// A full disk, or a loader that was killed.
fn is_ours(message: &str) -> bool {
    ["No space left", "disk full", "is full", "signal: ", "ut of memory", "start "]
        .iter()
        .any(|phrase| message.contains(phrase))
}

fn is_lacking(message: &str) -> bool {
    LACKING.iter().any(|(phrase, _)| {
        message.contains(phrase)
            && (*phrase != "collation \"" || message.contains("does not exist"))
            && (*phrase != "Plugin '" || message.contains("is not loaded"))
    })
}

/// A verdict without a comparison.
pub(super) fn judged(status: VerificationStatus, error: &Error, at: Timestamp) -> Verification {
    Verification { status, reason: Some(reason(error)), differences: Vec::new(), duration_ms: None, at: Some(at) }
}

fn reason(error: &Error) -> String {
    let what = format!("{}: {}", error.operation(), error.message());
    error.mend().map_or(what.clone(), |mend| format!("{what} ({mend})"))
}

/// The verdict of a comparison.
pub(super) fn compared(differences: Vec<String>, took: Duration, at: Timestamp) -> Verification {
    let status = if differences.is_empty() { VerificationStatus::Ok } else { VerificationStatus::Failed };
    let tables = differences.len();
    let reason = (tables > 0).then(|| {
        let word = if tables == 1 { "table differs" } else { "tables differ" };
        format!("{tables} {word} between the backup and its restored copy")
    });
    let mut kept: Vec<String> = differences.into_iter().take(MOST_DIFFERENCES).collect();
    if tables > MOST_DIFFERENCES {
        kept.push(format!("and {} more", tables - MOST_DIFFERENCES));
    }
    Verification {
        status,
        reason,
        differences: kept,
        duration_ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        at: Some(at),
    }
}

/// Writes a verdict into the job's log.
pub(super) fn tell(log: &JobLog, verdict: &Verification) {
    let line = match &verdict.reason {
        Some(reason) => format!("{}: {reason}", verdict.status.as_str()),
        None => verdict.status.as_str().to_owned(),
    };
    match verdict.status {
        VerificationStatus::Ok => log.info(line),
        VerificationStatus::NotVerified => log.warn(line),
        VerificationStatus::Failed => log.error(line),
    }
    for difference in &verdict.differences {
        log.error(difference);
    }
}

/// Writes a verdict into the backup's record. A newer one stays; `not_verified` replaces no other verdict.
pub(super) async fn record(app: &App, backup: JobId, verdict: &Verification) -> Result<()> {
    let (mut written, now) = (false, app.now());
    let updated = jobs::update(app, backup, |job| {
        let succeeded = job.status == Status::Succeeded;
        let known = &mut job.backup_mut()?.verification;
        written = succeeded && known.as_ref().is_none_or(|known| gives_way(known, verdict, now));
        if written {
            *known = Some(verdict.clone());
        }
        Ok(())
    });
    let job = match updated.await {
        // It was deleted in the meantime: nobody needs to know any more.
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        updated => updated?,
    };
    if written && verdict.status == VerificationStatus::Failed {
        // Also where it was not `ok` before: who wrote that may have died before this.
        heirs::protect_verified(app, &job).await?;
    }
    Ok(())
}

/// What was written by a clock that was ahead gives way to whatever comes.
fn gives_way(known: &Verification, verdict: &Verification, now: Timestamp) -> bool {
    let tells = |verdict: &Verification| verdict.status != VerificationStatus::NotVerified;
    let older = known.at <= verdict.at || known.at.is_some_and(|at| at > now);
    !tells(known) || (tells(verdict) && older)
}
