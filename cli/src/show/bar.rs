//! The last line of a terminal while something is under way. Files and pipes never see it.

use std::io::{self, IsTerminal as _, Write as _};

use respaldo_adapters::environment;
use unicode_width::UnicodeWidthStr as _;

use super::{Show, columns, note};

const CELLS: u64 = 24;

/// A line that is overwritten.
#[derive(Debug)]
pub(crate) struct Bar {
    on: bool,
    drawn: usize,
}

impl Bar {
    /// Drawn on standard error, where that is a terminal and nobody wants quiet.
    pub(crate) fn new(show: Show) -> Self {
        let dumb = environment::variable("TERM").is_ok_and(|term| term.as_deref() == Some("dumb"));
        Self { on: io::stderr().is_terminal() && !show.quiet && !dumb, drawn: 0 }
    }

    /// Puts this line in place of the last one.
    pub(crate) fn draw(&mut self, line: &str) {
        if !self.on {
            return;
        }
        let room = columns(io::stderr()).unwrap_or(80).saturating_sub(1);
        let mut line = line.to_owned();
        while line.width() > room {
            line.pop();
        }
        self.clear();
        self.drawn = line.width();
        put(&line);
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            put(&format!("\r{:width$}\r", "", width = self.drawn));
            self.drawn = 0;
        }
    }

    /// Tells a line that stays, above it.
    pub(crate) fn note(&mut self, line: &str) {
        self.clear();
        note(line);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn put(text: &str) {
    let mut err = io::stderr().lock();
    // A terminal that has gone needs no progress.
    let _drawn = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// `[######------] 50 %`; of a total that is only a guess, never more than 99 %.
pub(crate) fn cells(done: u64, total: u64, guessed: bool) -> String {
    let most = if guessed { 99 } else { 100 };
    let percent = (u128::from(done) * 100 / u128::from(total.max(1))).min(most);
    let percent = u64::try_from(percent).unwrap_or(100);
    let full = usize::try_from(percent * CELLS / 100).unwrap_or(0);
    let empty = usize::try_from(CELLS).unwrap_or(0) - full;
    format!("[{}{}] {percent:>3} %", "#".repeat(full), "-".repeat(empty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_when_all_is_done_for_certain() {
        assert_eq!(cells(0, 100, false), "[------------------------]   0 %");
        assert_eq!(cells(50, 100, false), "[############------------]  50 %");
        assert_eq!(cells(100, 100, false), "[########################] 100 %");
        assert!(cells(300, 100, true).ends_with("99 %"));
        assert!(cells(u64::MAX, 0, false).ends_with("100 %"));
    }
}
