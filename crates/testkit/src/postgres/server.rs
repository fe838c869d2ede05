//! One server process and its guardian.
//!
//! The guardian is a shell that starts the server and then reads from a pipe whose other end only this
//! process holds. However this process ends, by `drop`, by `exit` or by `kill -9`, the pipe closes; the
//! guardian stops the server and removes its folder.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::template::Template;
use crate::host;

const GUARDIAN: &str = r#"
dir=$1
shift
cd "$dir"
"$@" > log 2>&1 < /dev/null &
server=$!
echo "$server" > pid.new
mv pid.new pid
cat > /dev/null
kill -QUIT "$server"
kill -CONT "$server"
wait "$server"
cd /
rm -rf "$dir"
"#;

/// Nothing that survives a crash is needed here, and no time zone of the server may show in a dump.
const SETTINGS: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=32MB",
    "max_wal_size=1GB",
    "timezone=Asia/Kolkata",
];

/// A running server; stopped and removed on drop.
pub(super) struct Server {
    guardian: Child,
    dir: PathBuf,
    pid: u32,
    pub(super) port: u16,
}

impl Server {
    /// Copies the template and starts on a free port.
    pub(super) fn start(bin: &Path, template: &Template) -> Self {
        let mut log = String::new();
        // Another process can take the port between its choice and the server's bind.
        for _ in 0..5 {
            let server = Self::launch(bin, template);
            if server.becomes_ready() {
                return server;
            }
            log = fs::read_to_string(server.dir.join("log")).unwrap_or_default();
            if !log.contains("could not bind") {
                break;
            }
        }
        panic!("the server in {} did not start: {log}", bin.display());
    }

    fn launch(bin: &Path, template: &Template) -> Self {
        let dir = tempfile::Builder::new().prefix("respaldo-pg-").tempdir().expect("a folder can be made");
        host::give_away(dir.path());
        let data = dir.path().join("data");
        template.copy_to(&data);
        let port = free_port();
        let mut command = host::unprivileged("sh");
        command.args(["-c", GUARDIAN, "guardian"]).arg(dir.path());
        command.arg(bin.join("postgres")).arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // A group of its own, so that a signal to the test's group leaves it time to clean up, and no
        // output of the test's, which would look open for as long as the guardian lives.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guardian = command.spawn().expect("sh can be started");
        let dir = dir.keep();
        let mut pid = None;
        host::eventually("the guardian has started the server", Duration::from_secs(10), || {
            pid = fs::read_to_string(dir.join("pid")).ok().and_then(|text| text.trim().parse().ok());
            pid.is_some()
        });
        Self { guardian, dir, pid: pid.expect("it was awaited"), port }
    }

    /// Waits until connections are taken; false when the server has died instead.
    fn becomes_ready(&self) -> bool {
        let status = self.dir.join("data/postmaster.pid");
        let ready =
            || fs::read_to_string(&status).is_ok_and(|text| text.lines().any(|l| l.trim() == "ready"));
        host::holds_within(Duration::from_mins(1), || ready() || !host::is_alive(self.pid)) && ready()
    }

    /// The postmaster and its children, which live in sessions of their own.
    fn processes(&self) -> Vec<u32> {
        let mut all = host::children(self.pid);
        all.insert(0, self.pid);
        all
    }

    /// Sends `signal` to every process of the server. The postmaster stands still meanwhile, so that it
    /// starts none that would be missed.
    pub(super) fn signal_all(&self, signal: Signal) {
        host::signal(self.pid, Signal::STOP);
        for pid in self.processes() {
            host::signal(pid, signal);
        }
    }

    /// Kills every process of the server and waits until none is left.
    pub(super) fn kill(&self) {
        let processes = self.processes();
        self.signal_all(Signal::KILL);
        host::eventually("the killed server is gone", Duration::from_secs(10), || {
            processes.iter().all(|pid| !host::is_alive(*pid))
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A frozen backend would make the postmaster wait for seconds before it kills it.
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

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
