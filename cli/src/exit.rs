//! What the process ends with. Scripts rely on these numbers: a number never changes its meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Done = 0,
    /// The work itself failed, or what was asked about is not well; or a question was answered with no.
    Failed = 1,
    /// The command, a setting or a value was refused, or nobody was there to be asked.
    Usage = 2,
    /// The server cannot be reached, has a fault, or is not Respaldo's.
    Unreachable = 3,
    /// The server refused the key.
    Refused = 4,
    /// What was named does not exist.
    NotFound = 5,
    /// Its state forbids what was asked.
    Conflict = 6,
    /// Ctrl-C while a job was followed.
    Interrupted = 130,
}

impl Exit {
    /// What an HTTP status comes to.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..300 => Self::Done,
            401 | 403 => Self::Refused,
            404 => Self::NotFound,
            409 | 412 => Self::Conflict,
            408 | 429 => Self::Unreachable,
            400..500 => Self::Usage,
            _ => Self::Unreachable,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table that `--help` shows.
pub(crate) const HELP: &str = "\
Exit codes of the commands that ask a server:
    0  done
    1  the work failed, or a verification is not ok, or you answered no
    2  the command line, a setting or a value is wrong, or there was no terminal to ask on
    3  the server cannot be reached, has a fault, or is not Respaldo
    4  the server refused the key (401, 403)
    5  what was named does not exist (404)
    6  its state forbids it (409)
  130  Ctrl-C while following; the job goes on
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_comes_to_the_number_that_the_help_tells() {
        for (status, number) in [
            (200, 0),
            (422, 2),
            (400, 2),
            (500, 3),
            (503, 3),
            (307, 3),
            (401, 4),
            (403, 4),
            (404, 5),
            (409, 6),
        ] {
            assert_eq!(Exit::of_status(status) as u8, number, "{status}");
            assert!(HELP.contains(&format!("\n{number:>5}  ")), "{number}");
        }
    }
}
