//! What the driver, the server and the tools say when they fail, as one line with the mend.

use mongodb::error::{Error as DriverError, ErrorKind as Driver};

use super::address::{self, AUTH_SOURCE};
use crate::engine::process::Ended;
use crate::engine::source::Source;
use crate::engine::wording::one_line;
use crate::redact::Redactor;
use crate::{Error, ErrorKind};

const REACH: &str = "check host and port, and that the server runs";
const REACH_TLS: &str = "check host and port, and that the server runs; if it has no TLS, set tls to disable, else see its certificate";
const REACH_PLAIN: &str =
    "check host and port, and that the server runs; if it asks for TLS, set tls to enable";
const TLS_WANTED: &str = "check the network; if the server asks for TLS, set tls to enable";
const CERTIFICATE: &str =
    "give the server a certificate for its name that this machine trusts, or set tls to insecure";
const NO_TLS: &str = "set up TLS on the server, or set tls to disable";
const ROLES: &str = "grant the user read on the database to back it up, and readWrite and dbAdmin to restore it \
                     (or the roles backup and restore on admin)";
const SET: &str = "set replica_set to the set's own name, or leave it out for a single server";
const LATER: &str = "see the server's log; it is tried again";
const MEANTIME: &str = "do not drop or rename collections while backups run; it is tried again";
const LOST: &str = "the server ended the cursor: see its log and cursorTimeoutMillis; it is tried again";
const VERSION: &str = "use MongoDB 4.4 or newer: older ones are not reached, whatever tools are installed";
const PRIMARY: &str = "name the whole set in host, and its name in replica_set, so that the primary is found";
const DUPLICATE: &str = "see which index is unique; restore into an empty database";
const INDEX: &str = "see whether this server's version takes that index";

/// A server's code, what it means, and what to do.
const CODES: [(i32, ErrorKind, &str); 27] = [
    (13, ErrorKind::Denied, ROLES),
    (33, ErrorKind::Config, ROLES),
    (26, ErrorKind::NotFound, "check database_name and collections"),
    (43, ErrorKind::Unavailable, LOST),
    (237, ErrorKind::Unavailable, LOST),
    (175, ErrorKind::Conflict, MEANTIME),
    (6, ErrorKind::Unavailable, REACH),
    (7, ErrorKind::Unavailable, REACH),
    (89, ErrorKind::Unavailable, REACH),
    (9001, ErrorKind::Unavailable, REACH),
    (91, ErrorKind::Unavailable, LATER),
    (189, ErrorKind::Unavailable, LATER),
    (11600, ErrorKind::Unavailable, LATER),
    (11602, ErrorKind::Unavailable, LATER),
    (262, ErrorKind::Unavailable, LATER),
    (24, ErrorKind::Unavailable, LATER),
    (50, ErrorKind::Unavailable, LATER),
    (246, ErrorKind::Unavailable, LATER),
    (239, ErrorKind::Unavailable, "raise minSnapshotHistoryWindowInSeconds on the server; it is tried again"),
    (10107, ErrorKind::Unavailable, PRIMARY),
    (13435, ErrorKind::Unavailable, PRIMARY),
    (11000, ErrorKind::Conflict, DUPLICATE),
    (67, ErrorKind::Config, INDEX),
    (85, ErrorKind::Conflict, INDEX),
    (86, ErrorKind::Conflict, INDEX),
    (48, ErrorKind::Conflict, "look at who else uses this database"),
    (14031, ErrorKind::Storage, "free space on the server's disk"),
];

/// A phrase, what it means, and what to do. The first one counts.
const PHRASES: [(&str, ErrorKind, &str); 21] = [
    ("wire version", ErrorKind::Tool, VERSION),
    ("incompatible", ErrorKind::Tool, VERSION),
    ("UnknownIssuer", ErrorKind::Denied, CERTIFICATE),
    ("invalid peer certificate", ErrorKind::Denied, CERTIFICATE),
    ("x509:", ErrorKind::Denied, CERTIFICATE),
    ("InvalidContentType", ErrorKind::Config, NO_TLS),
    ("corrupt message", ErrorKind::Config, NO_TLS),
    ("first record does not look like a TLS handshake", ErrorKind::Config, NO_TLS),
    ("requires authentication", ErrorKind::Denied, "give the database's user and password as credentials"),
    ("not authorized", ErrorKind::Denied, ROLES),
    ("set name", ErrorKind::Config, SET),
    ("SetName", ErrorKind::Config, SET),
    ("CursorNotFound", ErrorKind::Unavailable, LOST),
    ("Connection refused", ErrorKind::Unavailable, REACH),
    ("connection refused", ErrorKind::Unavailable, REACH),
    ("no such host", ErrorKind::Unavailable, "check host"),
    ("failed to lookup address", ErrorKind::Unavailable, "check host"),
    ("unexpected end of file", ErrorKind::Unavailable, TLS_WANTED),
    ("onnection reset", ErrorKind::Unavailable, TLS_WANTED),
    ("socket was unexpectedly closed", ErrorKind::Unavailable, TLS_WANTED),
    ("EOF", ErrorKind::Unavailable, TLS_WANTED),
];

/// Explains an error of the driver.
pub(super) fn failed(operation: &str, source: &Source, error: &DriverError) -> Error {
    let redactor = source.login.redactor();
    match error.kind.as_ref() {
        Driver::Authentication { message, .. } => refused_login(operation, source, message, error),
        Driver::Command(command) => {
            let said = format!("{} (code {})", command.message, command.code);
            of_code(operation, &shown(&redactor, &said), command.code, &command.message)
        }
        Driver::Io(e) => {
            let error = known(operation, &shown(&redactor, &e.to_string()));
            error.unwrap_or_else(|| unavailable(operation, &shown(&redactor, &e.to_string()), TLS_WANTED))
        }
        Driver::DnsResolve { message, .. } => {
            unavailable(operation, &shown(&redactor, message), "check host")
        }
        Driver::ServerSelection { message, .. } | Driver::ConnectionPoolCleared { message, .. } => {
            let said = shown(&redactor, message);
            let encrypts =
                source.settings.tls.as_deref().map_or(address::is_srv(&source.settings), |m| m != "disable");
            let mend = if encrypts { REACH_TLS } else { REACH_PLAIN };
            known(operation, &said).unwrap_or_else(|| unavailable(operation, &said, mend))
        }
        Driver::IncompatibleServer { message, .. } => {
            Error::new(ErrorKind::Tool, operation, shown(&redactor, message)).with_mend(VERSION)
        }
        Driver::InvalidArgument { message, .. } | Driver::InvalidTlsConfig { message, .. } => {
            Error::new(ErrorKind::Config, operation, shown(&redactor, message))
                .with_mend("check host and tls")
        }
        other => {
            let said = shown(&redactor, &other.to_string());
            known(operation, &said).unwrap_or_else(|| unforeseen(operation, &said))
        }
    }
}

/// Explains an error code of the server, such as stands in a reply about single documents.
pub(super) fn of_code(operation: &str, said: &str, code: i32, message: &str) -> Error {
    if code == 18 {
        return Error::new(ErrorKind::Denied, operation, said)
            .with_mend("check the user name and the password");
    }
    if let Some(error) = known(operation, said).filter(|_| message.contains("requires authentication")) {
        return error;
    }
    match CODES.iter().find(|(known, ..)| *known == code) {
        Some((_, kind, mend)) => {
            let passing = code == 175;
            let error = Error::new(*kind, operation, said).with_mend(*mend);
            if passing { error.with_retryable(true) } else { error }
        }
        None => known(operation, said).unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, operation, said).with_mend("see the server's log")
        }),
    }
}

/// The server knows the user, or not, in one database only.
fn refused_login(operation: &str, source: &Source, message: &str, error: &DriverError) -> Error {
    use std::error::Error as _;
    let why = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let said = shown(&source.login.redactor(), &format!("{message}{why}"));
    let place = source.settings.auth_source.as_deref().unwrap_or(AUTH_SOURCE);
    let mend = format!(
        "check the user name and the password; the user was looked for in the database {place}: set auth_source to \
         the one that it was made in"
    );
    Error::new(ErrorKind::Denied, operation, said).with_mend(mend)
}

fn known(operation: &str, said: &str) -> Option<Error> {
    let (_, kind, mend) = PHRASES.iter().find(|(phrase, ..)| said.contains(phrase))?;
    Some(Error::new(*kind, operation, said).with_mend(*mend))
}

fn unavailable(operation: &str, said: &str, mend: &str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, said).with_mend(mend)
}

fn unforeseen(operation: &str, said: &str) -> Error {
    Error::new(ErrorKind::Internal, operation, said).with_retryable(true).with_mend("see the server's log")
}

/// One line, not too long, without secrets.
fn shown(redactor: &Redactor, said: &str) -> String {
    one_line(&redactor.redact(said))
}

/// Explains the end of a tool that failed.
pub(super) fn ended(operation: &str, source: &Source, ended: &Ended) -> Error {
    let said: Vec<&str> = ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let told = said.iter().rev().find(|line| line.contains("Failed") || line.contains("rror"));
    let line = told.or(said.last()).copied().unwrap_or("it said nothing");
    let message = format!("{} ({})", one_line(without_time(line)), ended.status);
    if ended.stderr.contains("AuthenticationFailed") || ended.stderr.contains("auth error") {
        let place = source.settings.auth_source.as_deref().unwrap_or(AUTH_SOURCE);
        let mend = format!("check user, password and auth_source (the user was looked for in {place})");
        return Error::new(ErrorKind::Denied, operation, message).with_mend(mend);
    }
    let meant = PHRASES.iter().find(|(phrase, ..)| line.contains(phrase));
    match meant {
        Some((_, kind, mend)) => Error::new(*kind, operation, message).with_mend(*mend),
        // A tool that was killed, or failed for a reason nobody foresaw, may do better next time.
        None => Error::new(ErrorKind::Internal, operation, message).with_retryable(true),
    }
}

/// The tools begin each line with the time and a tab.
fn without_time(line: &str) -> &str {
    line.split_once('\t').map_or(line, |(_, rest)| rest)
}
