//! What the clients say when a restore fails, as one line with the mend.

use crate::engine::mysql::explain;
use crate::engine::process::Ended;
use crate::{Error, ErrorKind};

const DEFINER: &str = "restore with ownership none, or GRANT SET USER (MariaDB) or SET_ANY_DEFINER and \
                       ALLOW_NONEXISTENT_DEFINER (MySQL) ON *.* TO the user";
const NEWER: &str = "restore into a server of the family and series that the dump comes from, or a newer one";
const BUSY: &str = "wait until nobody uses the target, or restore with force";
const LIMITED: &str = "the dump is not one of this installation's, so it is loaded by an account that may touch its \
                       target only; if you trust the file, load it yourself";

/// A phrase of a client or server that means something else, or needs another mend, than in a dump. The
/// first one counts.
const KNOWN: [(&str, ErrorKind, &str); 15] = [
    (
        "binary logging is enabled",
        ErrorKind::Denied,
        "SET GLOBAL log_bin_trust_function_creators = 1 on the server",
    ),
    ("SET USER privilege", ErrorKind::Denied, DEFINER),
    ("SET_USER_ID privilege", ErrorKind::Denied, DEFINER),
    ("SET_ANY_DEFINER", ErrorKind::Denied, DEFINER),
    ("ALLOW_NONEXISTENT_DEFINER", ErrorKind::Denied, DEFINER),
    ("Unknown collation", ErrorKind::Config, NEWER),
    ("Unknown character set", ErrorKind::Config, NEWER),
    ("Unknown storage engine", ErrorKind::Config, "install that storage engine on the server"),
    ("You have an error in your SQL syntax", ErrorKind::Config, NEWER),
    ("Lock wait timeout exceeded", ErrorKind::Conflict, BUSY),
    ("ERROR 1142 ", ErrorKind::Denied, "GRANT ALL ON the target TO the user"),
    ("ERROR 1044 ", ErrorKind::Denied, "GRANT ALL ON the target TO the user"),
    ("ERROR 1370 ", ErrorKind::Denied, "GRANT ALL ON the target TO the user"),
    ("doesn't exist", ErrorKind::Conflict, "look at what else changes this database"),
    ("already exists", ErrorKind::Conflict, "look at what else changes this database"),
];
/// Refusals that an account with nothing but its target runs into.
const REFUSALS: [&str; 6] =
    ["ERROR 1044 ", "ERROR 1142 ", "ERROR 1143 ", "ERROR 1227 ", "ERROR 1370 ", "ERROR 1410 "];

/// Explains the end of a client that failed. `limited`: it ran as an account that may touch its target
/// only.
pub(super) fn ended(operation: &str, ended: &Ended, limited: bool) -> Error {
    for line in ended.stderr.lines().filter(|line| !line.contains("[Warning]")) {
        let message = || format!("{} ({})", line.trim(), ended.status);
        let refused = REFUSALS.iter().any(|code| line.contains(code));
        if limited && refused {
            return Error::new(ErrorKind::Denied, operation, message()).with_mend(LIMITED);
        }
        if let Some((_, kind, mend)) = KNOWN.iter().find(|(phrase, ..)| line.contains(phrase)) {
            return Error::new(*kind, operation, message()).with_mend(*mend);
        }
    }
    explain::ended(operation, ended)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn explained(said: &str, limited: bool) -> Error {
        ended("load", &Ended { status: ExitStatus::from_raw(0x100), stderr: said.to_owned() }, limited)
    }

    #[test]
    fn a_refusal_is_the_dump_s_fault_where_it_is_loaded_by_a_limited_account() {
        let said = "ERROR 1044 (42000) at line 3: Access denied for user 'a'@'%' to database 'other'";
        assert!(explained(said, true).mend().unwrap().contains("may touch its target only"));
        assert!(explained(said, false).mend().unwrap().contains("GRANT ALL"));
    }

    #[test]
    fn what_a_restore_does_not_know_better_is_explained_as_ever() {
        let error = explained("ERROR 2013 (HY000): Lost connection to MySQL server during query", false);
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true));
        let error = explained(
            "ERROR 1153 (08S01) at line 4: Got a packet bigger than 'max_allowed_packet' bytes",
            false,
        );
        assert!(error.mend().unwrap().contains("max_allowed_packet"), "{error}");
    }
}
