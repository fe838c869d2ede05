//! A real pushgateway.

use super::server::Server;
use super::{Metric, Sample};

/// Asks for the login `scott` with the password `tiger-the-password` (as bcrypt stores it).
const WITH_LOGIN: &str =
    "basic_auth_users:\n  scott: $2b$04$abcdefghijklmnopqrstuuldgryG8FvzICyjcJeF8gTahW95ojQQK\n";

/// A running pushgateway; stopped and removed on drop.
pub struct Pushgateway {
    server: Server,
}

impl Pushgateway {
    /// Starts one that takes what anybody pushes.
    pub async fn start() -> Self {
        Self { server: Server::start("prometheus-pushgateway", &[], &[]).await }
    }

    /// Starts one that asks for the login `scott` with the password `tiger-the-password`.
    pub async fn start_with_login() -> Self {
        let files = [("web.yml", WITH_LOGIN)];
        Self { server: Server::start("prometheus-pushgateway", &["--web.config.file=web.yml"], &files).await }
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.server.url("")
    }

    /// What it holds: the whole text that Prometheus would scrape.
    pub async fn text(&self) -> String {
        let answer = self.server.client().get(self.server.url("/metrics")).send().await;
        answer.expect("the pushgateway answers").text().await.expect("it answers in text")
    }

    /// The samples of this name whose group is Respaldo's. Its text has lines that [`super::parse`], made for
    /// ours, does not know.
    pub async fn samples(&self, name: &str) -> Vec<Sample> {
        let text = self.text().await;
        let metric =
            |line: &&str| line.starts_with(&format!("{name}{{")) && line.contains("job=\"respaldo\"");
        let lines: Vec<&str> = text.lines().filter(metric).collect();
        let parsed = lines.iter().map(|line| format!("# HELP {name} -\n# TYPE {name} untyped\n{line}\n"));
        parsed.flat_map(|one| super::parse(&one)).flat_map(|metric: Metric| metric.samples).collect()
    }
}
