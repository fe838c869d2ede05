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
/// What loaders say of what the dump needs and this machine lacks: two phrases, which both stand in the line.
const LACKING: [(&str, &str); 8] = [
    ("extension \"", "is not available"),
    ("could not open extension control file", ""),
    ("could not access file \"$libdir/", ""),
    ("collation \"", "does not exist"),
    ("Unknown collation", ""),
    ("Unknown character set", ""),
    ("Unknown storage engine", ""),
    ("Plugin '", "is not loaded"),
];
/// What they say when it is this machine that failed.
const OURS: [&str; 4] = ["No space left", "is full", "signal: ", "ut of memory"];

/// What a server of others lacks besides.
const FOREIGN: [(&str, &str); 2] = [("role \"", "does not exist"), ("tablespace \"", "does not exist")];
/// What they say when somebody else on the server was in the way.
const PASSING: [&str; 5] = [
    "being accessed by other users",
    "lock timeout",
    "Lock wait timeout",
    "terminating connection",
    "Lost connection",
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
    use ErrorKind::{
        Cancelled, Config, Conflict, Corrupt, Denied, Fenced, Incomplete, Internal, Invalid, NotFound, Tool,
    };
    match error.kind() {
        Corrupt | Incomplete => Ending::Verdict(VerificationStatus::Failed, error),
        Tool if !error.is_retryable() => Ending::Verdict(VerificationStatus::NotVerified, error),
        Cancelled | Fenced => Ending::Trouble(error),
        _ if !alive || is_ours(error.message()) => Ending::Trouble(error),
        _ if is_lacking(error.message()) => Ending::Verdict(VerificationStatus::NotVerified, error),
        // The server is ours and empty: what it refuses of a whole dump does not restore elsewhere either.
        Internal | Invalid | NotFound | Conflict | Config | Denied => {
            Ending::Verdict(VerificationStatus::Failed, error)
        }
        _ => Ending::Trouble(error),
    }
}

/// What failed while the dump was loaded into a server that others use too: what it refuses for want of rights
/// or of a role, and what comes and goes there, says nothing of the dump.
pub(super) fn loading_elsewhere(error: Error) -> Ending {
    use ErrorKind::{Config, Conflict, Corrupt, Denied, Incomplete, Invalid, Tool};
    let passing = |message: &str| is_ours(message) || PASSING.iter().any(|phrase| message.contains(phrase));
    match error.kind() {
        Tool if !error.is_retryable() => Ending::Verdict(VerificationStatus::NotVerified, error),
        Invalid | Conflict | Config | Denied if passing(error.message()) => {
            Ending::Trouble(error.with_retryable(true))
        }
        Denied => Ending::Verdict(VerificationStatus::NotVerified, error),
        Invalid | Conflict | Config if is_lacking(error.message()) || is_foreign(error.message()) => {
            Ending::Verdict(VerificationStatus::NotVerified, error)
        }
        Corrupt | Incomplete | Invalid | Conflict | Config => {
            Ending::Verdict(VerificationStatus::Failed, error)
        }
        _ => Ending::Trouble(error),
    }
}

fn is_foreign(message: &str) -> bool {
    FOREIGN.iter().any(|(one, other)| message.contains(one) && message.contains(other))
}

/// A full disk, or a loader that was killed.
fn is_ours(message: &str) -> bool {
    OURS.iter().any(|phrase| message.contains(phrase))
}

fn is_lacking(message: &str) -> bool {
    LACKING.iter().any(|(one, other)| message.contains(one) && message.contains(other))
}

/// A verdict without a comparison.
pub(super) fn judged(status: VerificationStatus, error: &Error, at: Timestamp) -> Verification {
    Verification {
        status,
        reason: Some(reason(error)),
        differences: Vec::new(),
        duration_ms: None,
        at: Some(at),
    }
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

#[cfg(test)]
mod tests {
    use VerificationStatus::{Failed, NotVerified, Ok};

    use super::*;

    fn ending(kind: ErrorKind, message: &str, alive: bool) -> Option<VerificationStatus> {
        match loading(Error::new(kind, "load the dump", message), alive) {
            Ending::Verdict(status, _) => Some(status),
            Ending::Trouble(_) => None,
        }
    }

    #[test]
    fn what_a_server_of_ours_refuses_of_a_dump_is_the_dump_s_fault() {
        for (kind, message) in [
            (ErrorKind::Corrupt, "it opens to more than the 5 bytes that it should have"),
            (ErrorKind::Incomplete, "it ends within a row"),
            (ErrorKind::Internal, "ERROR:  syntax error at or near \"x\" (exit status: 3)"),
            (ErrorKind::Config, "ERROR 1064 (42000) at line 3: You have an error in your SQL syntax"),
        ] {
            assert_eq!(ending(kind, message, true), Some(VerificationStatus::Failed), "{message}");
        }
    }

    #[test]
    fn what_this_machine_lacks_says_nothing_of_the_backup() {
        for message in [
            "ERROR:  extension \"postgis\" is not available",
            "ERROR:  could not open extension control file \"/x/postgis.control\"",
            "ERROR:  collation \"pg_catalog.de_DE\" for encoding \"UTF8\" does not exist",
            "ERROR 1273 (HY000) at line 9: Unknown collation: 'utf8mb4_uca1400_ai_ci'",
        ] {
            assert_eq!(ending(ErrorKind::Internal, message, true), Some(VerificationStatus::NotVerified));
        }
        assert_eq!(ending(ErrorKind::Tool, "no psql", true), Some(VerificationStatus::NotVerified));
    }

    #[test]
    fn what_fails_on_our_side_is_no_verdict() {
        assert_eq!(ending(ErrorKind::Internal, "ERROR:  something", false), None, "the server died");
        assert_eq!(ending(ErrorKind::Internal, "could not extend file: No space left on device", true), None);
        assert_eq!(ending(ErrorKind::Internal, "it said nothing (signal: 9 (SIGKILL))", true), None);
        for kind in [ErrorKind::Unavailable, ErrorKind::Storage, ErrorKind::Timeout, ErrorKind::Fenced] {
            assert_eq!(ending(kind, "x", true), None, "{kind}");
        }
    }

    #[test]
    fn a_verdict_stays_against_an_older_one_and_against_not_verified() {
        let at = |second: i64| Timestamp::from_second(second).ok();
        let verdict = |status, second| Verification {
            status,
            reason: None,
            differences: Vec::new(),
            duration_ms: None,
            at: at(second),
        };
        let now = at(100).unwrap();
        assert!(gives_way(&verdict(Ok, 10), &verdict(Failed, 20), now));
        assert!(!gives_way(&verdict(Ok, 20), &verdict(Failed, 10), now));
        assert!(!gives_way(&verdict(Ok, 10), &verdict(NotVerified, 20), now));
        assert!(gives_way(&verdict(NotVerified, 10), &verdict(NotVerified, 20), now));
        assert!(gives_way(&verdict(Ok, 900), &verdict(Failed, 20), now), "written by a clock that was ahead");
    }

    #[test]
    fn so_many_differences_are_told_and_the_others_counted() {
        let lines: Vec<String> = (0..250).map(|n| format!("t{n}: missing")).collect();
        let verdict = compared(lines, Duration::from_secs(2), Timestamp::UNIX_EPOCH);
        assert_eq!(verdict.differences.len(), MOST_DIFFERENCES + 1);
        assert_eq!(verdict.differences.last().unwrap(), "and 150 more");
        assert!(verdict.reason.unwrap().starts_with("250 tables differ"));
    }
}
