//! What PostgreSQL says to somebody who restores, as one line with the mend.

use super::super::explain;
use crate::engine::process::Ended;
use crate::{Error, ErrorKind};

/// The operation of the error that a dump answers which needs an extension that the server lacks. It is of
/// kind [`ErrorKind::Tool`]; nothing is wrong with the dump.
pub const MISSING_EXTENSION: &str = "restore: create an extension";

const LOAD: &str = "restore";

/// A phrase of the server, what it means, and what to do.
const KNOWN: [(&str, ErrorKind, &str); 16] = [
    ("logical replication slot", ErrorKind::Conflict, "drop its replication slots first"),
    ("is being accessed by other users", ErrorKind::Conflict, "end their connections, or use force"),
    ("canceling statement due to lock timeout", ErrorKind::Conflict, "end the connections, or use force"),
    ("no space left on device", ErrorKind::Unavailable, "make room on the server"),
    ("No space left on device", ErrorKind::Unavailable, "make room on the server"),
    (
        "must be able to SET ROLE",
        ErrorKind::Denied,
        "restore as a superuser or a member of the owner, or with ownership none",
    ),
    (
        "must be member of role",
        ErrorKind::Denied,
        "restore as a superuser or a member of the owner, or with ownership none",
    ),
    ("must be owner of", ErrorKind::Denied, "restore as its owner or a superuser, or with ownership none"),
    (
        "must be superuser",
        ErrorKind::Denied,
        "restore as a superuser, or without what only a superuser may make",
    ),
    (
        "permission denied to create database",
        ErrorKind::Denied,
        "ALTER ROLE … CREATEDB, or restore with mode in_place",
    ),
    (
        "permission denied to COPY",
        ErrorKind::Denied,
        "this dump reads or writes the server's files: do not trust it",
    ),
    ("permission denied", ErrorKind::Denied, "restore as a superuser or the owner, or with ownership none"),
    ("tablespace \"", ErrorKind::Conflict, "create the tablespace on the server"),
    ("is not a table or", ErrorKind::Conflict, "restore into a new database"),
    ("because other objects depend on it", ErrorKind::Conflict, "drop those, or restore into a new database"),
    ("already exists", ErrorKind::Conflict, "restore the whole dump, or into a new database"),
];

/// Explains a script that failed.
pub(super) fn session(ended: &Ended) -> Error {
    known(ended).unwrap_or_else(|| explain::ended(LOAD, ended))
}

/// Explains a loader that failed.
pub(super) fn loader(ended: &Ended) -> Error {
    let said = &ended.stderr;
    let lacks = |phrase: &str| said.lines().find(|line| line.contains("ERROR:") && line.contains(phrase));
    if said.contains("backslash commands are restricted") {
        return Error::new(ErrorKind::Invalid, LOAD, explain::message(ended))
            .with_mend("somebody made or changed this dump by hand; psql ran none of its commands");
    }
    let extension = lacks("is not available").or_else(|| lacks("could not open extension control file"));
    if extension.is_some_and(|line| line.contains("extension")) {
        return Error::new(ErrorKind::Tool, MISSING_EXTENSION, explain::message(ended))
            .with_mend("install that extension on the server");
    }
    if let Some(line) = lacks("role \"").filter(|line| line.ends_with("does not exist")) {
        let role = line.split('"').nth(1).unwrap_or_default();
        return Error::new(ErrorKind::Conflict, LOAD, explain::message(ended))
            .with_mend(format!("create the role {role:?} on the server, or restore with ownership none"));
    }
    known(ended).unwrap_or_else(|| statement(ended))
}

/// Explains `pg_restore`, which talks with no server.
pub(super) fn unpacker(ended: &Ended) -> Error {
    Error::new(ErrorKind::Corrupt, LOAD, explain::message(ended))
        .with_mend("pg_restore does not read this archive: see its version, and the job's log")
}

/// A loader that reads nothing more has most often met a statement that the server refuses, and will refuse
/// again.
fn statement(ended: &Ended) -> Error {
    let error = explain::ended(LOAD, ended);
    let refused = ended.stderr.lines().any(|line| line.contains("ERROR:"));
    if error.kind() == ErrorKind::Internal && refused {
        return Error::new(ErrorKind::Conflict, LOAD, explain::message(ended))
            .with_mend("the server refuses this statement of the dump: see its versions, and the job's log");
    }
    error
}

fn known(ended: &Ended) -> Option<Error> {
    let lines = || ended.stderr.lines().filter(|line| line.contains("ERROR:"));
    let found = KNOWN.iter().find(|(phrase, ..)| lines().any(|line| line.contains(phrase)));
    found.map(|(_, kind, mend)| Error::new(*kind, LOAD, explain::message(ended)).with_mend(*mend))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn explained(said: &str) -> Error {
        loader(&Ended { status: ExitStatus::from_raw(0x300), stderr: said.to_owned() })
    }

    #[test]
    fn what_a_loader_says_becomes_a_kind_and_a_mend() {
        for (said, kind, mend) in [
            ("psql:<stdin>:9: ERROR:  role \"anna\" does not exist", ErrorKind::Conflict, "\"anna\""),
            ("psql:<stdin>:9: ERROR:  extension \"postgis\" is not available", ErrorKind::Tool, "install"),
            ("psql:<stdin>:2: ERROR:  must be owner of table t", ErrorKind::Denied, "ownership none"),
            (
                "psql:<stdin>:2: ERROR:  unrecognized configuration parameter \"x\"",
                ErrorKind::Conflict,
                "versions",
            ),
            ("psql: error: connection refused: Connection refused", ErrorKind::Unavailable, "port"),
            ("server closed the connection unexpectedly", ErrorKind::Unavailable, "log"),
        ] {
            let error = explained(said);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.mend().unwrap().contains(mend), "{error}");
            assert_eq!(error.is_retryable(), kind == ErrorKind::Unavailable, "{error}");
        }
        let extension = explained("psql:<stdin>:9: ERROR:  extension \"x\" is not available\nHINT: no");
        assert_eq!(extension.operation(), MISSING_EXTENSION);
    }
}
