//! One of Prometheus' servers as a child process, with a folder of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use reqwest::Client;

use crate::host;

/// How long it may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the server and waits until its other end of the pipe closes, however this process ends; then
/// stops the server and removes its folder.
const GUARDIAN: &str = r#"
dir=$1
shift
cd "$dir"
"$@" > log 2>&1 < /dev/null &
server=$!
cat > /dev/null
kill -TERM "$server"
wait "$server"
cd /
rm -rf "$dir"
"#;

/// A running server; stopped and removed on drop.
pub(super) struct Server {
    guardian: Child,
    folder: PathBuf,
    port: u16,
    client: Client,
}

impl Server {
    /// Starts one in a folder that holds these files, and waits until it is ready.
    pub(super) async fn start(program: &str, arguments: &[&str], files: &[(&str, &str)]) -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("respaldo-prometheus-").tempdir().expect("a folder");
        host::give_away(folder.path());
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("its files can be written");
        }
        let port = free_port();
        let mut command = host::unprivileged("sh");
        command.args(["-c", GUARDIAN, "guardian"]).arg(folder.path());
        command.arg(installed(program)).args(arguments);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guardian = command.spawn().expect("sh can be started");
        let started = Self { guardian, folder: folder.keep(), port, client: Client::new() };
        started.wait_until_ready(program).await;
        started
    }

    /// One that asks for a login answers, too.
    async fn wait_until_ready(&self, program: &str) {
        let begun = tokio::time::Instant::now();
        let ask = || self.client.get(self.url("/-/ready")).send();
        while !ask().await.is_ok_and(|answer| !answer.status().is_server_error()) {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "{program} does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let ended = host::holds_within(PATIENCE, || matches!(self.guardian.try_wait(), Ok(Some(_)) | Err(_)));
        if !ended {
            host::signal(self.guardian.id(), rustix::process::Signal::KILL);
        }
    }
}

/// The program, if it is installed; else a panic with what to run.
pub(super) fn installed(program: &str) -> &str {
    let found =
        ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    assert!(found, "{program} is not installed: run scripts/install-test-dependencies");
    program
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
