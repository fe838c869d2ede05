//! `/metrics` is what the catalog says, no more and no less.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use respaldo_core::backup;
use respaldo_core::jobs;
use respaldo_core::model::{
    Credentials, Database, Durations, EngineKind, Job, LastRun, LastSuccess, LastVerdict, Package,
    PackageCounts, PackageFormat, PackageKind, Status, VerificationStatus,
};
use respaldo_core::ports::NewDatabase;
use respaldo_core::{ErrorKind, metrics};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::catalog::sample::{artifact, at, database, job, job_id};
use respaldo_testkit::faults::{Call, FaultMode};
use respaldo_testkit::prometheus::{Metric, of_repository, parse, promtool, repository};
use serde_json::json;

async fn text(test: &TestApp) -> String {
    metrics::text(&metrics::gather(&test.app).await.unwrap()).unwrap()
}

async fn scrape(test: &TestApp) -> Vec<Metric> {
    parse(&text(test).await)
}

/// The value of the one series with this name and these labels; none where there is none.
fn value(metrics: &[Metric], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let samples = metrics.iter().flat_map(|metric| &metric.samples);
    let mut found = samples.filter(|sample| sample.name == name && sample.has(labels));
    let first = found.next()?.value;
    assert!(found.next().is_none(), "{name} {labels:?} is more than one series");
    Some(first)
}

/// What depends on the machine and the version is replaced.
fn settled(text: &str) -> String {
    let lines = text.lines().map(|line| match line.rsplit_once(' ') {
        Some((series, _)) if series.contains("disk_space_bytes{") => format!("{series} BYTES\n"),
        _ => format!("{}\n", line.replace(env!("CARGO_PKG_VERSION"), "VERSION")),
    });
    lines.collect()
}

/// A database with a past: three succeeded, one failed, two skipped slots.
fn with_a_past() -> Database {
    let mut orders = database(1);
    orders.config_id = Some("pg_orders".to_owned());
    orders.last_due_at = Some(at(-86_400_000));
    let history = &mut orders.history;
    history.ended = [("succeeded", 3), ("failed", 1), ("skipped", 2)].map(|(s, n)| (s.to_owned(), n)).into();
    let mut counts = vec![0; 15];
    (counts[1], counts[6]) = (2, 1);
    history.durations = Durations { counts, sum_ms: 306_500 };
    let (id, created_at) = (job(1, 0).id, at(-90_000_000));
    let finished_at = at(-86_390_250);
    history.last_success = Some(LastSuccess {
        id,
        created_at,
        finished_at,
        duration_ms: 3_250,
        size_bytes: 1 << 40,
        raw_bytes: 3 << 40,
    });
    history.last_run = Some(LastRun { id, status: Status::Failed, created_at, finished_at: at(-10_000) });
    let ok = LastVerdict {
        backup: id,
        status: VerificationStatus::Ok,
        at: at(-86_000_000),
        duration_ms: Some(1_250),
    };
    history.verdicts = [("ok", 2), ("failed", 1)].map(|(s, n)| (s.to_owned(), n)).into();
    history.last_verdict =
        Some(LastVerdict { status: VerificationStatus::Failed, at: at(-9_000), ..ok.clone() });
    history.last_verified = Some(ok);
    orders
}

/// A name that no format likes, disabled, and never backed up.
fn with_an_awkward_name() -> Database {
    let mut awkward = database(2);
    "a \"quoted\\\n}name{ ñ".clone_into(&mut awkward.settings.name);
    awkward.settings.enabled = false;
    awkward.settings.engine = EngineKind::Sqlite;
    awkward.credentials = Credentials::None;
    awkward
}

/// A package that took 2.5 s, the fourth that ended.
fn a_package() -> Job {
    let package = Package {
        kind: PackageKind::Scheduled,
        slot: Some(at(0)),
        format: PackageFormat::Zip,
        databases: None,
        allow_incomplete: false,
        name: Some("package_20260101_000000.zip".to_owned()),
        members: Vec::new(),
        left_out: Vec::new(),
        artifact: Some(artifact(1, 4096)),
        counts: Some(PackageCounts { succeeded: 3, failed: 1 }),
    };
    let mut job = Job::packaging(job_id(9), package, at(0), 3);
    job.status = Status::Succeeded;
    (job.started_at, job.finished_at) = (Some(at(1_000)), Some(at(3_500)));
    job
}

async fn small_catalog() -> TestApp {
    let test = TestApp::new();
    fs::create_dir_all(&test.app.limits.staging).unwrap();
    for database in [with_a_past(), with_an_awkward_name()] {
        test.catalog.create_database(NewDatabase(database)).await.unwrap();
    }
    for (id, millis) in [(2, 5_000), (3, -5_500), (4, 7_000)] {
        test.catalog.create_job(&job(id, millis)).await.unwrap();
    }
    test.catalog.create_job(&a_package()).await.unwrap();
    test
}

#[tokio::test]
async fn the_text_of_a_small_catalog_is_this() {
    insta::assert_snapshot!(settled(&text(&small_catalog().await).await));
}

#[tokio::test]
async fn promtool_finds_nothing_to_say_about_the_text() {
    let said = promtool(&["check", "metrics"], &repository(), &text(&small_catalog().await).await);
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

#[tokio::test]
async fn an_installation_without_databases_has_metrics_too() {
    let metrics = scrape(&TestApp::new()).await;
    assert_eq!(value(&metrics, "backup_jobs", &[("status", "queued")]), Some(0.0));
    assert_eq!(value(&metrics, "backup_places", &[("state", "max")]), Some(4.0));
    assert!(metrics.iter().all(|metric| metric.name != "backup_total"), "a metric without a series");
}

#[tokio::test]
async fn names_come_back_as_they_were_however_they_are_written() {
    let metrics = scrape(&small_catalog().await).await;
    let labels = [("database", "a \"quoted\\\n}name{ ñ"), ("database_id", "2"), ("engine", "sqlite")];
    assert_eq!(value(&metrics, "backup_database_enabled", &labels), Some(0.0));
    assert_eq!(value(&metrics, "backup_next_due_timestamp_seconds", &labels), None, "it is disabled");
    assert_eq!(value(&metrics, "backup_total", &[labels[1], ("status", "succeeded")]), Some(0.0));
    assert_eq!(value(&metrics, "backup_bytes", &labels), None, "unknown is not 0");
}

#[tokio::test]
async fn two_databases_of_one_name_are_two_series() {
    let test = TestApp::new();
    for uid in [1, 2] {
        test.catalog.create_database(NewDatabase(database(uid))).await.unwrap();
    }
    let metrics = scrape(&test).await;
    let enabled = metrics.iter().find(|metric| metric.name == "backup_database_enabled").unwrap();
    let ids: BTreeSet<&str> =
        enabled.samples.iter().map(|sample| sample.labels["database_id"].as_str()).collect();
    assert_eq!(ids, BTreeSet::from(["1", "2"]));
}

#[tokio::test]
async fn a_store_that_does_not_answer_leaves_its_value_out_and_says_so() {
    let test = TestApp::new();
    test.register_sample().await;
    fs::create_dir_all(&test.app.limits.staging).unwrap();
    let (space, errors) = ("available_disk_space_bytes", "respaldo_scrape_errors");
    let before = scrape(&test).await;
    assert!(value(&before, space, &[("place", "storage")]).unwrap() > 0.0);
    assert_eq!(value(&before, errors, &[("part", "storage")]), Some(0.0));
    fs::remove_dir_all(test.backups()).unwrap();
    let after = scrape(&test).await;
    assert_eq!(value(&after, space, &[("place", "storage")]), None);
    assert_eq!(value(&after, errors, &[("part", "storage")]), Some(1.0));
    assert!(value(&after, space, &[("place", "staging")]).is_some());
    assert_eq!(value(&after, "backup_database_enabled", &[("database", "sample")]), Some(1.0));
}

#[tokio::test]
async fn a_catalog_that_fails_at_any_call_fails_the_whole() {
    let test = small_catalog().await;
    test.faults.reset();
    metrics::gather(&test.app).await.unwrap();
    let calls = test.faults.count(Call::Catalog);
    assert_eq!(test.faults.calls(), calls, "nothing but the catalog is asked");
    for n in 1..=calls {
        test.faults.reset();
        test.faults.fail_at(n, FaultMode::temporary());
        let error = metrics::gather(&test.app).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "call {n}");
    }
}

#[tokio::test]
async fn a_missing_variable_holds_its_database_back_and_no_metric_tells_a_secret() {
    let test = TestApp::new();
    let credentials = |user: &str, password: &str| Credentials::Reference {
        username_var: Some(user.to_owned()),
        password_var: Some(password.to_owned()),
    };
    for (uid, password) in [(1, "PRESENT"), (2, "MISSING")] {
        let record = Database { credentials: credentials("USER_NAME", password), ..database(uid) };
        test.catalog.create_database(NewDatabase(record)).await.unwrap();
    }
    test.secrets.set("USER_NAME", "scott-the-user");
    test.secrets.set("PRESENT", "tiger-the-password");
    let metrics = scrape(&test).await;
    assert_eq!(value(&metrics, "backup_held_back", &[("database_id", "1")]), Some(0.0));
    assert_eq!(value(&metrics, "backup_held_back", &[("database_id", "2")]), Some(1.0));
    let text = text(&test).await;
    for secret in ["scott-the-user", "tiger-the-password", "PRESENT", "db.example"] {
        assert!(!text.contains(secret), "{secret} is told");
    }
}

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What a test expects of one database.
#[derive(Default)]
struct Expected {
    ended: BTreeMap<&'static str, f64>,
    last_success: Option<f64>,
    bytes: Option<f64>,
    last_run_failed: Option<f64>,
}

fn assert_shows(metrics: &[Metric], database: &Database, expected: &Expected) {
    let id = database.id.to_string();
    let of = |name| value(metrics, name, &[("database_id", id.as_str())]);
    for status in ["succeeded", "failed", "cancelled", "skipped"] {
        let shown = value(metrics, "backup_total", &[("database_id", id.as_str()), ("status", status)]);
        assert_eq!(shown, Some(expected.ended.get(status).copied().unwrap_or(0.0)), "{status}");
    }
    let succeeded = expected.ended.get("succeeded").copied();
    assert_eq!(of("backup_duration_seconds_count"), succeeded);
    assert_eq!(of("backup_last_success_timestamp_seconds"), expected.last_success);
    assert_eq!(of("backup_bytes"), expected.bytes);
    assert_eq!(of("backup_last_run_failed"), expected.last_run_failed);
}

#[tokio::test]
async fn random_backups_failures_cancels_and_deletions_are_what_the_metrics_say() {
    for seed in 1..4 {
        let (test, mut dice) = (TestApp::new(), Dice(seed));
        let path = test.folder().join("sample.db");
        let database = test.register_sample().await;
        let whole = fs::read(&path).unwrap();
        let mut expected = Expected::default();
        for _ in 0..25 {
            match dice.roll(5) {
                0 | 1 => {
                    let job = test.back_up(&database).await;
                    expected.last_success = job.finished_at.map(|at| at.as_millisecond() as f64 / 1_000.0);
                    expected.bytes =
                        job.backup().unwrap().artifact.as_ref().map(|artifact| artifact.size_bytes as f64);
                    expected.last_run_failed = Some(0.0);
                    *expected.ended.entry("succeeded").or_default() += 1.0;
                }
                2 => {
                    fs::write(&path, "this is no database").unwrap();
                    let job = test.back_up(&database).await;
                    assert_eq!(job.status, Status::Failed);
                    fs::write(&path, &whole).unwrap();
                    expected.last_run_failed = Some(1.0);
                    *expected.ended.entry("failed").or_default() += 1.0;
                }
                3 => {
                    let job = backup::request(&test.app, database.id, None).await.unwrap();
                    jobs::cancel(&test.app, job.id).await.unwrap();
                    *expected.ended.entry("cancelled").or_default() += 1.0;
                }
                _ => {
                    let jobs = test.jobs().await;
                    if let Some(job) = jobs.get(usize::try_from(dice.roll(10)).unwrap()) {
                        backup::delete(&test.app, job.id).await.unwrap();
                    }
                }
            }
            let metrics = scrape(&test).await;
            assert_shows(&metrics, &database, &expected);
            let stored = test.catalog.totals(None).await.unwrap().size_bytes as f64;
            assert_eq!(value(&metrics, "backup_stored_bytes", &[]), Some(stored), "seed {seed}");
        }
        test.assert_promises().await;
    }
}

#[tokio::test]
async fn the_queue_the_places_and_the_oldest_that_waits_are_what_the_catalog_says() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let waiting = backup::request(&test.app, database.id, None).await.unwrap();
    for id in 10..1_200 {
        test.catalog.create_job(&job(id, i64::try_from(id).unwrap() - 5_000)).await.unwrap();
    }
    let until = test.app.now() + jiff::SignedDuration::from_secs(60);
    test.catalog.acquire_lease("place/0000", "a test", test.app.now(), until).await.unwrap();
    let metrics = scrape(&test).await;
    assert_eq!(value(&metrics, "backup_jobs", &[("status", "queued")]), Some(1_191.0));
    assert_eq!(value(&metrics, "backup_jobs", &[("status", "running")]), Some(0.0));
    assert_eq!(value(&metrics, "backup_places", &[("state", "taken")]), Some(1.0));
    let oldest = at(10 - 5_000).as_millisecond() as f64 / 1_000.0;
    assert_eq!(value(&metrics, "backup_oldest_queued_timestamp_seconds", &[]), Some(oldest));
    assert_eq!(waiting.status, Status::Queued);
}

#[tokio::test]
async fn a_renamed_database_keeps_its_number_and_its_counts_and_a_removed_one_ends() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    test.back_up(&database).await;
    let fields = json!({"name": "renamed"}).as_object().unwrap().clone();
    let change = respaldo_core::databases::Change { fields, ..Default::default() };
    respaldo_core::databases::change(&test.app, database.id, change).await.unwrap();
    let labels = [("database", "renamed"), ("database_id", "1"), ("status", "succeeded")];
    assert_eq!(value(&scrape(&test).await, "backup_total", &labels), Some(1.0));
    let fate = respaldo_core::databases::BackupsFate::Delete;
    respaldo_core::databases::remove(&test.app, database.id, Some(fate)).await.unwrap();
    assert_eq!(value(&scrape(&test).await, "backup_total", &labels), None);
}

/// The rows of the tables in `docs/metrics.md`: name and type.
fn documented() -> BTreeMap<String, String> {
    let page = of_repository("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let typed = rows.filter_map(|(name, rest)| Some((name, rest.split_once(" | ")?.0)));
    let kinds = ["counter", "gauge", "histogram"];
    typed
        .filter(|(_, kind)| kinds.contains(kind))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

#[tokio::test]
async fn the_page_lists_every_metric_with_its_type_and_no_other() {
    let metrics = scrape(&small_catalog().await).await;
    let given = metrics.into_iter().map(|metric| (metric.name, metric.kind)).collect();
    assert_eq!(documented(), given);
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_when_they_should_not() {
    let folder = repository().join("infra/prometheus");
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
        ["check", "config", "prometheus.yml"],
    ] {
        let said = promtool(&arguments, &folder, "");
        let words = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        assert!(said.status.success() && words.contains("SUCCESS"), "{arguments:?}: {words}");
    }
}

/// A rule without a case in `alerts.test.yml` has not been seen to fire.
#[test]
fn every_alert_rule_has_a_case_that_fires_and_one_that_does_not() {
    let (rules, tests) =
        (of_repository("infra/prometheus/alerts.yml"), of_repository("infra/prometheus/alerts.test.yml"));
    let page = of_repository("docs/metrics.md");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 9, "the rules are not found");
    for alert in alerts {
        let cases = tests.match_indices(&format!("alertname: {alert}\n")).count()
            + tests.match_indices(&format!("alertname=\"{alert}\"")).count();
        assert!(cases >= 2, "{alert} has {cases} cases");
        assert!(page.contains(&format!("`{alert}`")), "docs/metrics.md does not explain {alert}");
    }
}
