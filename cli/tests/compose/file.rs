//! The compose file, read.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use respaldo_testkit::host;
use respaldo_testkit::prometheus::{of_repository, repository};
use serde_json::Value;

/// The services that are Respaldo itself.
pub(crate) const OURS: [&str; 5] = ["backend", "backend-cloud", "worker", "catalog-init", "config-apply"];
pub(crate) const PROFILES: [&str; 2] = ["embedded", "cloud"];

/// The compose file, or a changed one.
#[derive(Clone)]
pub(crate) struct Compose(pub(crate) Value);

impl Compose {
    pub(crate) fn ours() -> Self {
        Self(yaml("docker-compose.yml"))
    }

    /// The same with one value put in.
    pub(crate) fn with(&self, pointer: &str, value: Value) -> Self {
        let mut changed = self.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = changed.0.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}"));
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            parent => parent[key] = value,
        }
        changed
    }

    pub(crate) fn service(&self, name: &str) -> &Value {
        let service = &self.0["services"][name];
        assert!(service.is_object(), "there is no service {name}");
        service
    }

    pub(crate) fn services(&self) -> Vec<(&str, &Value)> {
        keys(&self.0["services"])
    }

    /// Whether a service runs in this profile; one that names none runs in each.
    pub(crate) fn runs_in(&self, service: &str, profile: &str) -> bool {
        let profiles = list(&self.0["services"][service]["profiles"]);
        profiles.is_empty() || profiles.contains(&profile)
    }

    /// A service's variables.
    pub(crate) fn environment(&self, service: &str) -> Vec<(&str, &str)> {
        let variables = keys(&self.service(service)["environment"]);
        variables.into_iter().map(|(name, value)| (name, value.as_str().expect("a text in quotes"))).collect()
    }

    /// One variable of a service.
    pub(crate) fn variable(&self, service: &str, name: &str) -> &str {
        self.service(service)["environment"][name]
            .as_str()
            .unwrap_or_else(|| panic!("{service} has no {name}"))
    }

    /// What a service mounts: source, target, options.
    pub(crate) fn mounts(&self, service: &str) -> Vec<(&str, &str, &str)> {
        let mounts = list(&self.service(service)["volumes"]).into_iter();
        let split = mounts.map(|mount| mount.split(':').collect::<Vec<_>>());
        split.map(|parts| (parts[0], parts[1], parts.get(2).copied().unwrap_or(""))).collect()
    }
}

/// A YAML file of the repository.
pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&of_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The entries of an object; none where there is none.
pub(crate) fn keys(object: &Value) -> Vec<(&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

/// The texts of a list; none where there is none.
pub(crate) fn list(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text")).collect()
}

/// What the compose specification's schema says of a file.
fn schema(path: &PathBuf) -> Output {
    let mut command = host::command(host::installed_tool("checks", "check-jsonschema"));
    command.args(["--builtin-schema", "vendor.compose-spec"]).arg(path).output().unwrap()
}

#[test]
fn the_compose_file_is_what_the_specification_allows() {
    let said = schema(&repository().join("docker-compose.yml"));
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&[said.stdout, said.stderr].concat()));
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("docker-compose.json");
    let changed = Compose::ours().with("/services/backend/portz", serde_json::json!(["8000"]));
    fs::write(&wrong, changed.0.to_string()).unwrap();
    let said = schema(&wrong);
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stdout).contains("portz"), "{said:?}");
}
