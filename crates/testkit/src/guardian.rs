//! A server process and its guardian.
//!
//! The guardian is a shell that starts the server and then reads from a pipe whose other end only this
//! process holds; a line through it starts a dead server again. However this process ends, by `drop`, by `exit` or by `kill -9`, the pipe closes; the
//! guardian stops the server and removes its folder.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::host;

const GUARDIAN: &str = r#"
dir=$1
signal=$2
shift 2
cd "$dir"
launch() {
    "$@" > log 2>&1 < /dev/null &
    server=$!
    echo "$server" > pid.new
    mv pid.new pid
}
launch "$@"
while read -r _again; do
    wait "$server"
    launch "$@"
done
kill -s "$signal" "$server"
kill -CONT "$server"
wait "$server"
cd /
rm -rf "$dir"
"#;

/// A running server; stopped and removed on drop.
pub(crate) struct Guarded {
    guardian: Child,
    dir: PathBuf,
    pid: AtomicU32,
}

impl Guarded {
    /// Starts `words`, a program and its arguments, in `dir`, which becomes the guardian's to remove. The
    /// server is stopped by `signal`.
    pub(crate) fn start(dir: TempDir, signal: &str, words: &[String]) -> Self {
        Self::start_by(host::unprivileged("sh"), dir, signal, words)
    }

    /// The same as the test's own user.
    pub(crate) fn start_as_caller(dir: TempDir, signal: &str, words: &[String]) -> Self {
        Self::start_by(host::command("sh"), dir, signal, words)
    }

    fn start_by(mut command: Command, dir: TempDir, signal: &str, words: &[String]) -> Self {
        command.args(["-c", GUARDIAN, "guardian"]).arg(dir.path()).arg(signal).args(words);
        // A group of its own, so that a signal to the test's group leaves it time to clean up, and no
        // output of the test's, which would look open for as long as the guardian lives.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guardian = command.spawn().expect("sh can be started");
        let dir = dir.keep();
        let pid = AtomicU32::new(started(&dir));
        Self { guardian, dir, pid }
    }

    /// Starts the server again, with the same words, once it has died.
    pub(crate) fn start_again(&self) {
        fs::remove_file(self.dir.join("pid")).expect("the guardian wrote it");
        let mut pipe = self.guardian.stdin.as_ref().expect("it is open until the drop");
        pipe.write_all(b"again\n").expect("the guardian reads");
        self.pid.store(started(&self.dir), Ordering::SeqCst);
    }

    /// The server's own process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Its folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read(self.dir.join("log"))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// The server and its children, which may live in sessions of their own.
    fn processes(&self) -> Vec<u32> {
        let mut all = host::children(self.pid());
        all.insert(0, self.pid());
        all
    }

    /// Sends `signal` to every process of the server. The first one stands still meanwhile, so that it
    /// starts none that would be missed.
    pub(crate) fn signal_all(&self, signal: Signal) {
        host::signal(self.pid(), Signal::STOP);
        for pid in self.processes() {
            host::signal(pid, signal);
        }
    }

    /// Kills every process of the server and waits until none is left.
    pub(crate) fn kill(&self) {
        let processes = self.processes();
        self.signal_all(Signal::KILL);
        host::eventually("the killed server is gone", Duration::from_secs(10), || {
            processes.iter().all(|pid| !host::is_alive(*pid))
        });
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // A frozen process would make the server wait for seconds before it kills it.
        self.signal_all(Signal::CONT);
        drop(self.guardian.stdin.take());
        let mut ended = || matches!(self.guardian.try_wait(), Ok(Some(_)) | Err(_));
        if !host::holds_within(Duration::from_secs(10), &mut ended) {
            self.signal_all(Signal::KILL);
            host::holds_within(Duration::from_secs(5), || {
                matches!(self.guardian.try_wait(), Ok(Some(_)) | Err(_))
            });
        }
    }
}

/// The process that the guardian has started.
fn started(dir: &Path) -> u32 {
    let mut pid = None;
    host::eventually("the guardian has started the server", Duration::from_secs(10), || {
        pid = fs::read_to_string(dir.join("pid")).ok().and_then(|text| text.trim().parse().ok());
        pid.is_some()
    });
    pid.expect("it was awaited")
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
