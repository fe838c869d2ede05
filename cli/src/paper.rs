//! `docs/command-line.md`, held against the command line: every verb and option is in it, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::Cli;
use crate::exit;

/// What is no client of a server.
const OTHERS: [&str; 7] = ["serve", "worker", "config", "rescue", "catalog", "doctor", "help"];

fn paper() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join("docs/command-line.md")).unwrap()
}

/// The paper's text, by the verb whose section it is; empty for what stands before them and behind.
fn sections() -> BTreeMap<String, String> {
    let mut sections = BTreeMap::<String, String>::new();
    let mut of = String::new();
    for line in paper().lines() {
        if let Some(title) = line.strip_prefix("## ") {
            of = title.strip_prefix("respaldo ").unwrap_or_default().to_owned();
        }
        let section = sections.entry(of.clone()).or_default();
        section.push_str(line);
        section.push('\n');
    }
    sections
}

/// The verbs of a command and of those below it, and their options that are not hidden.
fn walk(command: &Command, path: &str, verbs: &mut BTreeSet<String>, options: &mut BTreeSet<String>) {
    verbs.insert(path.to_owned());
    let shown =
        command.get_arguments().filter(|argument| !argument.is_hide_set() && !argument.is_global_set());
    options.extend(shown.filter_map(|argument| argument.get_long().map(|long| format!("--{long}"))));
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        walk(verb, &format!("{path} {}", verb.get_name()), verbs, options);
    }
}

/// Words of the text that begin with `--`.
fn options_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter(|word| word.len() > 3 && word.starts_with("--") && !word.starts_with("---"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_verb_and_option_is_told_in_its_section_and_no_section_tells_of_others() {
    let command = Cli::command();
    let sections = sections();
    let clients: Vec<&Command> =
        command.get_subcommands().filter(|verb| !OTHERS.contains(&verb.get_name())).collect();
    assert_eq!(clients.len(), 9, "a command came or went");
    let mut global = BTreeSet::new();
    for verb in &clients {
        let name = verb.get_name();
        let section = sections.get(name).unwrap_or_else(|| panic!("there is no section of respaldo {name}"));
        let (mut verbs, mut options) = (BTreeSet::new(), BTreeSet::new());
        walk(verb, &format!("respaldo {name}"), &mut verbs, &mut options);
        let untold: Vec<_> = verbs.iter().filter(|verb| !section.contains(*verb)).collect();
        assert!(untold.is_empty(), "{name}: its section does not tell of {untold:?}");
        let told = options_in(section);
        let untold: Vec<_> = options.difference(&told).collect();
        assert!(untold.is_empty(), "{name}: its section does not tell of {untold:?}");
        let invented: Vec<_> = told.difference(&options).filter(|option| *option != "--json").collect();
        assert!(invented.is_empty(), "{name}: its section tells of {invented:?}");
        let shared =
            verb.get_arguments().filter(|argument| argument.is_global_set() && !argument.is_hide_set());
        global.extend(shared.filter_map(|argument| argument.get_long().map(|long| format!("--{long}"))));
    }
    let untold: Vec<_> = global.iter().filter(|option| !sections[""].contains(*option)).collect();
    assert!(global.len() >= 6 && untold.is_empty(), "{untold:?} of {global:?}");
}

#[test]
fn the_paper_s_exit_codes_are_those_of_the_help() {
    let of_help = exit::HELP.lines().filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok());
    let paper = paper();
    let rows =
        paper.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u8>().ok());
    assert_eq!(rows.collect::<Vec<_>>(), of_help.collect::<Vec<_>>());
}
