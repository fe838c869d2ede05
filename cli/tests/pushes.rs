//! The real server pushes its metrics where `PUSHGATEWAY_URL` says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use respaldo_testkit::prometheus::{Prometheus, Pushgateway};
use respaldo_testkit::respaldo::{Respaldo, failure};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const CONFIG: &str = "server: {sqlite_roots: [data]}\n\
    databases:\n- {id: good, name: Good, engine: sqlite, database_name: data/good.db}\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    respaldo_testkit::sqlite::sample(&folder.path().join("data/good.db"));
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_pushgateway_pushes_and_prometheus_reads_it_there() {
    let (folder, gateway) = (folder(), Pushgateway::start_with_login().await);
    let url = format!("http://scott:tiger-the-password@127.0.0.1:{}", gateway.port());
    let respaldo = Respaldo::new(BINARY, folder.path(), CONFIG).env("PUSHGATEWAY_URL", &url).start().await;
    let scraping = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: pushgateway\n  honor_labels: true\n  \
         basic_auth: {{username: scott, password: tiger-the-password}}\n  static_configs:\n  \
         - targets: ['127.0.0.1:{}']\n",
        gateway.port()
    );
    let prometheus = Prometheus::start(&scraping).await;
    prometheus.until("backup_database_enabled{job='respaldo', database='good'} == 1").await;
    assert!(!respaldo.log().contains("tiger"), "{}", respaldo.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_that_is_down_is_told_in_the_log_and_disturbs_nobody() {
    let folder = folder();
    let url =
        format!("http://scott:tiger-the-password@127.0.0.1:{}", respaldo_testkit::respaldo::free_port());
    let respaldo = Respaldo::new(BINARY, folder.path(), CONFIG).env("PUSHGATEWAY_URL", &url).start().await;
    let (_, databases) = respaldo.read("/databases").await;
    assert_eq!(respaldo.back_up(&databases[0]).await["status"], "succeeded");
    respaldo_testkit::host::eventually("the log tells of it", std::time::Duration::from_secs(20), || {
        respaldo.log().contains("metrics not pushed")
    });
    assert!(!respaldo.log().contains("tiger"), "{}", respaldo.log());
}

#[test]
fn a_pushgateway_that_is_no_address_is_refused_at_the_start_and_not_shown() {
    let folder = folder();
    let respaldo = Respaldo::new(BINARY, folder.path(), CONFIG).env("PUSHGATEWAY_URL", "scott:hunter2");
    let (code, said) = failure(respaldo.command());
    assert_ne!(code, 0);
    assert!(said.contains("PUSHGATEWAY_URL") && !said.contains("hunter2"), "{said}");
}
