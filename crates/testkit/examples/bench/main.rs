//! What `make bench` runs: whole backups measured against the command lines that people come from, memory,
//! the stages alone and the catalog, in one run on one machine. It prints markdown on standard output and what
//! it is doing on standard error.
//!
//! - `BENCH_MB`: the size of the database's dump in MB (1000).
//! - `BENCH_ROUNDS`: how often each command line and backup runs; the quickest counts (3).
//! - `BENCH_ONLY`: some of `postgres,memory,stages,catalog`, else all.
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
mod machine;
mod memory;
mod postgres;
mod report;
mod stages;

use respaldo_testkit::postgres::{PgVersion, Postgres};

use self::report::Aims;

const SECTIONS: [&str; 4] = ["postgres", "memory", "stages", "catalog"];

fn main() {
    if backup::is_child() {
        return;
    }
    let wanted = wanted();
    let wants = |section: &str| wanted.iter().any(|name| name == section);
    let megabytes: u64 = number("BENCH_MB", 1_000);
    let rounds: u64 = number("BENCH_ROUNDS", 3);
    let mut aims = Aims::new();
    if SECTIONS[..3].iter().any(|section| wants(section)) {
        let server = Postgres::start(PgVersion::Debian);
        machine::print(Some(&format!(
            "PostgreSQL {}",
            server.psql("postgres", "SHOW server_version").trim()
        )));
        postgres::fill(&server, "bench", megabytes);
        if wants("postgres") {
            postgres::compare(&server, "bench", usize::try_from(rounds).unwrap().max(1), &mut aims);
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
            memory::compare(&server, &sizes, &mut aims);
        }
    } else {
        machine::print(None);
    }
    if wants("catalog") {
        catalog::measure(&mut aims);
    }
    aims.print();
    println!("\nNot measured: MariaDB, and retention's plan for 10,000 backups; neither is built yet.");
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
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}
