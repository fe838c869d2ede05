//! What `make bench` runs: whole backups of one PostgreSQL database, measured against the command lines
//! that people come from, in the same run on the same machine.
//!
//! `BENCH_MB` is the size of the database's dump in MB (1000 by default).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a measuring program: it needs the clock, and stops at the first surprise"
)]

use std::fs;
use std::process::Command;
use std::time::Instant;

use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::Status;
use respaldo_core::ports::SecretString;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::postgres::{PgVersion, Postgres};
use serde_json::{Value, json};

struct Measured {
    what: String,
    seconds: f64,
    bytes: u64,
    peak_mb: Option<f64>,
}

fn main() {
    let megabytes: u64 = std::env::var("BENCH_MB").ok().map_or(1_000, |text| text.parse().expect("a number"));
    let server = Postgres::start(PgVersion::Debian);
    server.create_database("bench");
    fill(&server, megabytes);
    let bare = shell(&server, "pg_dump > /dev/null", "pg_dump -d bench > /dev/null; echo 0 > out");
    let gzip = shell(&server, "pg_dump \\| gzip -6", "pg_dump -d bench | gzip -6 > out");
    let zstd = shell(&server, "pg_dump \\| zstd -3", "pg_dump -d bench | zstd -q -3 > out");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ours: Vec<Measured> = ["gzip", "zstd", "none"]
        .into_iter()
        .map(|compression| runtime.block_on(backup(&server, compression)))
        .collect();
    println!("{megabytes} MB of dump; PostgreSQL {}; {} cores\n", server.major(), cores());
    println!("| what | seconds | stored MB | peak MB over idle |\n| --- | --- | --- | --- |");
    for row in [&bare, &gzip, &zstd].into_iter().chain(&ours) {
        let peak = row.peak_mb.map_or("-".to_owned(), |peak| format!("{peak:.0}"));
        println!("| {} | {:.2} | {:.0} | {peak} |", row.what, row.seconds, row.bytes as f64 / 1e6);
    }
    println!("\n| ratio | measured | aim |\n| --- | --- | --- |");
    println!(
        "| gzip backup against pg_dump \\| gzip -6: times faster | {:.2} | 5 |",
        gzip.seconds / ours[0].seconds
    );
    println!(
        "| gzip artifact against gzip -6: size | {:.2} | 1.00 |",
        ours[0].bytes as f64 / gzip.bytes as f64
    );
    println!(
        "| zstd backup against bare pg_dump: wall time | {:.2} | 1.20 |",
        ours[1].seconds / bare.seconds
    );
}

/// Rows as applications have them: numbers, times, names, some text that repeats and some that does not.
fn fill(server: &Postgres, megabytes: u64) {
    let rows = megabytes * 1_000_000 / 250;
    server.psql(
        "bench",
        &format!(
            "CREATE TABLE orders AS SELECT n AS id, (n * 7919::bigint) % 100000 AS customer, \
             timestamptz '2025-01-01 00:00Z' + n * interval '7 seconds' AS ordered_at, \
             'customer' || (n % 5000) || '@example.com' AS email, (n * 31::bigint) % 100000 / 100.0 AS amount, \
             md5(n::text) AS token, \
             'The parcel was handed to neighbour number ' || n % 97 || ' who signed for it; please call before \
             delivery of the remaining ' || n % 13 || ' items of this order.' AS note \
             FROM generate_series(1, {rows}) n"
        ),
    );
    server.psql("bench", "VACUUM ANALYZE orders");
}

/// A command line of a shell, with libpq's variables set, in a folder of its own.
fn shell(server: &Postgres, what: &str, line: &str) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:/usr/bin:/bin", server.bin_dir().display());
    let begun = Instant::now();
    let status = Command::new("bash")
        .args(["-euo", "pipefail", "-c", line])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("PGHOST", server.host())
        .env("PGPORT", server.port().to_string())
        .env("PGUSER", server.user())
        .env("PGPASSWORD", server.password())
        .status()
        .unwrap();
    assert!(status.success(), "{line}");
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = fs::metadata(folder.path().join("out")).unwrap().len();
    Measured { what: what.to_owned(), seconds, bytes, peak_mb: None }
}

async fn backup(server: &Postgres, compression: &str) -> Measured {
    let test = TestApp::new();
    let fields = json!({"name": "bench", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": "bench", "compression": compression});
    let Value::Object(fields) = fields else { unreachable!() };
    let login = Login {
        username: Some(server.user().to_owned()),
        password: Some(SecretString::from(server.password().to_owned())),
    };
    let registration = Registration { fields, login: Some(login), uid: None };
    let database = databases::register(&test.app, registration).await.unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = memory_mb("VmRSS");
    let begun = Instant::now();
    let job = test.back_up(&database).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let artifact = job.backup().artifact.as_ref().unwrap();
    Measured {
        what: format!("respaldo, {compression}"),
        seconds,
        bytes: artifact.size_bytes,
        peak_mb: Some(memory_mb("VmHWM") - idle),
    }
}

fn memory_mb(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
