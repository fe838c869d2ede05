//! A real Prometheus that scrapes what a test tells it to, and the reading of what it scrapes.

mod exposition;

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;

pub use self::exposition::{Metric, Sample, parse};
use crate::host;

/// How long it may take to start, to scrape and to stop.
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

/// A running Prometheus; stopped and removed on drop.
pub struct Prometheus {
    guardian: Child,
    folder: PathBuf,
    port: u16,
    client: Client,
}

impl Prometheus {
    /// Starts one with this configuration (`prometheus.yml`), and waits until it answers.
    pub async fn start(config: &str) -> Self {
        // The client wants one, though it never speaks TLS here. A second installation is refused.
        let _first_wins = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::Builder::new().prefix("respaldo-prometheus-").tempdir().expect("a folder");
        host::give_away(folder.path());
        fs::write(folder.path().join("prometheus.yml"), config).expect("its configuration can be written");
        let port = free_port();
        let mut command = host::unprivileged("sh");
        command.args(["-c", GUARDIAN, "guardian"]).arg(folder.path());
        command.args([installed("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guardian = command.spawn().expect("sh can be started");
        let started = Self { guardian, folder: folder.keep(), port, client: Client::new() };
        started.wait_until_ready().await;
        started
    }

    async fn wait_until_ready(&self) {
        let begun = tokio::time::Instant::now();
        let ask = || self.client.get(self.url("/-/ready")).send();
        while !ask().await.is_ok_and(|answer| answer.status().is_success()) {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "Prometheus does not start: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The answer to a query at this instant: one entry for each series.
    ///
    /// # Errors
    /// What Prometheus says of a query that it cannot read.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let asked = self.url(&format!("/api/v1/query?query={}", percent_encoded(query)));
        let answer = self.client.get(asked).send().await.expect("Prometheus answers");
        let mut answer: Value = answer.json().await.expect("Prometheus answers in JSON");
        if answer["status"] != "success" {
            return Err(answer["error"].to_string());
        }
        match answer["data"]["result"].take() {
            Value::Array(series) => Ok(series),
            other => Err(format!("no list of series: {other}")),
        }
    }

    /// The one value that a query gives; none when it gives no series.
    pub async fn value(&self, query: &str) -> Option<f64> {
        let series = self.query(query).await.expect("the query can be read");
        assert!(series.len() <= 1, "{query} gives more than one series: {series:?}");
        series.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Waits until a query gives a series.
    pub async fn until(&self, query: &str) {
        let begun = tokio::time::Instant::now();
        while self.query(query).await.expect("the query can be read").is_empty() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {query}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let ended = host::holds_within(PATIENCE, || matches!(self.guardian.try_wait(), Ok(Some(_)) | Err(_)));
        if !ended {
            host::signal(self.guardian.id(), rustix::process::Signal::KILL);
        }
    }
}

/// Runs `promtool` with `input`; answers its output whatever it says.
pub fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Output {
    let mut stdin = tempfile::tempfile().expect("a temporary file can be made");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("the input can be written");
    std::io::Seek::rewind(&mut stdin).expect("a file can be rewound");
    let mut command = host::command(installed("promtool"));
    command.args(arguments).current_dir(folder).stdin(Stdio::from(stdin));
    command.output().expect("promtool can be started")
}

/// The program, if it is installed; else a panic with what to run.
fn installed(program: &str) -> &str {
    let found =
        ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists());
    assert!(found, "{program} is not installed: run scripts/install-test-dependencies");
    program
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// Reads a file of the repository, by its path from the root.
pub fn of_repository(path: &str) -> String {
    let file = repository().join(path);
    let mut text = String::new();
    let read = fs::File::open(&file).and_then(|mut file| file.read_to_string(&mut text));
    read.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}
