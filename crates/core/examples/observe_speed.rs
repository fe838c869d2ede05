//! How fast a dump is watched: `observe_speed plain|custom|mysql|mongodb < DUMP` prints MB/s and what it found.
//!
//! The dump is read into memory first (so give it one that fits), then watched three times in pieces
//! of 64 KiB.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock itself")]

use std::io::Read;
use std::time::Instant;

use respaldo_core::engine::mongodb::archive::ArchiveObserver;
use respaldo_core::engine::mysql::DumpObserver;
use respaldo_core::engine::observe::Observer;
use respaldo_core::engine::postgres::{CustomObserver, PlainObserver};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let format = std::env::args().nth(1).unwrap_or_default();
    let mut dump = Vec::new();
    std::io::stdin().read_to_end(&mut dump)?;
    for _ in 0..3 {
        let mut observer: Box<dyn Observer> = match format.as_str() {
            "custom" => Box::new(CustomObserver::new()),
            "mongodb" => Box::new(ArchiveObserver::new()),
            "mysql" => Box::new(DumpObserver::new()),
            _ => Box::new(PlainObserver::new()),
        };
        let start = Instant::now();
        for piece in dump.chunks(64 * 1024) {
            observer.feed(piece)?;
        }
        let found = observer.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = dump.len() as f64 / seconds / 1e6;
        println!(
            "{rate:.0} MB/s: {} tables, {} rows, server {}",
            found.fingerprint.0.len(),
            found.fingerprint.rows(),
            found.server_version.as_deref().unwrap_or("unknown"),
        );
    }
    Ok(())
}
