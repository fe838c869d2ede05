//! What the clients say when they fail, as one line with the mend.

use crate::engine::process::Ended;
use crate::{Error, ErrorKind};

const GRANT: &str = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON the database TO the user";
const CERTIFICATE: &str =
    "give the server a certificate for its name that this machine trusts, or set tls to required";
const MEANTIME: &str = "do not change tables' definitions while backups run; it is tried again";

/// A phrase of a client or server (of either family), what it means, and what to do. The first one counts.
const KNOWN: [(&str, ErrorKind, &str); 43] = [
    ("Unknown database", ErrorKind::NotFound, "check database_name"),
    ("PROCESS privilege", ErrorKind::Denied, "GRANT PROCESS ON *.* TO the user"),
    ("RELOAD privilege", ErrorKind::Denied, "GRANT RELOAD ON *.* TO the user"),
    (
        "insufficient privileges to SHOW CREATE",
        ErrorKind::Denied,
        "let the user read routines: GRANT SHOW_ROUTINE (MySQL) or SELECT ON mysql.proc (MariaDB)",
    ),
    ("SHOW VIEW command denied", ErrorKind::Denied, "GRANT SHOW VIEW ON the database TO the user"),
    ("command denied to user", ErrorKind::Denied, GRANT),
    ("to database '", ErrorKind::Denied, GRANT),
    ("Access denied for user", ErrorKind::Denied, "check the user name and the password"),
    ("Access denied; you need", ErrorKind::Denied, "grant the user the privilege that is named"),
    ("is not allowed to connect", ErrorKind::Denied, "let the user connect from this host"),
    ("Host is blocked", ErrorKind::Unavailable, "run FLUSH HOSTS on the server"),
    ("account is locked", ErrorKind::Denied, "unlock the account on the server"),
    ("password has expired", ErrorKind::Denied, "set a new password on the server"),
    ("insecure transport are prohibited", ErrorKind::Config, "set tls to required"),
    ("requires secure connection", ErrorKind::Config, "set tls to required, or leave it out"),
    ("require secure connection", ErrorKind::Config, "set tls to required, or leave it out"),
    (
        "CA certificate is required",
        ErrorKind::Config,
        "install ca-certificates, with the server's authority among them",
    ),
    ("self-signed certificate", ErrorKind::Denied, CERTIFICATE),
    ("self signed certificate", ErrorKind::Denied, CERTIFICATE),
    ("certificate verify failed", ErrorKind::Denied, CERTIFICATE),
    ("erification of certificate", ErrorKind::Denied, CERTIFICATE),
    ("ertificate verification failure", ErrorKind::Denied, CERTIFICATE),
    ("server does not support", ErrorKind::Config, "set up TLS on the server, or set tls to disabled"),
    ("server doesn't support", ErrorKind::Config, "set up TLS on the server, or set tls to disabled"),
    ("SSL connection error", ErrorKind::Config, "check the server's TLS, or the tls mode"),
    ("TLS/SSL error", ErrorKind::Config, "check the server's TLS, or the tls mode"),
    ("cannot be loaded", ErrorKind::Tool, "install the client tools of the server's own family"),
    ("does not support authentication protocol", ErrorKind::Tool, "install newer client tools"),
    ("Unknown server host", ErrorKind::Unavailable, "check host"),
    ("Unknown MySQL server host", ErrorKind::Unavailable, "check host"),
    ("Can't connect to", ErrorKind::Unavailable, "check host and port, and that the server runs"),
    ("Lost connection", ErrorKind::Unavailable, "check the network, and see the server's log"),
    ("gone away", ErrorKind::Unavailable, "check the network, and see the server's log"),
    ("Too many connections", ErrorKind::Unavailable, "raise the server's max_connections, or retry"),
    ("max_user_connections", ErrorKind::Unavailable, "raise the user's max_user_connections, or retry"),
    ("shutdown in progress", ErrorKind::Unavailable, "wait until the server has started again"),
    ("Connection was killed", ErrorKind::Unavailable, "see who ended the connection on the server"),
    ("execution was interrupted", ErrorKind::Unavailable, "raise the server's time limit for queries"),
    (
        "Lock wait timeout exceeded",
        ErrorKind::Unavailable,
        "look for a transaction that holds a lock for long",
    ),
    ("max_allowed_packet", ErrorKind::Config, "raise the server's max_allowed_packet, up to 1G"),
    (
        "references invalid table",
        ErrorKind::Config,
        "repair or drop that view: no tool dumps a database with a broken one",
    ),
    ("Table definition has changed", ErrorKind::Conflict, MEANTIME),
    ("doesn't exist", ErrorKind::Conflict, MEANTIME),
];

/// Explains the end of a client that failed.
pub(super) fn ended(operation: &str, ended: &Ended) -> Error {
    let said: Vec<&str> = ended.stderr.lines().filter(|line| !is_chatter(line)).collect();
    for line in &said {
        if let Some((_, kind, mend)) = KNOWN.iter().find(|(phrase, ..)| line.contains(phrase)) {
            let error = Error::new(*kind, operation, message(line, ended)).with_mend(*mend);
            // Somebody else changed a table first; the next dump sees it as it is then.
            return if *kind == ErrorKind::Conflict { error.with_retryable(true) } else { error };
        }
    }
    // A tool that was killed, or failed for a reason nobody foresaw, may do better next time.
    let line = said.last().copied().unwrap_or("it said nothing");
    Error::new(ErrorKind::Internal, operation, message(line, ended)).with_retryable(true)
}

fn message(line: &str, ended: &Ended) -> String {
    format!("{} ({})", line.trim(), ended.status)
}

fn is_chatter(line: &str) -> bool {
    line.trim().is_empty()
        || line.starts_with("--------------")
        || line.contains("[Warning]")
        || line.contains("WARNING:")
        || line.contains("Deprecated program name")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn what_the_clients_say_becomes_a_kind_and_a_mend() {
        let cases = [
            (
                "mysqldump: Got error: 1049: Unknown database 'x' when selecting the database",
                ErrorKind::NotFound,
                false,
            ),
            (
                "ERROR 1045 (28000): Access denied for user 'x'@'y' (using password: YES)",
                ErrorKind::Denied,
                false,
            ),
            (
                "mysqldump: Error 1412: Table definition has changed, please retry transaction when dumping table `t` at row: 0",
                ErrorKind::Conflict,
                true,
            ),
            (
                "ERROR 2003 (HY000): Can't connect to MySQL server on 'x:1' (111)",
                ErrorKind::Unavailable,
                true,
            ),
            ("ERROR 2059 (HY000): Authentication plugin 'x' cannot be loaded: y", ErrorKind::Tool, false),
            (
                "mysqldump: Couldn't execute 'show events': Access denied for user 'x'@'%' to database 'y' (1044)",
                ErrorKind::Denied,
                false,
            ),
        ];
        for (said, kind, retryable) in cases {
            let stderr = format!("mysqldump: [Warning] Access denied for nobody\n{said}");
            let error = ended("dump", &Ended { status: ExitStatus::from_raw(0x200), stderr });
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert!(error.mend().is_some() && error.message().starts_with(said), "{error}");
        }
    }

    #[test]
    fn what_nobody_foresaw_is_told_in_the_tool_s_words_and_tried_again() {
        let stderr = "one\nmysqldump: something new".to_owned();
        let error = ended("dump", &Ended { status: ExitStatus::from_raw(0x200), stderr });
        assert!(error.message().starts_with("mysqldump: something new") && error.is_retryable(), "{error}");
    }
}
