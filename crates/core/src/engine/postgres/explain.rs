//! What PostgreSQL's tools say when they fail, as one line with the mend.

use crate::engine::process::Ended;
use crate::{Error, ErrorKind};

/// A phrase of libpq or `pg_dump` (in the C locale), what it means, and what to do.
const KNOWN: [(&str, ErrorKind, &str); 25] = [
    ("password authentication failed", ErrorKind::Denied, "check the user name and the password"),
    ("no password supplied", ErrorKind::Denied, "give this database credentials"),
    (
        "no pg_hba.conf entry",
        ErrorKind::Denied,
        "allow this host, user and database in the server's pg_hba.conf",
    ),
    // Before `role "`: it names one.
    ("too many connections for", ErrorKind::Unavailable, "raise its CONNECTION LIMIT, or retry"),
    ("role \"", ErrorKind::Denied, "check the user name"),
    ("permission denied", ErrorKind::Denied, "let the user read everything: GRANT pg_read_all_data TO it"),
    ("server version mismatch", ErrorKind::Tool, "install a pg_dump of the server's major"),
    ("could not translate host name", ErrorKind::Unavailable, "check host"),
    ("Connection refused", ErrorKind::Unavailable, "check host and port, and that the server runs"),
    ("No route to host", ErrorKind::Unavailable, "check host and the network"),
    ("Network is unreachable", ErrorKind::Unavailable, "check host and the network"),
    ("Connection timed out", ErrorKind::Unavailable, "check host, port and firewalls"),
    ("Connection reset by peer", ErrorKind::Unavailable, "check the network, and see the server's log"),
    ("could not receive data from server", ErrorKind::Unavailable, "check the network"),
    ("timeout expired", ErrorKind::Unavailable, "check host, port and firewalls"),
    ("the database system is", ErrorKind::Unavailable, "wait until the server has started"),
    ("too many clients", ErrorKind::Unavailable, "raise the server's max_connections, or retry"),
    ("remaining connection slots", ErrorKind::Unavailable, "raise the server's max_connections, or retry"),
    ("server closed the connection unexpectedly", ErrorKind::Unavailable, "see the server's log"),
    ("terminating connection", ErrorKind::Unavailable, "see the server's log"),
    ("canceling statement due to", ErrorKind::Unavailable, "on a replica, raise max_standby_streaming_delay"),
    ("server does not support SSL", ErrorKind::Config, "set tls to disable or prefer"),
    ("max_locks_per_transaction", ErrorKind::Unavailable, "raise the server's max_locks_per_transaction"),
    (
        "root certificate file",
        ErrorKind::Config,
        "install ca-certificates, with the server's authority among them, or set tls to require",
    ),
    ("certificate verify failed", ErrorKind::Denied, "check the server's certificate, or the tls mode"),
];

/// What stands in the line that tells why a tool failed.
const TROUBLE: [&str; 3] = ["FATAL", "error:", "ERROR:"];

/// Explains the end of a tool that failed.
pub(super) fn ended(operation: &str, ended: &Ended) -> Error {
    let (said, message) = (&ended.stderr, message(ended));
    if is_missing_database(said) {
        return Error::new(ErrorKind::NotFound, operation, message).with_mend("check database_name");
    }
    for (phrase, kind, mend) in KNOWN {
        if said.contains(phrase) {
            return Error::new(kind, operation, message).with_mend(mend);
        }
    }
    // A tool that was killed, or failed for a reason nobody foresaw, may do better next time.
    Error::new(ErrorKind::Internal, operation, message).with_retryable(true)
}

/// What it said, in one line, and how it ended.
pub(super) fn message(ended: &Ended) -> String {
    let said = &ended.stderr;
    let line = said.lines().find(|line| TROUBLE.iter().any(|word| line.contains(word)));
    let line = line.or_else(|| said.lines().last()).unwrap_or("it said nothing");
    format!("{} ({})", line.trim(), ended.status)
}

/// `database "x" does not exist`; older tools name the database also before other reasons.
fn is_missing_database(said: &str) -> bool {
    let after = said.lines().filter_map(|line| line.split_once("database \"")).map(|(_, rest)| rest);
    after.into_iter().any(|rest| rest.trim_end().ends_with("\" does not exist") && !rest.contains("role \""))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn explain(said: &str) -> Error {
        ended("connect", &Ended { status: ExitStatus::from_raw(0x100), stderr: said.to_owned() })
    }

    #[test]
    fn what_libpq_says_becomes_a_kind_and_a_mend() {
        let cases = [
            ("psql: error: FATAL:  database \"x\" does not exist", ErrorKind::NotFound, false),
            ("psql: error: FATAL:  role \"x\" does not exist", ErrorKind::Denied, false),
            (
                "pg_dump: error: connection to database \"x\" failed: FATAL:  role \"y\" does not exist",
                ErrorKind::Denied,
                false,
            ),
            ("psql: error: FATAL:  too many connections for role \"x\"", ErrorKind::Unavailable, true),
            ("psql: error: FATAL:  too many connections for database \"x\"", ErrorKind::Unavailable, true),
            ("psql: error: could not connect: Connection timed out", ErrorKind::Unavailable, true),
            ("psql: error: root certificate file \"/r\" does not exist", ErrorKind::Config, false),
        ];
        for (said, kind, retryable) in cases {
            let error = explain(said);
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert!(error.mend().is_some() && !error.to_string().contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_nobody_foresaw_is_told_in_the_tool_s_words_and_tried_again() {
        let error = explain("one\npg_dump: error: something new\nthree");
        assert!(error.message().starts_with("pg_dump: error: something new"), "{error}");
        assert!(error.is_retryable());
    }
}
