//! How fast archives of MongoDB are written, watched and read: `archive_speed [BYTES PER DOCUMENT]`.
//!
//! 256 MB of documents in four collections, in turn, in memory; each is measured three times.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock itself")]

use std::time::Instant;

use respaldo_core::Result;
use respaldo_core::engine::mongodb::archive::{
    ArchiveObserver, Declared, Header, Kind, Metadata, Namespace, Reader, Writer,
};
use respaldo_core::engine::observe::Observer;

const TOTAL: usize = 256_000_000;
/// Documents in a row of one collection, as tools that buffer write them.
const IN_A_ROW: usize = 1_000;

fn main() -> Result<()> {
    let bytes = std::env::args().nth(1).and_then(|bytes| bytes.parse().ok()).unwrap_or(500_usize).max(5);
    let mut document = vec![b'x'; bytes];
    document[..4].copy_from_slice(&u32::try_from(bytes).unwrap_or(5).to_le_bytes());
    document[bytes - 1] = 0;
    let mut archive = Vec::new();
    for _ in 0..3 {
        archive.clear();
        archive.reserve(TOTAL + TOTAL / 100);
        let start = Instant::now();
        write(&mut archive, &document)?;
        told("written", archive.len(), start);
    }
    for _ in 0..3 {
        let (start, mut observer) = (Instant::now(), Box::new(ArchiveObserver::new()));
        for piece in archive.chunks(64 * 1024) {
            observer.feed(piece)?;
        }
        let rows = observer.finish()?.fingerprint.rows();
        told(&format!("watched, {rows} documents"), archive.len(), start);
    }
    for _ in 0..3 {
        let (start, mut reader) = (Instant::now(), Reader::new(archive.as_slice())?);
        while reader.next()?.is_some() {}
        told("read", archive.len(), start);
    }
    Ok(())
}

fn write(archive: &mut Vec<u8>, document: &[u8]) -> Result<()> {
    let names = (0..4).map(|n| Namespace::new("speed", format!("c{n}")));
    let declared = names.map(|name| Declared::new(name?, Kind::Collection, &Metadata::new()));
    let declared = declared.collect::<Result<Vec<_>>>()?;
    let header = Header { concurrent_collections: 4, ..Header::new("7.0.14", "example") };
    let mut writer = Writer::new(archive, &header, &declared)?;
    for n in 0..TOTAL / document.len() {
        writer.document(n / IN_A_ROW % 4, document)?;
    }
    for at in 0..4 {
        writer.end(at)?;
    }
    writer.finish().map(drop)
}

fn told(what: &str, bytes: usize, start: Instant) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = bytes as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.0} MB/s {what}");
}
