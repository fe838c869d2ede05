//! What the images promise: pinned bases, the compiler that the project is built with, nobody's root, no secrets.

use std::fs;

use crate::template::root;

fn dockerfile() -> String {
    fs::read_to_string(root().join("infra/docker/Dockerfile")).unwrap()
}

/// Base and name of every stage.
fn stages(text: &str) -> Vec<(&str, &str)> {
    let froms = text.lines().filter_map(|line| line.strip_prefix("FROM "));
    froms.map(|from| from.split_once(" AS ").expect("a stage with a name")).collect()
}

/// Bases that are neither an earlier stage nor an exact version.
fn unpinned(text: &str) -> Vec<&str> {
    let stages = stages(text);
    let exact = |base: &str| {
        let tag = base.split_once(':').map_or("", |(_, tag)| tag);
        tag.split('-').next().unwrap().split('.').filter(|part| part.parse::<u32>().is_ok()).count() >= 2
    };
    let bases = stages.iter().map(|(base, _)| *base);
    bases.filter(|base| !stages.iter().any(|(_, name)| name == base) && !exact(base)).collect()
}

/// The instructions of a stage and of those that it stands on.
fn instructions<'a>(text: &'a str, stage: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut base = None;
    let mut within = false;
    for line in text.lines() {
        if let Some(from) = line.strip_prefix("FROM ") {
            within = from.ends_with(&format!(" AS {stage}"));
            if within {
                base = from.split(' ').next();
            }
        } else if within {
            found.push(line);
        }
    }
    let before = base.filter(|base| stages(text).iter().any(|(_, name)| name == base));
    let mut all = before.map(|base| instructions(text, base)).unwrap_or_default();
    all.extend(found);
    all
}

#[test]
fn every_base_is_an_exact_version_and_the_compiler_is_the_project_s() {
    let text = dockerfile();
    assert_eq!(unpinned(&text), [""; 0]);
    assert_eq!(unpinned(&text.replace("mysql:8.4.6", "mysql:8")), ["mysql:8"]);
    assert_eq!(unpinned(&text.replace("debian:12.12-slim", "debian:stable-slim")), ["debian:stable-slim"]);
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = \"")).unwrap().trim_end_matches('"');
    assert!(text.contains(&format!("FROM rust:{channel}-slim-bookworm ")), "the toolchain is {channel}");
}

#[test]
fn both_images_run_as_the_same_number_that_is_not_root_and_the_server_is_the_default() {
    let text = dockerfile();
    for image in ["server", "functions"] {
        let instructions = instructions(&text, image);
        let user = instructions.iter().rev().find_map(|line| line.strip_prefix("USER "));
        assert_eq!(user, Some("10001:10001"), "{image}");
        let entry = instructions.iter().rev().find(|line| line.starts_with("ENTRYPOINT "));
        assert_eq!(entry, Some(&"ENTRYPOINT [\"/usr/local/bin/respaldo\"]"), "{image}");
        assert!(instructions.iter().any(|line| line.starts_with("HEALTHCHECK ")), "{image}");
    }
    assert_eq!(stages(&text).last(), Some(&("tools", "server")));
}

#[test]
fn what_is_copied_into_a_build_is_named_and_holds_no_secrets() {
    let text = dockerfile();
    let copies: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("COPY ")).collect();
    assert!(copies.len() > 8, "the copies are not found");
    for copy in copies {
        assert!(
            !copy.split(' ').any(|from| [".", "./*", "*"].contains(&from)),
            "COPY {copy} takes everything"
        );
    }
    let ignored = fs::read_to_string(root().join(".dockerignore")).unwrap();
    for name in ["target", "data", ".git", ".env"] {
        assert!(ignored.lines().any(|line| line == name), "{name} is sent to the build");
    }
    for instruction in ["ARG", "ENV"] {
        let named = text.lines().filter(|line| line.starts_with(instruction));
        for line in named {
            assert!(!line.contains("KEY") && !line.contains("PASSWORD"), "{line}");
        }
    }
}

#[test]
fn every_crate_that_is_built_is_copied_into_the_build() {
    let text = dockerfile();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    for member in members.trim_end_matches(']').split(", ") {
        let folder = member.trim_matches('"').trim_end_matches("/*");
        assert!(text.contains(&format!("COPY {folder} {folder}\n")), "{folder} is not copied");
    }
}
