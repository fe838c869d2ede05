//! Whatever the compose file names is there.

use std::collections::BTreeSet;
use std::path::Path;

use respaldo_testkit::prometheus::{of_repository, repository};
use serde_json::json;

use crate::file::{Compose, OURS, PROFILES, keys, list, yaml};

/// What is wrong with the whole file.
fn faults(compose: &Compose) -> Vec<String> {
    let mut found = Vec::new();
    for (name, _) in compose.services() {
        let faults =
            [dependencies, places, image, exposure, hardening, addresses].map(|of| of(compose, name));
        found.extend(faults.into_iter().flatten().map(|fault| format!("{name}: {fault}")));
    }
    found.extend(unused(compose));
    found
}

fn dependencies(compose: &Compose, service: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (on, how) in keys(&compose.service(service)["depends_on"]) {
        if compose.0["services"][on].is_null() {
            found.push(format!("depends on {on}, which is not there"));
            continue;
        }
        let missing = |profile: &&str| compose.runs_in(service, profile) && !compose.runs_in(on, profile);
        found.extend(PROFILES.iter().find(|profile| missing(profile)).map(|p| format!("{on} is not in {p}")));
        let other = compose.service(on);
        let ends = other["restart"].is_null();
        match how["condition"].as_str() {
            Some("service_healthy") if other["healthcheck"]["test"].is_array() => {}
            Some("service_completed_successfully") if ends => {}
            condition => found.push(format!("{on} can never be {condition:?}")),
        }
    }
    found
}

/// Volumes, mounted files and networks.
fn places(compose: &Compose, service: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (source, target, options) in compose.mounts(service) {
        if let Some(path) = source.strip_prefix("./") {
            if !repository().join(path).exists() {
                found.push(format!("{path} is not there"));
            }
            if options != "ro" {
                found.push(format!("{path} can be written"));
            }
        } else if compose.0["volumes"].get(source).is_none() {
            found.push(format!("{source} is no volume"));
        }
        if !target.starts_with('/') {
            found.push(format!("{target} is no absolute path"));
        }
    }
    let networks = list(&compose.service(service)["networks"]);
    if networks.is_empty() {
        found.push("is on the default network".to_owned());
    }
    let unknown = networks.into_iter().filter(|network| compose.0["networks"].get(network).is_none());
    found.extend(unknown.map(|network| format!("{network} is no network")));
    found
}

/// A version in full, or a dated release; ours carries the version that it is built as.
fn image(compose: &Compose, service: &str) -> Vec<String> {
    let built = &compose.service(service)["build"];
    let image = compose.service(service)["image"].as_str().unwrap_or_default();
    let tag = image.split_once(':').map_or("", |(_, tag)| tag);
    if built.is_null() == OURS.contains(&service) {
        return vec!["is built, or is not, against what its name says".to_owned()];
    }
    if !built.is_null() {
        let dockerfile = repository().join(built["dockerfile"].as_str().unwrap());
        let target = format!(" AS {}\n", built["target"].as_str().unwrap());
        let there = std::fs::read_to_string(dockerfile).is_ok_and(|text| text.contains(&target));
        let version = tag == env!("CARGO_PKG_VERSION") && built["context"] == ".";
        return if there && version { Vec::new() } else { vec![format!("{image} cannot be built")] };
    }
    let version = tag.trim_start_matches('v').split('-').next().unwrap();
    let exact = version.split('.').filter(|part| part.parse::<u32>().is_ok()).count() >= 2;
    let pinned = exact || tag.strip_prefix("RELEASE.20").is_some_and(|date| date.len() == 18);
    if pinned { Vec::new() } else { vec![format!("{image} is not pinned")] }
}

fn exposure(compose: &Compose, service: &str) -> Vec<String> {
    let ports = list(&compose.service(service)["ports"]).into_iter();
    let mut found: Vec<String> = ports
        .filter(|port| !port.starts_with("127.0.0.1:"))
        .map(|port| format!("{port} is published to other machines"))
        .collect();
    for key in
        ["privileged", "network_mode", "pid", "ipc", "devices", "cap_add", "env_file", "container_name"]
    {
        if !compose.service(service)[key].is_null() {
            found.push(format!("{key} is set"));
        }
    }
    let host = |source: &str| source.starts_with('/') || source.contains("docker.sock");
    found.extend(
        compose
            .mounts(service)
            .iter()
            .filter(|mount| host(mount.0))
            .map(|mount| format!("mounts {}", mount.0)),
    );
    found
}

/// The images that change their user by themselves need their capabilities and a root that can be written.
const BY_THEMSELVES: [&str; 6] = ["postgres-db", "mongo-db", "mariadb", "minio", "bucket-init", "localstack"];

fn hardening(compose: &Compose, service: &str) -> Vec<String> {
    let definition = compose.service(service);
    let mut found = Vec::new();
    if list(&definition["security_opt"]) != ["no-new-privileges:true"] {
        found.push("may gain privileges".to_owned());
    }
    let bound = definition["read_only"] == true && list(&definition["cap_drop"]) == ["ALL"];
    if !bound && !BY_THEMSELVES.contains(&service) {
        found.push("has capabilities, or a root that it can write".to_owned());
    }
    // A one-shot ends; a server is asked, but for the worker, which opens no port.
    let serves = !definition["restart"].is_null();
    let asked = definition["healthcheck"]["test"].is_array() || service.starts_with("backend");
    if serves && !asked && service != "worker" {
        found.push("nobody asks it for its health".to_owned());
    }
    found
}

/// The services that addresses in a text name: what stands between `://` (or `@`) and a port.
fn hosts(text: &str) -> Vec<&str> {
    let after = text.split("http://").skip(1);
    after
        .filter_map(|rest| rest.split([':', '/', '&', '?']).next())
        .filter(|host| *host != "127.0.0.1")
        .collect()
}

/// Who is called by name is on a network and in a profile of the caller's.
fn addresses(compose: &Compose, service: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (variable, text) in compose.environment(service) {
        for host in hosts(text) {
            if !reaches(compose, service, host) {
                found.push(format!("{variable} names {host}, which it does not reach"));
            }
        }
    }
    found
}

fn reaches(compose: &Compose, from: &str, to: &str) -> bool {
    let networks = |service: &str| {
        list(&compose.0["services"][service]["networks"]).into_iter().collect::<BTreeSet<_>>()
    };
    let runs = |profile: &&str| !compose.runs_in(from, profile) || compose.runs_in(to, profile);
    !compose.0["services"][to].is_null()
        && !networks(from).is_disjoint(&networks(to))
        && PROFILES.iter().all(runs)
}

/// Volumes and networks that nobody uses.
fn unused(compose: &Compose) -> Vec<String> {
    let mut found = Vec::new();
    let names = || compose.services().into_iter().map(|(name, _)| name);
    for (volume, _) in keys(&compose.0["volumes"]) {
        if !names().any(|name| compose.mounts(name).iter().any(|mount| mount.0 == volume)) {
            found.push(format!("nobody uses the volume {volume}"));
        }
    }
    for (network, _) in keys(&compose.0["networks"]) {
        if !names().any(|name| list(&compose.service(name)["networks"]).contains(&network)) {
            found.push(format!("nobody is on the network {network}"));
        }
    }
    found
}

#[test]
fn whatever_the_compose_file_names_is_there() {
    assert_eq!(faults(&Compose::ours()), [""; 0]);
}

#[test]
fn a_compose_file_that_is_wrong_is_found_out() {
    let ours = Compose::ours();
    let healthy = json!({"condition": "service_healthy"});
    for (pointer, value, fault) in [
        (
            "/services/backend/depends_on/redis",
            healthy.clone(),
            "backend: depends on redis, which is not there",
        ),
        ("/services/backend/depends_on/minio", healthy.clone(), "backend: minio is not in embedded"),
        ("/services/grafana/depends_on/bucket-init", healthy, "grafana: bucket-init is not in embedded"),
        (
            "/services/minio/healthcheck",
            json!(null),
            "bucket-init: minio can never be Some(\"service_healthy\")",
        ),
        (
            "/services/backend/volumes/0",
            json!("./nowhere.yaml:/app/config.yaml:ro"),
            "backend: nowhere.yaml is not there",
        ),
        (
            "/services/backend/volumes/0",
            json!("./config.yaml:/app/config.yaml"),
            "backend: config.yaml can be written",
        ),
        ("/services/backend/volumes/1", json!("elsewhere:/app/data"), "backend: elsewhere is no volume"),
        ("/services/backend/networks/0", json!("nowhere"), "backend: nowhere is no network"),
        (
            "/services/grafana/image",
            json!("grafana/grafana:latest"),
            "grafana: grafana/grafana:latest is not pinned",
        ),
        ("/services/minio/image", json!("minio/minio:RELEASE"), "minio: minio/minio:RELEASE is not pinned"),
        ("/services/worker/image", json!("respaldo:9.9.9"), "worker: respaldo:9.9.9 cannot be built"),
        (
            "/services/backend/ports/0",
            json!("8000:8000"),
            "backend: 8000:8000 is published to other machines",
        ),
        ("/services/worker/privileged", json!(true), "worker: privileged is set"),
        ("/services/worker/read_only", json!(false), "worker: has capabilities, or a root that it can write"),
        ("/services/minio/security_opt", json!([]), "minio: may gain privileges"),
        ("/services/prometheus/healthcheck", json!(null), "prometheus: nobody asks it for its health"),
        (
            "/services/worker/networks",
            json!(["databases"]),
            "worker: PUSHGATEWAY_URL names pushgateway, which it does not reach",
        ),
        (
            "/services/pushgateway/profiles",
            json!(["embedded"]),
            "worker: PUSHGATEWAY_URL names pushgateway, which it does not reach",
        ),
        ("/volumes/attic", json!(null), "nobody uses the volume attic"),
        ("/networks/attic", json!({}), "nobody is on the network attic"),
    ] {
        let found = faults(&ours.with(pointer, value));
        assert!(found.iter().any(|found| found == fault), "{fault} is not among {found:?}");
    }
}

#[test]
fn the_server_and_grafana_are_published_on_this_machine_and_nothing_else_is() {
    let compose = Compose::ours();
    for (profile, server) in PROFILES.into_iter().zip(["backend", "backend-cloud"]) {
        let mut published = BTreeSet::new();
        for (name, service) in
            compose.services().into_iter().filter(|(name, _)| compose.runs_in(name, profile))
        {
            published.extend(list(&service["ports"]).into_iter().map(|port| (name, port)));
        }
        assert_eq!(published, [(server, "127.0.0.1:8000:8000"), ("grafana", "127.0.0.1:3000:3000")].into());
    }
}

#[test]
fn the_image_has_the_folders_that_volumes_are_laid_over() {
    let dockerfile = of_repository("infra/docker/Dockerfile");
    let compose = Compose::ours();
    for service in ["backend", "backend-cloud", "worker"] {
        for (source, target, _) in
            compose.mounts(service).into_iter().filter(|mount| !mount.0.starts_with("./"))
        {
            // A volume gets its owner from the folder that it is laid over, at whichever of its places has one.
            let places = compose.mounts(service).into_iter().filter(|mount| mount.0 == source);
            let mut made = places.filter(|mount| dockerfile.contains(&format!(" {}", mount.1)));
            assert!(made.next().is_some(), "{service}: {target} would belong to root");
        }
    }
}

#[test]
fn the_databases_of_the_configuration_are_services_that_every_host_reaches() {
    let compose = Compose::ours();
    let config = yaml("infra/compose/config.yaml");
    let databases = config["databases"].as_array().unwrap();
    assert!(databases.len() >= 3);
    let made = ["postgres.sql", "mongo.js", "mariadb.sql"]
        .map(|name| of_repository(&format!("infra/compose/{name}")))
        .concat();
    for database in databases {
        let (host, name) = (database["host"].as_str().unwrap(), database["database_name"].as_str().unwrap());
        for from in ["backend", "backend-cloud", "worker"] {
            assert!(reaches(&compose, from, host), "{from} does not reach {host}");
        }
        let by_image = compose.environment(host).iter().any(|(_, value)| *value == name);
        assert!(by_image || made.contains(name), "nobody makes {name} on {host}");
    }
    assert!(Path::new(&repository()).join("infra/compose/mariadb-grants.sh").exists());
}
