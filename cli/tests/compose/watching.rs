//! Prometheus and Grafana, as the compose file sets them up.

use respaldo_testkit::prometheus::{of_repository, promtool, repository};
use serde_json::{Value, json};

use crate::file::{Compose, keys, yaml};

/// Where a service sees a file or folder of the repository.
fn seen(compose: &Compose, service: &str, path: &str) -> String {
    let mounts = compose.mounts(service);
    let mount = mounts.iter().find(|mount| mount.0 == format!("./{path}"));
    mount.unwrap_or_else(|| panic!("{service} does not mount {path}")).1.to_owned()
}

#[test]
fn promtool_takes_the_configuration_and_prometheus_is_told_to_read_it() {
    let said = promtool(&["check", "config", "compose.yml"], &repository().join("infra/prometheus"), "");
    let words = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(said.status.success() && words.contains("rules found"), "{words}");
    let compose = Compose::ours();
    let config = seen(&compose, "prometheus", "infra/prometheus/compose.yml");
    let command = compose.service("prometheus")["command"].as_array().unwrap();
    assert!(command.contains(&json!(format!("--config.file={config}"))));
    let rules = seen(&compose, "prometheus", "infra/prometheus/alerts.yml");
    let beside = config.replace("compose.yml", "alerts.yml");
    assert_eq!(
        (rules, &yaml("infra/prometheus/compose.yml")["rule_files"]),
        (beside, &json!(["alerts.yml"]))
    );
}

/// In each profile exactly one source has the metrics: sums would count two twice.
#[test]
fn prometheus_looks_for_the_server_or_for_what_is_pushed_and_each_profile_has_one_of_them() {
    let (compose, config) = (Compose::ours(), yaml("infra/prometheus/compose.yml"));
    let mut targets = Vec::new();
    for job in config["scrape_configs"].as_array().unwrap() {
        let found = &job["dns_sd_configs"][0];
        targets.push((
            job["job_name"].as_str().unwrap(),
            found["names"][0].as_str().unwrap(),
            found["port"].as_u64().unwrap(),
        ));
    }
    assert_eq!(targets, [("respaldo", "backend", 8000), ("pushgateway", "pushgateway", 9091)]);
    for profile in ["embedded", "cloud"] {
        let running: Vec<&str> = targets
            .iter()
            .map(|target| target.1)
            .filter(|service| compose.runs_in(service, profile))
            .collect();
        assert_eq!(running, [if profile == "embedded" { "backend" } else { "pushgateway" }], "{profile}");
    }
    assert_eq!(config["scrape_configs"][1]["honor_labels"], true, "what is pushed keeps its job's name");
    for (name, service) in [("backend", "backend"), ("pushgateway", "pushgateway")] {
        let networks = |of: &str| compose.service(of)["networks"].as_array().unwrap().clone();
        assert!(networks("prometheus").iter().any(|network| networks(service).contains(network)), "{name}");
    }
    assert!(compose.variable("worker", "PUSHGATEWAY_URL").ends_with(":9091"));
    let pushes = |service: &str| {
        keys(&compose.service(service)["environment"]).iter().any(|(name, _)| *name == "PUSHGATEWAY_URL")
    };
    assert!(!pushes("backend") && pushes("backend-cloud"));
}

#[test]
fn grafana_finds_prometheus_and_the_dashboard() {
    let compose = Compose::ours();
    assert_eq!(seen(&compose, "grafana", "infra/grafana/provisioning"), "/etc/grafana/provisioning");
    let sources = yaml("infra/grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!((&source["type"], &source["url"]), (&json!("prometheus"), &json!("http://prometheus:9090")));
    assert_eq!(source["isDefault"], true);
    let providers = yaml("infra/grafana/provisioning/dashboards/respaldo.yml");
    let folder = providers["providers"][0]["options"]["path"].as_str().unwrap();
    let dashboard = seen(&compose, "grafana", "grafana-dashboard.json");
    assert_eq!(dashboard.rsplit_once('/').unwrap().0, folder);
    assert_eq!(compose.variable("grafana", "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"), dashboard);
}

/// Grafana fills `${DS_PROMETHEUS}` in when somebody imports the file; where it is provisioned, a variable does.
#[test]
fn the_dashboard_finds_its_data_source_also_where_nobody_chooses_one() {
    let dashboard: Value = serde_json::from_str(&of_repository("grafana-dashboard.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let first = &variables[0];
    assert_eq!(
        (&first["name"], &first["type"], &first["query"]),
        (&json!("DS_PROMETHEUS"), &json!("datasource"), &json!("prometheus"))
    );
    assert!(variables[1..].iter().any(|variable| variable["datasource"]["uid"] == "${DS_PROMETHEUS}"));
}
