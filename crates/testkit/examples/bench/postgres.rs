//! Whole backups of one PostgreSQL database, against the command lines that people come from.

use std::fs;
use std::process::Command;
use std::time::Instant;

use respaldo_testkit::host::{command, run};
use respaldo_testkit::postgres::Postgres;

use crate::backup::{Cost, back_up};
use crate::machine::Cpu;
use crate::report::{Aims, Table};

/// Makes a database whose dump has about that many MB.
pub fn fill(server: &Postgres, name: &str, megabytes: u64) {
    server.create_database(name);
    let begun = Instant::now();
    server.psql(name, &include_str!("fill.sql").replace("{mb}", &megabytes.to_string()));
    server.psql(name, "VACUUM ANALYZE");
    eprintln!("{name}: {megabytes} MB filled in {:.0} s", begun.elapsed().as_secs_f64());
}

/// Processor seconds of the server's connections that have ended.
pub fn server_cpu(server: &Postgres) -> f64 {
    let pid = server.psql("postgres", r"SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)");
    Cpu::of(pid.trim()).children
}

/// A shell's command line, with libpq's variables set.
fn bash(server: &Postgres, database: &str, line: &str) -> Command {
    let mut bash = command("/bin/bash");
    bash.args(["-euo", "pipefail", "-c", line]);
    bash.env("PATH", format!("{}:/usr/bin:/bin", server.bin_dir().display()));
    bash.env("PGHOST", server.host()).env("PGPORT", server.port().to_string());
    // As our dumps are made; the zone's offset stands in every timestamp.
    bash.env("PGTZ", "UTC");
    bash.env("PGUSER", server.user()).env("PGPASSWORD", server.password()).env("PGDATABASE", database);
    bash
}

/// Runs a command line in a folder of its own; what it stores is called `out`.
fn shell(server: &Postgres, database: &str, line: &str) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let mut bash = bash(server, database, line);
    bash.current_dir(folder.path());
    let (server_before, before) = (server_cpu(server), Cpu::of("self"));
    let begun = Instant::now();
    run(bash, std::io::empty());
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = Cpu::of("self").since(before).children;
    let server_cpu = server_cpu(server) - server_before;
    let bytes = fs::metadata(folder.path().join("out")).map_or(0, |metadata| metadata.len());
    Cost { seconds, bytes, cpu, tool_cpu: None, server_cpu, peak_mib: None }
}

/// A whole dump in memory.
pub fn dump(server: &Postgres, database: &str, format: &str) -> Vec<u8> {
    let line = format!("pg_dump --format={format} --compress=0");
    run(bash(server, database, &line), std::io::empty()).stdout
}

/// What is compared, in the order in which a round runs it.
const RUNS: [(&str, Run); 6] = [
    ("`pg_dump > /dev/null`", Run::Shell("pg_dump > /dev/null")),
    ("respaldo, zstd", Run::Ours("zstd")),
    (r"`pg_dump \| zstd -3`", Run::Shell("pg_dump | zstd -q -3 > out")),
    ("respaldo, none", Run::Ours("none")),
    (r"`pg_dump \| gzip -6`", Run::Shell("pg_dump | gzip -6 > out")),
    ("respaldo, gzip", Run::Ours("gzip")),
];

#[derive(Clone, Copy)]
enum Run {
    Shell(&'static str),
    Ours(&'static str),
}

/// Rounds of all runs, so that what disturbs the machine disturbs each; the quickest of each counts.
pub fn compare(server: &Postgres, database: &str, rounds: usize, aims: &mut Aims) {
    let raw = run(bash(server, database, "pg_dump | wc -c"), std::io::empty()).stdout;
    let raw: f64 = String::from_utf8_lossy(&raw).trim().parse().unwrap();
    let mut best: [Option<Cost>; RUNS.len()] = [None; RUNS.len()];
    for round in 1..=rounds {
        for ((name, what), best) in RUNS.iter().zip(&mut best) {
            let cost = match what {
                Run::Shell(line) => shell(server, database, line),
                Run::Ours(compression) => back_up(server, database, compression),
            };
            eprintln!("round {round}, {name}: {:.2} s", cost.seconds);
            if best.is_none_or(|best| cost.seconds < best.seconds) {
                *best = Some(cost);
            }
        }
    }
    let best = best.map(|cost| cost.expect("there was a round"));
    print_costs(&best, raw, rounds);
    let [bare, zstd, _, _, piped_gzip, gzip] = best;
    let size = |one: Cost, other: Cost| one.bytes as f64 / other.bytes as f64;
    aims.at_least(
        r"gzip backup against `pg_dump \| gzip -6`: times faster",
        piped_gzip.seconds / gzip.seconds,
        5.0,
    );
    aims.at_most("gzip artifact against `gzip -6`: size", size(gzip, piped_gzip), 1.0);
    aims.at_most("zstd backup against bare `pg_dump`: wall time", zstd.seconds / bare.seconds, 1.2);
}

fn print_costs(costs: &[Cost], raw: f64, rounds: usize) {
    let mut table = Table::new(&[
        "what",
        "seconds",
        "stored MB",
        "ratio",
        "CPU s, ours or the pipeline's",
        "CPU s, our `pg_dump`",
        "CPU s, server",
        "peak MiB over idle",
    ]);
    for ((name, _), cost) in RUNS.iter().zip(costs) {
        let or_none = |value: Option<f64>, digits| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        let stored = (cost.bytes > 0).then(|| cost.bytes as f64 / 1e6);
        table.row(&[
            (*name).to_owned(),
            format!("{:.2}", cost.seconds),
            or_none(stored, 0),
            or_none(stored.map(|stored| raw / 1e6 / stored), 2),
            format!("{:.2}", cost.cpu),
            or_none(cost.tool_cpu, 2),
            format!("{:.2}", cost.server_cpu),
            or_none(cost.peak_mib, 0),
        ]);
    }
    table.print(&format!("PostgreSQL: {:.0} MB of dump, best of {rounds}", raw / 1e6));
}
