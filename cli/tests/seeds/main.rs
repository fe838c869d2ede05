//! What the two "Backup API" documents print, as printed but for hosts, ports and names of databases, against the real
//! server, a real PostgreSQL and a MongoDB that is not mongod; a file for each document.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

// mod backup_api_en;
// mod backup_api_es;
mod engines;

use std::fs;
use std::path::Path;

use respaldo_testkit::host::{command, run};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// What a stock tool prints of a file.
fn printed(tool: &str, arguments: &[&str], file: &Path) -> Vec<u8> {
    let mut command = command(tool);
    command.args(arguments).arg(file);
    run(command, std::io::empty()).stdout
}

fn gunzip(file: &Path) -> Vec<u8> {
    printed("gunzip", &["--stdout"], file)
}

fn md5sum(file: &Path) -> String {
    let line = String::from_utf8(printed("md5sum", &[], file)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// The names that lie in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
