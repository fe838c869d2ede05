//! One server process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use super::template::Template;
use crate::guardian::{Guarded, free_port};
use crate::host;

/// Nothing that survives a crash is needed here, and no time zone of the server may show in a dump.
const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=32MB",
    "max_wal_size=1GB",
    "wal_level=logical",
    "max_prepared_transactions=4",
    "timezone=Asia/Kolkata",
];

/// A running server; stopped and removed on drop.
pub(super) struct Server {
    process: Guarded,
    pub(super) port: u16,
}

impl Server {
    /// Copies the template and starts on a free port, with more settings than all servers have.
    pub(super) fn start(bin: &Path, template: &Template, more: &[&str]) -> Self {
        let mut log = String::new();
        // Another process can take the port between its choice and the server's bind.
        for _ in 0..5 {
            let server = Self::launch(bin, template, more);
            if server.becomes_ready() {
                return server;
            }
            log = server.process.log();
            if !log.contains("could not bind") {
                break;
            }
        }
        panic!("the server in {} did not start: {log}", bin.display());
    }

    fn launch(bin: &Path, template: &Template, more: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("respaldo-pg-").tempdir().expect("a folder can be made");
        host::give_away(dir.path());
        let data = dir.path().join("data");
        template.copy_to(&data);
        let port = free_port();
        let mut words = vec![bin.join("postgres").display().to_string(), "-D".to_owned()];
        words.extend([data.display().to_string(), "-p".to_owned(), port.to_string()]);
        words
            .extend(SETTINGS.iter().chain(more).flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        Self { process: Guarded::start(dir, "QUIT", &words), port }
    }

    /// Waits until connections are taken; false when the server has died instead.
    fn becomes_ready(&self) -> bool {
        let status = self.process.dir().join("data/postmaster.pid");
        let pid = self.process.pid().to_string();
        // One that died has left its own.
        let ready = || {
            fs::read_to_string(&status).is_ok_and(|text| {
                let mut lines = text.lines().map(str::trim);
                lines.next() == Some(&pid) && lines.any(|line| line == "ready")
            })
        };
        host::holds_within(Duration::from_mins(1), || ready() || !host::is_alive(self.process.pid()))
            && ready()
    }

    /// Starts again what was killed, on the same port with the same data.
    pub(super) fn start_again(&self) {
        self.process.start_again();
        assert!(self.becomes_ready(), "the server did not start again: {}", self.process.log());
    }

    /// Where its data lies.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.process.dir().join("data")
    }

    /// Sends `signal` to every process of the server.
    pub(super) fn signal_all(&self, signal: Signal) {
        self.process.signal_all(signal);
    }

    /// Kills every process of the server and waits until none is left.
    pub(super) fn kill(&self) {
        self.process.kill();
    }
}
