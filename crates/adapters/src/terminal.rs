//! Asking a person for a secret.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};

use respaldo_core::ports::SecretString;
use respaldo_core::{Error, ErrorKind, Result};
use rustix::termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Asks on the terminal, whose echo is off meanwhile; none where the process has no terminal. An empty answer
/// is no secret.
///
/// # Errors
/// `Unavailable` when the terminal cannot be read.
pub fn ask(question: &str) -> Result<Option<SecretString>> {
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    if !isatty(&terminal) {
        return Ok(None);
    }
    write!(terminal, "{question}: ").map_err(unreadable)?;
    let line = {
        let _silent = Silent::make(&terminal)?;
        let mut line = Zeroizing::new(String::new());
        BufReader::new(&terminal).read_line(&mut line).map_err(unreadable)?;
        line
    };
    writeln!(terminal).map_err(unreadable)?;
    let answer = line.trim_end_matches(['\r', '\n']);
    Ok((!answer.is_empty()).then(|| SecretString::from(answer.to_owned())))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn make(terminal: &'a File) -> Result<Self> {
        let before = tcgetattr(terminal).map_err(unreadable)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(unreadable)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // A terminal that has gone has nothing to be put back.
        let _gone = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, "ask on the terminal", error.to_string())
}
