//! What PostgreSQL's tools say when they fail, as one line with the mend.

use crate::engine::process::Ended;
use crate::{Error, ErrorKind};

/// A phrase of libpq or `pg_dump` (in the C locale), what it means, and what to do.
const KNOWN: [(&str, ErrorKind, &str); 19] = [
    ("password authentication failed", ErrorKind::Denied, "check the user name and the password"),
    ("no password supplied", ErrorKind::Denied, "give this database credentials"),
    (
        "no pg_hba.conf entry",
        ErrorKind::Denied,
        "allow this host, user and database in the server's pg_hba.conf",
    ),
    ("role \"", ErrorKind::Denied, "check the user name"),
    ("permission denied", ErrorKind::Denied, "let the user read everything: GRANT pg_read_all_data TO it"),
    ("server version mismatch", ErrorKind::Tool, "install a pg_dump of the server's major"),
    ("could not translate host name", ErrorKind::Unavailable, "check host"),
    ("Connection refused", ErrorKind::Unavailable, "check host and port, and that the server runs"),
    ("No route to host", ErrorKind::Unavailable, "check host and the network"),
    ("Network is unreachable", ErrorKind::Unavailable, "check host and the network"),
    ("timeout expired", ErrorKind::Unavailable, "check host, port and firewalls"),
    ("the database system is", ErrorKind::Unavailable, "wait until the server has started"),
    ("too many clients", ErrorKind::Unavailable, "raise the server's max_connections, or retry"),
    ("remaining connection slots", ErrorKind::Unavailable, "raise the server's max_connections, or retry"),
    ("server closed the connection unexpectedly", ErrorKind::Unavailable, "see the server's log"),
    ("terminating connection", ErrorKind::Unavailable, "see the server's log"),
    ("canceling statement due to", ErrorKind::Unavailable, "on a replica, raise max_standby_streaming_delay"),
    ("server does not support SSL", ErrorKind::Config, "set tls to disable or prefer"),
    ("certificate verify failed", ErrorKind::Denied, "check the server's certificate, or the tls mode"),
];

/// Explains the end of a tool that failed.
pub(super) fn ended(operation: &str, ended: &Ended) -> Error {
    let said = &ended.stderr;
    let line = said.lines().find(|line| line.contains("FATAL") || line.contains("error:"));
    let line = line.or_else(|| said.lines().last()).unwrap_or("it said nothing");
    let message = format!("{} ({})", line.trim(), ended.status);
    if said.contains("database \"") && said.contains("does not exist") {
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
