//! What an engine is given of the database that it shall dump.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::toolbox::Toolbox;
use crate::model::Settings;
use crate::ports::{Clock, LogEntry, LogLevel, SecretString};
use crate::redact::{Redactor, escape_controls};

/// Lines that a job keeps of one attempt; a tool that prints more is cut, and the log says so.
const MOST_LINES: usize = 1_000;

/// Credentials, ready to be used.
#[derive(Debug, Clone, Default)]
pub struct ResolvedLogin {
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
}

impl ResolvedLogin {
    /// Hides these credentials in a tool's output.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.password.iter().map(ExposeSecret::expose_secret))
    }
}

/// A database to be probed or dumped.
pub struct Source {
    /// What it is.
    pub settings: Settings,
    /// How to log in.
    pub login: ResolvedLogin,
    /// Where tools are found.
    pub toolbox: Arc<Toolbox>,
    /// A folder of this job's own, readable by nobody else, removed when the job ends.
    pub staging: PathBuf,
    /// Folders that SQLite databases may lie in.
    pub sqlite_roots: Vec<PathBuf>,
    /// The job's log.
    pub log: JobLog,
}

/// Collects a job's log lines, redacted, until the job writes them to the catalog.
#[derive(Clone)]
pub struct JobLog {
    clock: Arc<dyn Clock>,
    attempt: u32,
    redactor: Redactor,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<LogEntry>,
    taken: usize,
}

impl JobLog {
    /// A log for one attempt. Everything that `redactor` knows stays out of it.
    pub fn new(clock: &Arc<dyn Clock>, attempt: u32, redactor: Redactor) -> Self {
        Self { clock: Arc::clone(clock), attempt, redactor, lines: Arc::default() }
    }

    /// The attempt's number, from 1; 0 where it is nobody's.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Says what is being done.
    pub fn info(&self, line: impl AsRef<str>) {
        self.add(LogLevel::Info, line.as_ref());
    }

    /// Says something unexpected that did not stop the job.
    pub fn warn(&self, line: impl AsRef<str>) {
        self.add(LogLevel::Warn, line.as_ref());
    }

    /// Says why it stopped.
    pub fn error(&self, line: impl AsRef<str>) {
        self.add(LogLevel::Error, line.as_ref());
    }

    /// Takes the lines that wait to be written.
    pub fn drain(&self) -> Vec<LogEntry> {
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }

    /// Gives back lines that could not be written; they wait before those that came since.
    pub(crate) fn put_back(&self, mut drained: Vec<LogEntry>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        drained.append(&mut lines.waiting);
        lines.waiting = drained;
    }

    fn add(&self, level: LogLevel, line: &str) {
        let at = self.clock.now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.taken += 1;
        // What we say ourselves about the end must not be lost behind a chatty tool.
        if lines.taken > MOST_LINES && level != LogLevel::Error {
            if lines.taken == MOST_LINES + 1 {
                lines.waiting.push(self.entry(at, LogLevel::Warn, "further lines are not kept"));
            }
            return;
        }
        let line = escape_controls(&self.redactor.redact(line));
        lines.waiting.push(self.entry(at, level, &line));
    }

    fn entry(&self, at: Timestamp, level: LogLevel, line: &str) -> LogEntry {
        LogEntry { seq: 0, at, attempt: self.attempt, level, line: line.to_owned() }
    }
}
