//! A real pushgateway, read by a real Prometheus.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use respaldo_adapters::pushgateway::Outcome;
use respaldo_core::databases::{self, BackupsFate};
use respaldo_core::{ErrorKind, metrics};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::prometheus::{Prometheus, Pushgateway, Sample, parse, promtool, repository};
use serde_json::json;

use super::{failure, pushed};

fn scraping(gateway: &Pushgateway) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: pushgateway\n  honor_labels: true\n  \
         static_configs:\n  - targets: ['127.0.0.1:{}']\n",
        gateway.port()
    )
}

/// Name and labels of each sample, without those that the gateway adds, with its value; but for what the disk
/// says, which changes by itself.
fn settled(
    samples: impl IntoIterator<Item = Sample>,
) -> BTreeMap<(String, BTreeMap<String, String>), String> {
    let steady = samples.into_iter().filter(|sample| !sample.name.contains("disk_space"));
    let one = |mut sample: Sample| {
        sample.labels.retain(|name, _| name != "job" && name != "instance");
        ((sample.name, sample.labels), sample.value.to_string())
    };
    steady.map(one).collect()
}

/// Every sample that the catalog gives is in the gateway, with the same value.
async fn assert_holds_all(gateway: &Pushgateway, test: &TestApp) {
    let text = metrics::text(&metrics::gather(&test.app).await.unwrap()).unwrap();
    let expected = settled(parse(&text).into_iter().flat_map(|metric| metric.samples));
    let mut found = BTreeMap::new();
    for name in expected.keys().map(|(name, _)| name) {
        found.extend(settled(gateway.samples(name).await));
    }
    assert!(expected.len() >= 20, "the metrics are not found: {expected:?}");
    assert_eq!(found, expected);
}

#[tokio::test]
async fn pushed_metrics_arrive_in_a_real_pushgateway_and_are_read_by_a_real_prometheus() {
    let (test, gateway) = (TestApp::new(), Pushgateway::start().await);
    let database = test.register_sample().await;
    test.back_up(&database).await;
    let prometheus = Prometheus::start(&scraping(&gateway)).await;

    let Outcome::Pushed { databases, bytes } = pushed(&test, &gateway.url()).await else {
        panic!("not pushed")
    };
    assert_eq!(databases, 1);
    assert!(bytes > 3_000, "{bytes} bytes");
    assert_holds_all(&gateway, &test).await;
    let said = promtool(&["check", "metrics"], &repository(), &gateway.text().await);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));

    prometheus.until("backup_total{job='respaldo', status='succeeded'} == 1").await;
    prometheus.until("backup_duration_seconds_bucket{job='respaldo', le='+Inf'} == 1").await;
    prometheus.until("histogram_quantile(0.5, sum by (le) (backup_duration_seconds_bucket)) > 0").await;
    prometheus.until("time() - push_time_seconds{job='respaldo'} < 60").await;
}

#[tokio::test]
async fn a_push_replaces_the_one_before_and_a_database_that_was_removed_is_gone() {
    let (test, gateway) = (TestApp::new(), Pushgateway::start().await);
    let first = test.register_sample().await;
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
    assert_eq!(gateway.samples("backup_database_enabled").await.len(), 1);

    databases::remove(&test.app, first.id, Some(BackupsFate::Delete)).await.unwrap();
    let second =
        json!({"name": "second", "engine": "sqlite", "database_name": test.folder().join("sample.db")});
    test.register(second).await;
    test.clock.advance(SignedDuration::from_mins(1));
    assert!(matches!(pushed(&test, &gateway.url()).await, Outcome::Pushed { .. }));
    let enabled = gateway.samples("backup_database_enabled").await;
    assert_eq!(enabled.iter().map(|sample| &*sample.labels["database"]).collect::<Vec<_>>(), ["second"]);
    assert_holds_all(&gateway, &test).await;
}

#[tokio::test]
async fn two_installations_stand_beside_each_other_by_their_instance() {
    let gateway = Pushgateway::start().await;
    for instance in ["shop", "books"] {
        let test = TestApp::new();
        let pushed = pushed(&test, &format!("{}/?instance={instance}", gateway.url())).await;
        assert!(matches!(pushed, Outcome::Pushed { .. }), "{pushed:?}");
    }
    let builds = gateway.samples("respaldo_build_info").await;
    let mut instances: Vec<&str> = builds.iter().map(|build| &*build.labels["instance"]).collect();
    instances.sort_unstable();
    assert_eq!(instances, ["books", "shop"]);
}

#[tokio::test]
async fn a_gateway_with_a_login_takes_the_right_one_and_refuses_any_other() {
    let gateway = Pushgateway::start_with_login().await;
    let url = |login: &str| format!("http://{login}127.0.0.1:{}", gateway.port());
    for login in ["", "scott:wrong-tiger@", "wrong:tiger-the-password@"] {
        let error = failure(&TestApp::new(), &url(login)).await;
        assert_eq!((error.kind(), error.field()), (ErrorKind::Denied, Some("PUSHGATEWAY_URL")), "{login}");
        assert!(!format!("{error:?}").contains("tiger"), "{error:?}");
    }
    let right = pushed(&TestApp::new(), &url("scott:tiger%2Dthe-password@")).await;
    assert!(matches!(right, Outcome::Pushed { .. }), "{right:?}");
}
