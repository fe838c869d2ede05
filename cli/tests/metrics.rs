//! `/metrics` of the real server, read by a real Prometheus; and the dashboard that asks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::prometheus::{Metric, Prometheus, of_repository, parse};
use respaldo_testkit::respaldo::Respaldo;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// A database that succeeds, one that fails, one that is disabled, one that is held back; and one that
/// hangs and takes the one place, so that a further backup waits.
fn config(server: &Postgres, hanging: &str) -> String {
    let (host, port) = (server.host(), server.port());
    format!(
        "global: {{max_parallel_jobs: 1}}\n\
         server: {{sqlite_roots: [data]}}\n\
         databases:\n\
         - {{id: good, name: Good, engine: sqlite, database_name: data/good.db, schedule: '0 3 * * *'}}\n\
         - {{id: broken, name: Broken, engine: sqlite, database_name: data/broken.db}}\n\
         - {{id: resting, name: Resting, engine: sqlite, database_name: data/good.db, schedule: '@daily', enabled: false}}\n\
         - {{id: held, name: Held, engine: postgres, host: {host}, port: {port}, database_name: held, \
             username_var: NOT_SET, password_var: NOT_SET}}\n\
         - {{id: hanging, name: Hanging, engine: postgres, host: {host}, port: {port}, database_name: {hanging}, \
             username_var: HANGING_USER, password_var: HANGING_PASSWORD}}\n"
    )
}

/// A session that holds a table, so that a dump waits for it; killed on drop.
struct Lock(Child);

impl Lock {
    fn on(server: &Postgres, database: &str) -> Self {
        let mut session = server.client("psql", database);
        session.args(["--command", "BEGIN; LOCK TABLE held; SELECT pg_sleep(120)"]);
        Self(session.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

async fn scrape(respaldo: &Respaldo) -> Vec<Metric> {
    let answer = respaldo.get("/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    parse(&answer.text().await.unwrap())
}

async fn id_of(respaldo: &Respaldo, config_id: &str) -> Value {
    let (_, databases) = respaldo.read("/databases").await;
    let found = databases.as_array().unwrap().iter().find(|database| database["config_id"] == config_id);
    found.unwrap_or_else(|| panic!("no {config_id} in {databases}")).clone()
}

async fn started(folder: &Path, server: &Postgres, hanging: &str) -> Respaldo {
    fs::create_dir(folder.join("data")).unwrap();
    respaldo_testkit::sqlite::sample(&folder.join("data/good.db"));
    fs::write(folder.join("data/broken.db"), "this is no database").unwrap();
    server.psql(hanging, "CREATE TABLE held (id int)");
    let respaldo = Respaldo::new(BINARY, folder, &config(server, hanging));
    respaldo.env("HANGING_USER", server.user()).env("HANGING_PASSWORD", server.password()).start().await
}

fn scraping(respaldo: &Respaldo) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: respaldo\n  static_configs:\n  - targets: ['127.0.0.1:{}']\n",
        respaldo.port()
    )
}

/// What the API says of the catalog is what Prometheus has.
async fn assert_agrees(respaldo: &Respaldo, prometheus: &Prometheus) {
    let (_, stats) = respaldo.read("/backups/stats").await;
    assert_eq!(prometheus.value("backup_stored_bytes").await, stats["size_bytes"].as_f64());
    for status in ["queued", "running"] {
        let jobs = stats["by_status"][status].as_f64().unwrap_or(0.0);
        assert_eq!(
            prometheus.value(&format!("backup_jobs{{status='{status}'}}")).await,
            Some(jobs),
            "{status}"
        );
    }
    let (_, databases) = respaldo.read("/databases").await;
    for database in databases.as_array().unwrap() {
        let id = &database["id"];
        let (_, backups) = respaldo.read(&format!("/backups?database_id={id}")).await;
        let backups = backups.as_array().unwrap();
        for status in ["succeeded", "failed", "cancelled", "skipped"] {
            let there = backups.iter().filter(|backup| backup["status"] == status).count();
            let query = format!("backup_total{{database_id='{id}', status='{status}'}}");
            assert_eq!(prometheus.value(&query).await, Some(there as f64), "{query}");
        }
        let newest = backups.iter().find(|backup| backup["status"] == "succeeded");
        let bytes = newest.and_then(|backup| backup["size_bytes"].as_f64());
        assert_eq!(prometheus.value(&format!("backup_bytes{{database_id='{id}'}}")).await, bytes);
        let enabled = f64::from(u8::from(database["enabled"] == true));
        assert_eq!(
            prometheus.value(&format!("backup_database_enabled{{database_id='{id}'}}")).await,
            Some(enabled)
        );
    }
}

fn dashboard() -> Value {
    serde_json::from_str(&of_repository("grafana-dashboard.json")).unwrap()
}

/// The panels that show something, not the rows between them.
fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// A query as Grafana would send it, with every database chosen.
fn substituted(query: &str) -> String {
    let query = query.replace("$__rate_interval", "1m").replace("$database", ".*");
    assert!(!query.contains('$'), "a variable that nobody sets: {query}");
    query
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_has_what_the_catalog_says_and_answers_every_panel_of_the_dashboard() {
    let server = Postgres::shared();
    let hanging = server.fresh_database("hanging");
    let folder = tempfile::tempdir().unwrap();
    let mut respaldo = started(folder.path(), server, &hanging).await;
    let prometheus = Prometheus::start(&scraping(&respaldo)).await;
    prometheus.until("up{job='respaldo'} == 1").await;
    // Zeros were seen before, so what follows is an increase.
    prometheus.until("count(backup_total) == 20").await;

    let (good, broken) = (id_of(&respaldo, "good").await, id_of(&respaldo, "broken").await);
    respaldo.back_up(&good).await;
    prometheus.until("backup_duration_seconds_count == 1").await;
    let newest = respaldo.back_up(&good).await;
    assert_eq!(newest["status"], "succeeded");
    let path = format!("/backups/{}", newest["id"].as_str().unwrap());
    let (status, body) = respaldo.post(&format!("{path}/verify"), &json!({})).await;
    assert_eq!(status, 202, "{body}");
    prometheus
        .until("backup_verification_failed == 0 and on() backup_last_verified_timestamp_seconds > 0")
        .await;
    let recovery = respaldo.read(&path).await.1["verification"]["duration_seconds"].as_f64();
    assert_eq!(prometheus.value("backup_restore_seconds").await, recovery);
    assert_eq!(respaldo.back_up(&broken).await["status"], "failed");
    let request = respaldo.request(reqwest::Method::POST, "/packages").header("Prefer", "wait=60");
    let packaged = request.json(&json!({"database_ids": [good["id"]]})).send().await.unwrap();
    assert_eq!(packaged.status(), 201);
    prometheus.until("backup_package_total{status='succeeded'} == 1 and on() backup_package_bytes > 0").await;
    let lock = Lock::on(server, &hanging);
    let held =
        "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'held'::regclass";
    while server.psql(&hanging, held).trim() != "1" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for database in [&id_of(&respaldo, "hanging").await, &good] {
        let (status, body) = respaldo.post("/backups", &json!({"database_id": database["id"]})).await;
        assert_eq!(status, 202, "{body}");
    }
    prometheus.until("backup_jobs{status='running'} == 1 and on() backup_jobs{status='queued'} == 1").await;
    prometheus.until("backup_places{state='taken'} == 1").await;
    prometheus.until("backup_duration_seconds_count == 2").await;
    assert_agrees(&respaldo, &prometheus).await;
    assert_eq!(prometheus.value("backup_held_back == 1").await, Some(1.0), "one is held back");

    let dashboard = dashboard();
    let mut silent = Vec::new();
    for panel in panels(&dashboard) {
        for query in queries(panel) {
            let told = prometheus.query(&substituted(&query)).await;
            let numbers = |series: &[Value]| series.iter().any(|one| one["value"][1] != "NaN");
            if !told.as_ref().is_ok_and(|series| numbers(series)) {
                silent.push(format!("{}: {query}: {told:?}", panel["title"]));
            }
        }
    }
    assert!(silent.is_empty(), "panels without data:\n{}", silent.join("\n"));

    // Killed and started again, it counts on from where it was.
    let before = scrape(&respaldo).await;
    let total =
        |metrics: &[Metric]| metrics.iter().find(|metric| metric.name == "backup_total").unwrap().clone();
    respaldo.kill();
    prometheus.until("up{job='respaldo'} == 0").await;
    respaldo.restart().await;
    assert_eq!(total(&scrape(&respaldo).await), total(&before));
    drop(lock);
    prometheus.until("up{job='respaldo'} == 1").await;
    assert_eq!(prometheus.value("sum(resets(backup_total[5m]))").await, Some(0.0));
}

#[test]
fn the_dashboard_holds_together() {
    let dashboard = dashboard();
    let chosen = json!({"type": "prometheus", "uid": "${DS_PROMETHEUS}"});
    assert_eq!(dashboard["__inputs"][0]["name"], "DS_PROMETHEUS");
    assert_eq!(
        (&dashboard["__inputs"][0]["pluginId"], &dashboard["id"]),
        (&json!("prometheus"), &Value::Null)
    );
    assert!(
        dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .any(|variable| variable["name"] == "database")
    );
    let required: BTreeSet<&str> = dashboard["__requires"]
        .as_array()
        .unwrap()
        .iter()
        .map(|needed| needed["id"].as_str().unwrap())
        .collect();
    for panel in panels(&dashboard) {
        let title =
            panel["title"].as_str().filter(|title| !title.is_empty()).expect("every panel has a title");
        assert_eq!(panel["datasource"], chosen, "{title}");
        assert!(required.contains(panel["type"].as_str().unwrap()), "{title}: __requires lacks its type");
        assert!(
            panel["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{title} is not explained"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        let mut letters = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], chosen, "{title}");
            assert!(letters.insert(target["refId"].as_str().unwrap()), "{title}: two queries of one letter");
        }
        assert!(!letters.is_empty(), "{title} asks nothing");
    }
}

#[test]
fn no_two_panels_of_the_dashboard_have_one_id_or_one_place() {
    let dashboard = dashboard();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}: its id is another's", panel["title"]);
        let of = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(of("x") + of("w") <= 24, "{} is too wide", panel["title"]);
        for cell in
            (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y)))
        {
            assert!(cells.insert(cell), "{} lies over another", panel["title"]);
        }
    }
}

/// The words of a query that could be names of metrics.
fn names(query: &str) -> BTreeSet<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| {
            word.starts_with("backup_") || word.starts_with("respaldo_") || word.ends_with("_bytes")
        })
        .collect()
}

#[test]
fn the_dashboard_asks_for_documented_metrics_only_and_for_each_of_them() {
    let page = of_repository("docs/metrics.md");
    let documented = |name: &str| page.contains(&format!("| `{name}` |"));
    let (dashboard, mut asked) = (dashboard(), BTreeSet::new());
    for query in panels(&dashboard).into_iter().flat_map(queries) {
        for name in names(&query) {
            let name = name.trim_end_matches("_bucket");
            assert!(documented(name), "{name} in {query} is not documented");
            asked.insert(name.to_owned());
        }
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let given =
        rows.filter(|(_, rest)| ["counter", "gauge", "histogram"].iter().any(|kind| rest.starts_with(kind)));
    let unasked: Vec<&str> = given.map(|(name, _)| name).filter(|name| !asked.contains(*name)).collect();
    assert!(unasked.is_empty(), "no panel shows {unasked:?}");
}
