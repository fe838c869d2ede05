//! A wall clock of a process's own (libfaketime), which a test moves: schedules come due when a test wants
//! them to, and two hosts may disagree about the time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

use crate::host;

/// A day, in seconds.
const DAY: i64 = 86_400;

/// A clock that processes started with its [`variables`](Self::variables) go by. Timers (the monotonic clock)
/// and files' times are the machine's.
pub struct ShiftedClock {
    file: PathBuf,
    ahead_s: AtomicI64,
}

impl ShiftedClock {
    /// A clock that shows the machine's time, kept in `folder`.
    pub fn new(folder: &Path) -> Self {
        let clock = Self { file: folder.join("clock"), ahead_s: AtomicI64::new(0) };
        clock.write(0);
        clock
    }

    /// Moves it, by seconds; back for a negative number.
    pub fn move_by(&self, seconds: i64) {
        let ahead = self.ahead_s.fetch_add(seconds, Ordering::SeqCst) + seconds;
        self.write(ahead);
    }

    /// Moves it on to the next time at which it is `hour` in UTC, and some seconds.
    pub fn move_to_hour(&self, hour: i64) {
        let now = self.now_s();
        let wanted = now - now.rem_euclid(DAY) + hour * 3_600 + 5;
        let wanted = if wanted > now { wanted } else { wanted + DAY };
        self.move_by(wanted - now);
    }

    /// What it shows, in seconds since 1970.
    pub fn now_s(&self) -> i64 {
        host::now_ms() / 1_000 + self.ahead_s.load(Ordering::SeqCst)
    }

    /// What makes a process go by it.
    ///
    /// # Panics
    /// When libfaketime is not installed.
    pub fn variables(&self) -> Vec<(String, String)> {
        let library = library().expect("libfaketime is not installed: run scripts/install-test-dependencies");
        [
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// In one step: a reader never sees half of it.
    fn write(&self, ahead_s: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{ahead_s:+}\n")).expect("the folder is the test's");
        fs::rename(new, &self.file).expect("the folder is the test's");
    }
}

/// How far the clock of a process with these variables is ahead of the machine's, in milliseconds.
pub(crate) fn ahead_ms(variables: &[(String, String)]) -> i64 {
    let Some((_, file)) = variables.iter().find(|(name, _)| name == "FAKETIME_TIMESTAMP_FILE") else {
        return 0;
    };
    let text = fs::read_to_string(file).expect("the clock's file is there");
    text.trim().parse::<i64>().expect("it holds seconds") * 1_000
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?;
    let library = |entry: fs::DirEntry| entry.path().join("faketime/libfaketimeMT.so.1");
    folders.filter_map(|entry| Some(library(entry.ok()?))).find(|library| library.exists())
}
