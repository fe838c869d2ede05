//! The arrows of `ARCHITECTURE.md`, held against the workspace's manifests, and the named places where
//! clock, environment and processes are reached, held against the sources.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of the workspace each may use. Development dependencies are the tests' own affair.
const ARROWS: &[(&str, &[&str])] = &[
    ("respaldo-core", &[]),
    ("respaldo-api", &["respaldo-core"]),
    ("respaldo-adapters", &["respaldo-core"]),
    ("respaldo-sqlite", &["respaldo-core"]),
    ("respaldo-aws", &["respaldo-core"]),
    ("respaldo-lambda-host", &["respaldo-core", "respaldo-api", "respaldo-adapters", "respaldo-aws"]),
    ("respaldo-register", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    ("respaldo-dump", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    ("respaldo-package", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    ("respaldo-restore", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    ("respaldo-retention", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    ("respaldo-verify", &["respaldo-core", "respaldo-api", "respaldo-lambda-host"]),
    (
        "respaldo-local-server",
        &[
            "respaldo-core",
            "respaldo-api",
            "respaldo-adapters",
            "respaldo-sqlite",
            "respaldo-aws",
            "respaldo-register",
            "respaldo-dump",
            "respaldo-package",
            "respaldo-restore",
            "respaldo-retention",
            "respaldo-verify",
        ],
    ),
    ("respaldo-cli", &["respaldo-core", "respaldo-adapters", "respaldo-local-server"]),
    ("respaldo-testkit", &["respaldo-core", "respaldo-sqlite"]),
];

/// What core must not know: hosts and clouds.
const FOREIGN_TO_CORE: [&str; 8] = ["axum", "tower", "hyper", "reqwest", "utoipa", "clap", "lambda", "aws"];

/// The sources that may read the clock or the environment, or start processes. Tests, examples and the
/// testkit are measured by the same lint; each names its reason where it stands.
const NAMED_PLACES: [&str; 4] = [
    "crates/adapters/src/environment.rs",
    "crates/adapters/src/time.rs",
    "crates/core/src/engine/process.rs",
    "crates/testkit/src/host.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A crate's manifest, as far as it matters here.
#[derive(Debug, Default, PartialEq)]
struct Manifest {
    name: String,
    /// Normal and build dependencies, also those of single targets.
    uses: BTreeSet<String>,
}

/// Reads the lines of a manifest: tables, and the keys before `=` or `.`.
fn read(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut table = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            header.clone_into(&mut table);
            // `[dependencies.NAME]` has its key in its header.
            if let Some((_, name)) = header.rsplit_once('.').filter(|(before, _)| counts(before)) {
                manifest.uses.insert(name.trim_matches('"').to_owned());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let key = key.split('.').next().unwrap().trim().trim_matches('"');
        if table == "package" && key == "name" {
            value.trim().trim_matches('"').clone_into(&mut manifest.name);
        } else if counts(&table) {
            manifest.uses.insert(key.to_owned());
        }
    }
    manifest
}

fn counts(table: &str) -> bool {
    let kind = table.rsplit('.').next().unwrap_or_default();
    matches!(kind, "dependencies" | "build-dependencies")
}

fn members() -> BTreeMap<String, Manifest> {
    let mut folders = vec![root().join("local-server"), root().join("cli")];
    for parent in ["crates", "functions"] {
        folders.extend(fs::read_dir(root().join(parent)).unwrap().map(|entry| entry.unwrap().path()));
    }
    folders
        .iter()
        .map(|folder| read(&fs::read_to_string(folder.join("Cargo.toml")).unwrap()))
        .map(|manifest| (manifest.name.clone(), manifest))
        .collect()
}

#[test]
fn the_workspace_s_crates_use_each_other_along_the_arrows_only() {
    let members = members();
    let drawn: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(found, drawn, "a crate came or went: draw its arrows here and in ARCHITECTURE.md");
    for (name, allowed) in ARROWS {
        let used = members[*name].uses.iter().map(String::as_str).filter(|used| found.contains(used));
        let wrong: Vec<&str> = used.filter(|used| !allowed.contains(used)).collect();
        assert!(wrong.is_empty(), "{name} uses {wrong:?}, against the arrows");
    }
}

#[test]
fn no_function_uses_another_function() {
    let of = |folder: PathBuf| read(&fs::read_to_string(folder.join("Cargo.toml")).unwrap());
    let functions: Vec<Manifest> =
        fs::read_dir(root().join("functions")).unwrap().map(|entry| of(entry.unwrap().path())).collect();
    assert!(functions.len() >= 2, "the functions are not found");
    for function in &functions {
        let other = functions.iter().find(|other| function.uses.contains(&other.name));
        assert!(other.is_none(), "{} uses {other:?}: what two need sinks into core", function.name);
    }
}

#[test]
fn core_knows_no_host_and_no_cloud() {
    let core = &members()["respaldo-core"];
    assert!(core.uses.contains("opendal"), "core's manifest is not read: {core:?}");
    let foreign = |used: &&String| {
        let word = used.split(['-', '_']).next().unwrap();
        FOREIGN_TO_CORE.contains(&word)
    };
    let wrong: Vec<&String> = core.uses.iter().filter(foreign).collect();
    assert!(wrong.is_empty(), "core uses {wrong:?}");
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            sources(&entry.path(), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
}

#[test]
fn only_the_named_places_reach_clock_environment_and_processes() {
    let mut found = Vec::new();
    for folder in ["crates", "functions", "local-server", "cli"] {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 50, "the sources are not found");
    let excused: BTreeSet<String> = found
        .iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("clippy::disallowed_methods"))
        .map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned())
        .filter(|path| path.contains("/src/"))
        .collect();
    assert_eq!(excused, NAMED_PLACES.map(str::to_owned).into(), "a place is missing or not named");
}

#[test]
fn manifests_are_read_however_a_dependency_is_written() {
    let text = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { version = \"1\" }\n# c = \"1\"\n\
        [dependencies.d]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n\
        [target.'cfg(unix)'.dependencies.f]\nversion = \"1\"\n[build-dependencies]\ng = \"1\"\n\
        [dev-dependencies]\nh = \"1\"\n[dev-dependencies.i]\nversion = \"1\"\n";
    let uses = ["a", "b", "d", "e", "f", "g"].map(str::to_owned).into();
    assert_eq!(read(text), Manifest { name: "x".to_owned(), uses });
}
