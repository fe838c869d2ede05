//! MariaDB: its data, and how its command lines reach it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Instant;

use respaldo_testkit::host::command;
use respaldo_testkit::mysql::Mysql;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::compare::{Comparison, Run, Server};
use crate::machine::Cpu;
use crate::report::Aims;
use crate::restore::Case;

/// What is compared, in the order in which a round runs it.
const RUNS: [Run; 4] = [Run::Bare, Run::Ours("zstd"), Run::Into("gzip -6"), Run::Ours("gzip")];

/// The command line's options are those of our dumps, so that both tools do the same work.
const DUMP: &str = "mariadb-dump --defaults-file=$OPTIONS --single-transaction --skip-lock-tables --quick --routines \
    --triggers --events --hex-blob --default-character-set=utf8mb4 --no-tablespaces --tz-utc --comments \
    --max-allowed-packet=1G --net-buffer-length=1000000 --";

/// Rows of each table for a dump of one MB.
const ROWS: [(&str, u64); 5] =
    [("people", 600), ("orders", 2_000), ("messages", 680), ("events", 900), ("pictures", 45)];

/// How dumps are put back by hand.
pub const RESTORES: [Case; 1] = [Case {
    name: r"`gunzip \| mariadb`",
    format: "plain",
    dump: "$DUMP | gzip -6 > dump",
    create: "$MARIADB -e \"CREATE DATABASE $NEW\"",
    load: "gunzip -c < dump | $MARIADB $NEW",
    drop: "$MARIADB -e \"DROP DATABASE $NEW\"",
}];

/// A server, and the option file by which its tools log in.
pub struct Mariadb {
    server: Mysql,
    folder: TempDir,
}

impl Mariadb {
    /// Starts one that keeps a database of this size in its memory, as the system does for `PostgreSQL`.
    pub fn start(megabytes: u64) -> Self {
        let server = Mysql::start();
        let bytes = (megabytes * 3 / 2).max(128) << 20;
        server.sql("mysql", &format!("SET GLOBAL innodb_buffer_pool_size = {bytes}"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.cnf");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        let (host, port) = (server.host(), server.port());
        let (user, password) = (server.user(), server.password());
        writeln!(
            file,
            "[client]\nprotocol=tcp\nhost={host}\nport={port}\nuser={user}\npassword=\"{password}\""
        )
        .unwrap();
        Self { server, folder }
    }

    pub fn version(&self) -> String {
        self.server.sql("mysql", "SELECT version()")
    }

    /// Makes a database whose dump has about that many MB.
    pub fn fill(&self, name: &str, megabytes: u64) {
        self.server.create_database(name);
        let begun = Instant::now();
        let fill = include_str!("fill_mariadb.sql").to_owned();
        let fill = ROWS.iter().fold(fill, |text, (table, rows)| {
            text.replace(&format!("{{{table}}}"), &(rows * megabytes).to_string())
        });
        self.server.sql(name, &fill);
        eprintln!("{name}: {megabytes} MB filled in {:.0} s", begun.elapsed().as_secs_f64());
    }

    /// Backups against command lines.
    pub fn compare(&self, database: &str, rounds: usize, aims: &mut Aims) {
        let tool = "mariadb-dump";
        Comparison { name: "MariaDB", tool, server: self, database, runs: &RUNS }.measure(rounds, aims);
    }

    /// Lets nobody read a table for so many seconds, while something else runs.
    pub fn locked<T>(&self, database: &str, table: &str, seconds: u64, meanwhile: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let lock = format!("LOCK TABLES {table} WRITE; SELECT sleep({seconds})");
            let holding = scope.spawn(move || self.server.sql(database, &lock));
            let asleep = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'";
            while self.server.sql("mysql", asleep) == "0" {
                assert!(!holding.is_finished(), "the lock was let go before it was seen");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            meanwhile()
        })
    }
}

impl Server for Mariadb {
    fn address(&self) -> Value {
        json!({"engine": "mariadb", "host": self.server.host(), "port": self.server.port()})
    }

    fn login(&self) -> (&str, &str) {
        (self.server.user(), self.server.password())
    }

    fn bash(&self, database: &str, line: &str) -> Command {
        let options = self.folder.path().join("client.cnf");
        let dump = DUMP.replace("$OPTIONS", &options.display().to_string());
        let mut bash = command("/bin/bash");
        bash.args(["-euo", "pipefail", "-c", line]);
        bash.env("PATH", format!("{}:/usr/bin:/bin", self.server.bin_dir().display()));
        bash.env("DUMP", format!("{dump} {database}"));
        bash.env("MARIADB", format!("mariadb --defaults-file={}", options.display()));
        bash
    }

    /// Of the whole server, which is one process.
    fn cpu(&self) -> f64 {
        let file = self.server.sql("mysql", "SELECT @@pid_file");
        Cpu::of(fs::read_to_string(file).unwrap().trim()).own
    }
}
