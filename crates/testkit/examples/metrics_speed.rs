//! How long one scrape takes and how long its text is:
//! `cargo run -p respaldo-testkit --example metrics_speed -- 1000 10000`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::env;

use respaldo_core::metrics;
use respaldo_core::model::{Durations, LastRun, LastSuccess, Status};
use respaldo_core::ports::NewDatabase;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::catalog::sample::{at, database, job};
use tokio::time::Instant;

async fn with_databases(count: u128) -> TestApp {
    let test = TestApp::new();
    for number in 0..count {
        let mut record = database(number);
        record.settings.name = format!("database number {number}");
        let (id, created_at, finished_at) = (job(number, 0).id, at(0), at(5_000));
        record.history.ended = [("succeeded".to_owned(), 300), ("failed".to_owned(), 3)].into();
        record.history.durations = Durations { counts: vec![20; 15], sum_ms: 9_000_000 };
        let (size_bytes, raw_bytes, duration_ms) = (1_000_000, 4_000_000, 5_000);
        record.history.last_success =
            Some(LastSuccess { id, created_at, finished_at, duration_ms, size_bytes, raw_bytes });
        record.history.last_run = Some(LastRun { id, status: Status::Succeeded, created_at, finished_at });
        test.catalog.create_database(NewDatabase(record)).await.unwrap();
    }
    test
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    for count in env::args().skip(1) {
        let test = with_databases(count.parse().unwrap()).await;
        let mut quickest = None;
        let mut length = 0;
        for _ in 0..5 {
            let begun = Instant::now();
            length = metrics::text(&metrics::gather(&test.app).await.unwrap()).unwrap().len();
            let elapsed = begun.elapsed();
            quickest = Some(quickest.map_or(elapsed, |least: std::time::Duration| least.min(elapsed)));
        }
        let kilobytes = length / 1_000;
        println!("{count} databases: {:.0?}, {kilobytes} kB of text", quickest.unwrap());
    }
}
