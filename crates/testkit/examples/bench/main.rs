//! What `make bench` runs: whole backups measured against the command lines that people come from, memory,
//! the stages alone and the catalog, in one run on one machine. It prints markdown on standard output and what
//! it is doing on standard error.
//!
//! - `BENCH_MB`: the size of the database's dump in MB (1000).
//! - `BENCH_ROUNDS`: how often each command line and backup runs; the quickest counts (3).
//! - `BENCH_ONLY`: some of `postgres,memory,stages,restore,mariadb,idle,catalog`, else all.
//! - `BENCH_DATABASES`, `BENCH_BACKUPS`: the rows of the catalog (100000 and 1000000).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    unreachable_pub,
    reason = "a measuring program: it needs the clock, and stops at the first surprise"
)]

mod backup;
mod catalog;
mod compare;
mod idle;
mod machine;
mod mariadb;
mod memory;
mod postgres;
mod report;
mod restore;
mod stages;

use respaldo_testkit::postgres::{PgVersion, Postgres};

use self::mariadb::Mariadb;
use self::report::Aims;

const SECTIONS: [&str; 7] = ["postgres", "memory", "stages", "restore", "mariadb", "idle", "catalog"];

fn main() {
    if backup::is_child() {
        return;
    }
    let wanted = wanted();
    let wants = |section: &str| wanted.iter().any(|name| name == section);
    let megabytes = number("BENCH_MB", 1_000).max(1);
    let rounds = usize::try_from(number("BENCH_ROUNDS", 3)).unwrap().max(1);
    let mut aims = Aims::new();
    machine::print();
    if SECTIONS[..4].iter().any(|section| wants(section)) {
        measure_postgres(&wants, megabytes, rounds, &mut aims);
    }
    if SECTIONS[3..6].iter().any(|section| wants(section)) {
        measure_mariadb(&wants, megabytes, rounds, &mut aims);
    }
    if wants("catalog") {
        catalog::measure(&mut aims);
    }
    aims.print();
}

fn measure_postgres(wants: &impl Fn(&str) -> bool, megabytes: u64, rounds: usize, aims: &mut Aims) {
    let server = Postgres::start(PgVersion::Debian);
    println!("\nServer: PostgreSQL {}.", server.psql("postgres", "SHOW server_version").trim());
    postgres::fill(&server, "bench", megabytes);
    if wants("postgres") {
        postgres::compare(&server, "bench", rounds, aims);
    }
    if wants("restore") {
        restore::compare(&server, "bench", &postgres::RESTORES, rounds, aims);
    }
    if wants("memory") || wants("stages") {
        postgres::fill(&server, "tenth", (megabytes / 10).max(1));
    }
    if wants("stages") {
        stages::measure(
            &postgres::dump(&server, "tenth", "plain"),
            &postgres::dump(&server, "tenth", "custom"),
        );
    }
    if wants("memory") {
        memory::quadruple(&server, "bench", "fourfold");
        let gigabytes = megabytes as f64 / 1e3;
        let sizes = [("tenth", gigabytes / 10.0), ("bench", gigabytes), ("fourfold", gigabytes * 4.0)];
        memory::compare(&server, &sizes, aims);
    }
}

fn measure_mariadb(wants: &impl Fn(&str) -> bool, megabytes: u64, rounds: usize, aims: &mut Aims) {
    let server = Mariadb::start(megabytes);
    println!("\nServer: MariaDB {}.", server.version());
    if wants("mariadb") || wants("restore") {
        server.fill("bench", megabytes);
    }
    if wants("mariadb") {
        server.compare("bench", rounds, aims);
    }
    if wants("restore") {
        restore::compare(&server, "bench", &mariadb::RESTORES, rounds, aims);
    }
    if wants("idle") {
        server.fill("small", 1);
        idle::measure(&server, "small", aims);
    }
}

fn wanted() -> Vec<String> {
    let Ok(text) = std::env::var("BENCH_ONLY") else { return SECTIONS.map(str::to_owned).into() };
    let wanted: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    for name in &wanted {
        assert!(SECTIONS.contains(&name.as_str()), "BENCH_ONLY: {name:?} is none of {SECTIONS:?}");
    }
    wanted
}

fn number(variable: &str, default: u64) -> u64 {
    let whole =
        |text: String| text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?} is no whole number"));
    std::env::var(variable).map_or(default, whole)
}
