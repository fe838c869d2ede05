//! A real Prometheus that scrapes what a test tells it to, a real pushgateway, and the reading of what they
//! have.

mod exposition;
mod pushgateway;
mod server;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;

pub use self::exposition::{Metric, Sample, parse};
pub use self::pushgateway::Pushgateway;
use self::server::{Server, installed};
use crate::host;

/// How long a scrape may take to bring what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Prometheus; stopped and removed on drop.
pub struct Prometheus {
    server: Server,
}

impl Prometheus {
    /// Starts one with this configuration (`prometheus.yml`), and waits until it answers.
    pub async fn start(config: &str) -> Self {
        let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data"];
        Self { server: Server::start("prometheus", &arguments, &[("prometheus.yml", config)]).await }
    }

    /// The answer to a query at this instant: one entry for each series.
    ///
    /// # Errors
    /// What Prometheus says of a query that it cannot read.
    pub async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let asked = self.server.url(&format!("/api/v1/query?query={}", percent_encoded(query)));
        let answer = self.server.client().get(asked).send().await.expect("Prometheus answers");
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

/// Runs `promtool` with `input`; answers its output whatever it says.
pub fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Output {
    let mut stdin = tempfile::tempfile().expect("a temporary file can be made");
    std::io::Write::write_all(&mut stdin, input.as_bytes()).expect("the input can be written");
    std::io::Seek::rewind(&mut stdin).expect("a file can be rewound");
    let mut command = host::command(installed("promtool"));
    command.args(arguments).current_dir(folder).stdin(Stdio::from(stdin));
    command.output().expect("promtool can be started")
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
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
