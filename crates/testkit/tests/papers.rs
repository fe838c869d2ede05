//! The papers hold no dead relative links: every one resolves to a file or folder, and its anchor to a
//! heading.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no papers of ours.
const SKIPPED: [&str; 4] = ["target", "data", "node_modules", ".git"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn papers(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                papers(&entry.path(), found);
            }
        } else if entry.path().extension().is_some_and(|extension| extension == "md") {
            found.push(entry.path());
        }
    }
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The line without its `code`.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("")
}

fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text).map(without_code) {
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| target.to_owned()));
        let definition = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        links.extend(definition.map(|(_, target)| target.trim().to_owned()));
    }
    links
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn has_anchor(paper: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(paper).unwrap();
    prose(&text)
        .filter(|line| line.starts_with('#'))
        .any(|line| anchor(line.trim_start_matches('#').trim()) == wanted)
}

/// What is wrong with a link, if anything is.
fn fault(paper: &Path, link: &str) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, wanted) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { paper.to_owned() } else { paper.parent().unwrap().join(path) };
    if path.starts_with('/') {
        return Some("is absolute");
    }
    if !target.exists() {
        return Some("leads nowhere");
    }
    let is_paper = target.extension().is_some_and(|extension| extension == "md");
    wanted.filter(|wanted| is_paper && !has_anchor(&target, wanted)).map(|_| "names no heading")
}

#[test]
fn every_relative_link_of_every_paper_leads_somewhere() {
    let mut found = Vec::new();
    papers(&root(), &mut found);
    let mut dead = Vec::new();
    let mut checked = 0;
    for paper in &found {
        for link in links(&fs::read_to_string(paper).unwrap()) {
            checked += 1;
            let shown = paper.strip_prefix(root()).unwrap().display();
            dead.extend(fault(paper, &link).map(|fault| format!("{shown}: {link} {fault}")));
        }
    }
    assert!(found.len() >= 10 && checked >= 20, "{} papers, {checked} links: where are they?", found.len());
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let text = "See [a](x.md), [`b`](y.md#z) and `[c](no.md)`.\n```\n[d](no.md)\n```\n[e]: w.md\n";
    assert_eq!(links(text), ["x.md", "y.md#z", "w.md"]);
    assert_eq!(anchor("What works, in \"this\" version"), "what-works-in-this-version");
    let here = root().join("README.md");
    assert_eq!(fault(&here, "no/such/file.md"), Some("leads nowhere"));
    assert_eq!(fault(&here, "README.md#no-such-heading"), Some("names no heading"));
    assert_eq!(fault(&here, "https://example.com/"), None);
}
