//! The variables: where they come from, and that somebody reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use respaldo_testkit::prometheus::{of_repository, repository};
use serde_json::json;

use crate::file::{Compose, OURS, yaml};

/// What a name ends with when its value is nobody's business.
const SECRET: [&str; 4] = ["_PASSWORD", "_KEY", "_USER", "_USERNAME"];
/// Read by Amazon's SDK and by OpenDAL.
const OF_THE_SDK: [&str; 4] =
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"];

/// The variables that a text refers to, `${NAME}`, with what follows the name.
fn referred(text: &str) -> Vec<(&str, &str)> {
    let uncommented = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let after = uncommented.flat_map(|line| line.split("${").skip(1));
    after
        .filter_map(|rest| rest.split_once('}'))
        .map(|(inside, _)| {
            inside.split_at(
                inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len()),
            )
        })
        .collect()
}

/// The variables of `.env.example` with their values.
fn example() -> BTreeMap<String, String> {
    let text = of_repository(".env.example");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Secrets that stand in the file, or that compose would take for empty.
fn in_clear(compose: &Compose) -> Vec<String> {
    let mut found = Vec::new();
    for (service, _) in compose.services() {
        for (name, value) in compose.environment(service) {
            let secret = SECRET.iter().any(|end| name.ends_with(end)) || name == "AWS_ACCESS_KEY_ID";
            if name == "MARIADB_RANDOM_ROOT_PASSWORD" {
                continue;
            }
            let required = value.starts_with("${") && value.contains(":?") && value.ends_with('}');
            if secret && !required {
                found.push(format!("{service}: {name}"));
            }
        }
    }
    found
}

#[test]
fn no_secret_stands_in_the_compose_file_and_one_that_is_missing_stops_it() {
    let ours = Compose::ours();
    assert_eq!(in_clear(&ours), [""; 0]);
    for value in ["hunter2", "${POSTGRES_PASSWORD:-hunter2}", "${POSTGRES_PASSWORD}"] {
        let changed = ours.with("/services/postgres-db/environment/POSTGRES_PASSWORD", json!(value));
        assert_eq!(in_clear(&changed), ["postgres-db: POSTGRES_PASSWORD"], "{value}");
    }
}

#[test]
fn what_the_compose_file_asks_for_is_in_the_example_and_the_other_way_round() {
    let text = of_repository("docker-compose.yml");
    let asked: BTreeSet<&str> =
        referred(&text).into_iter().map(|(name, _)| name).chain(["COMPOSE_PROFILES"]).collect();
    let example = example();
    assert_eq!(asked, example.keys().map(String::as_str).collect());
    for (name, otherwise) in referred(&text) {
        let said = otherwise
            .strip_prefix(":?")
            .is_some_and(|why| why == format!("set {name} in .env, see .env.example"));
        assert!(said || otherwise == ":-UTC", "{name}{otherwise}");
    }
}

#[test]
fn the_example_holds_no_secret_and_the_real_one_is_kept_out_of_git_and_images() {
    let given: BTreeMap<String, String> =
        example().into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let sane = [("COMPOSE_PROFILES", "embedded"), ("TZ", "UTC")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(given, sane.into());
    for file in [".gitignore", ".dockerignore"] {
        assert!(of_repository(file).lines().any(|line| line == ".env"), "{file}");
    }
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path: PathBuf = entry.path();
        if entry.file_type().unwrap().is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *found += &fs::read_to_string(path).unwrap();
        }
    }
}

/// The text of everything that the server and the worker are made of.
fn code() -> String {
    let mut found = String::new();
    for folder in [
        "crates/adapters/src",
        "crates/api/src",
        "crates/aws/src",
        "crates/core/src",
        "local-server/src",
        "cli/src",
    ] {
        sources(&repository().join(folder), &mut found);
    }
    assert!(found.len() > 100_000, "the sources are not found");
    found
}

#[test]
fn every_variable_of_the_server_and_the_worker_is_one_that_somebody_reads() {
    let (compose, code, config) = (Compose::ours(), code(), of_repository("infra/compose/config.yaml"));
    let mut names = BTreeSet::new();
    for service in OURS {
        names.extend(compose.environment(service).into_iter().map(|(name, _)| name));
    }
    assert!(names.len() >= 20, "{names:?}");
    let read = |name: &str| code.contains(&format!("\"{name}\"")) || OF_THE_SDK.contains(&name);
    let named = |name: &str| config.lines().any(|line| line.trim_end().ends_with(&format!("_var: {name}")));
    let unread: Vec<&str> = names.into_iter().filter(|name| !read(name) && !named(name)).collect();
    assert_eq!(unread, [""; 0]);
}

#[test]
fn the_logins_that_the_configuration_names_are_given_on_both_hosts() {
    let (compose, config) = (Compose::ours(), yaml("infra/compose/config.yaml"));
    let secrets = of_repository("localstack/ready.d/30-secrets.sh");
    let put =
        secrets.lines().find_map(|line| line.strip_prefix("for variable in ")?.strip_suffix("; do")).unwrap();
    let put: BTreeSet<&str> = put.split(' ').collect();
    let mut named = BTreeSet::new();
    for database in config["databases"].as_array().unwrap() {
        for variable in ["username_var", "password_var"] {
            named.insert(database[variable].as_str().expect("a login"));
        }
    }
    assert_eq!(named, put, "LocalStack's secrets");
    for name in named {
        assert!(compose.variable("backend", name).contains(name));
        assert!(compose.variable("localstack", name).contains(name));
    }
}

#[test]
fn the_server_and_the_worker_of_one_profile_look_at_one_catalog_one_storage_and_one_queue() {
    let compose = Compose::ours();
    for name in [
        "CATALOG_URL",
        "STORAGE_URL",
        "SECRETS_URL",
        "QUEUE_URL_LONG",
        "RESPALDO_MASTER_KEY",
        "PUSHGATEWAY_URL",
    ] {
        let given = |service| compose.variable(service, name);
        for service in ["worker", "catalog-init", "config-apply"] {
            assert_eq!(given(service), given("backend-cloud"), "{service}");
        }
    }
    let queue = compose.variable("localstack", "RESPALDO_QUEUE");
    assert!(compose.variable("worker", "QUEUE_URL_LONG").ends_with(&format!("/000000000000/{queue}")));
    let prefix = compose.variable("localstack", "RESPALDO_SECRETS_PREFIX");
    assert!(compose.variable("worker", "SECRETS_URL").starts_with(&format!("secretsmanager://{prefix}?")));
    let bucket = compose.variable("bucket-init", "MINIO_BUCKET");
    assert!(compose.variable("worker", "STORAGE_URL").starts_with(&format!("s3://{bucket}/")));
    let region = compose.variable("localstack", "AWS_DEFAULT_REGION");
    for name in ["CATALOG_URL", "STORAGE_URL", "SECRETS_URL", "AWS_REGION"] {
        assert!(compose.variable("worker", name).ends_with(region), "{name}");
    }
}
