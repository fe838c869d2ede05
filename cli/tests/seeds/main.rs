//! What the two "Backup API" documents print, as printed but for hosts, ports and names of databases, against the real
//! server, a real PostgreSQL and a MongoDB that is not mongod; a file for each document.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backup_api_en;
mod backup_api_es;
mod engines;

use std::fs;
use std::path::Path;

use bson::rawdoc;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::not_mongod::NotMongod;

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

/// A server with a database of a few collections; with a user and a password, or open to all.
fn filled(database: &str, user: Option<(&str, &str)>) -> NotMongod {
    let builder = NotMongod::builder();
    let mongo = match user {
        Some((name, password)) => builder.user("admin", name, password, &["root"]).start(),
        None => builder.start(),
    };
    let event = |n: i32| {
        let at = bson::DateTime::from_millis(1_700_000_000_000 + i64::from(n));
        rawdoc! {"_id": n, "level": "info", "text": format!("línea {n}"), "at": at}
    };
    mongo.load(database, "events", (0..500).map(event));
    let index = rawdoc! {"key": {"level": 1, "at": -1}, "name": "by_level"};
    mongo.run(database, &rawdoc! {"createIndexes": "events", "indexes": [index]});
    mongo.run(database, &rawdoc! {"create": "audit", "capped": true, "size": 65_536, "max": 100});
    mongo.run(
        database,
        &rawdoc! {"create": "errors", "viewOn": "events", "pipeline": [{"$match": {"level": "error"}}]},
    );
    mongo
}
