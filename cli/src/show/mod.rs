//! Printing: one document or lines for people on standard output, everything else on standard error.

mod ask;
mod bar;
mod card;
mod table;
mod words;

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd;

use respaldo_adapters::environment;
use serde_json::Value;

pub(crate) use self::ask::{agree, secret};
pub(crate) use self::bar::{Bar, cells};
pub(crate) use self::card::card;
pub(crate) use self::table::{Cell, Column, table};
pub(crate) use self::words::{count, duration, json_text, plain, size, text, time};
use crate::client::Api;
use crate::exit::Exit;
use crate::failure::{Answer, Failure};

/// How a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// One JSON document on standard output, and problems as JSON on standard error.
    pub(crate) json: bool,
    /// Neither log nor progress.
    pub(crate) quiet: bool,
    /// Whether standard output takes colours.
    pub(crate) colour: bool,
    /// How many columns standard output has; none where it is no terminal.
    pub(crate) width: Option<usize>,
}

impl Show {
    /// As the flags, the environment and the terminal say.
    pub(crate) fn of(api: &Api) -> Answer<Self> {
        let terminal = io::stdout().is_terminal();
        let set = |name: &str| environment::variable(name).map(Option::unwrap_or_default);
        let wanted = set("NO_COLOR")?.is_empty() && set("TERM")? != "dumb";
        let width = terminal.then(|| columns(io::stdout())).flatten();
        Ok(Self { json: api.json, quiet: api.quiet, colour: terminal && wanted, width })
    }

    /// Prints `lines` for people, or the document for programs.
    pub(crate) fn either(self, value: &Value, lines: impl FnOnce() -> String) -> Answer<()> {
        if self.json { document(value) } else { print(&lines()) }
    }
}

/// Prints one JSON document.
pub(crate) fn document(value: &Value) -> Answer<()> {
    print(&format!("{}\n", json_text(value)))
}

/// Writes to standard output. A reader who has seen enough (`| head`) is no failure.
pub(crate) fn print(lines: &str) -> Answer<()> {
    print_while_read(lines).map(drop)
}

/// The same; answers whether anybody still reads.
pub(crate) fn print_while_read(lines: &str) -> Answer<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => {
            let detail = format!("standard output: {e}");
            Err(Failure::new(Exit::Failed, "storage", "It cannot be written here", detail))
        }
    }
}

/// Tells something on standard error. When even that is closed there is nobody left to tell.
pub(crate) fn note(line: &str) {
    let _nobody_hears = writeln!(io::stderr().lock(), "{line}");
}

/// The width of a terminal, in columns.
fn columns(terminal: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}
