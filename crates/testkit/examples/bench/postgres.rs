//! PostgreSQL: its data, and how its command lines reach it.

use std::process::Command;
use std::time::Instant;

use respaldo_testkit::host::{command, run};
use respaldo_testkit::postgres::Postgres;
use serde_json::{Value, json};

use crate::compare::{Comparison, Run, Server};
use crate::machine::Cpu;
use crate::report::Aims;
use crate::restore::Case;

/// What is compared, in the order in which a round runs it.
const RUNS: [Run; 6] = [
    Run::Bare,
    Run::Ours("zstd"),
    Run::Into("zstd -q -3"),
    Run::Ours("none"),
    Run::Into("gzip -6"),
    Run::Ours("gzip"),
];

/// How dumps are put back by hand.
pub const RESTORES: [Case; 2] = [
    Case {
        name: r"`gunzip \| psql`",
        format: "plain",
        dump: "$DUMP | gzip -6 > dump",
        create: "psql -qXc \"CREATE DATABASE $NEW\"",
        load: "gunzip -c < dump | PGDATABASE=$NEW psql -qX -v ON_ERROR_STOP=1 > /dev/null",
        drop: "psql -qXc \"DROP DATABASE $NEW\"",
    },
    Case {
        name: "`pg_restore`",
        format: "custom",
        dump: "$DUMP --format=custom > dump",
        create: "psql -qXc \"CREATE DATABASE $NEW\"",
        load: "pg_restore --exit-on-error --dbname=$NEW dump",
        drop: "psql -qXc \"DROP DATABASE $NEW\"",
    },
];

impl Server for Postgres {
    fn address(&self) -> Value {
        json!({"engine": "postgres", "host": self.host(), "port": self.port()})
    }

    fn login(&self) -> (&str, &str) {
        (self.user(), self.password())
    }

    fn bash(&self, database: &str, line: &str) -> Command {
        let mut bash = command("/bin/bash");
        bash.args(["-euo", "pipefail", "-c", line]);
        bash.env("PATH", format!("{}:/usr/bin:/bin", self.bin_dir().display()));
        bash.env("DUMP", "pg_dump").env("PGHOST", self.host()).env("PGPORT", self.port().to_string());
        // As our dumps are made; the zone's offset stands in every timestamp.
        bash.env("PGTZ", "UTC");
        bash.env("PGUSER", self.user()).env("PGPASSWORD", self.password()).env("PGDATABASE", database);
        bash
    }

    /// Of its connections that have ended: each is a process.
    fn cpu(&self) -> f64 {
        let pid = self.psql("postgres", r"SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)");
        Cpu::of(pid.trim()).children
    }
}

/// Makes a database whose dump has about that many MB.
pub fn fill(server: &Postgres, name: &str, megabytes: u64) {
    server.create_database(name);
    let begun = Instant::now();
    server.psql(name, &include_str!("fill.sql").replace("{mb}", &megabytes.to_string()));
    server.psql(name, "VACUUM ANALYZE");
    eprintln!("{name}: {megabytes} MB filled in {:.0} s", begun.elapsed().as_secs_f64());
}

/// A whole dump in memory.
pub fn dump(server: &Postgres, database: &str, format: &str) -> Vec<u8> {
    let line = format!("$DUMP --format={format} --compress=0");
    run(server.bash(database, &line), std::io::empty()).stdout
}

/// Backups against command lines.
pub fn compare(server: &Postgres, database: &str, rounds: usize, aims: &mut Aims) {
    Comparison { name: "PostgreSQL", tool: "pg_dump", server, database, runs: &RUNS }.measure(rounds, aims);
}
