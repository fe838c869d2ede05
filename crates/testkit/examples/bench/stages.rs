//! The stages alone, on a dump in memory.

use std::time::Instant;

use respaldo_core::engine::observe::Observer;
use respaldo_core::engine::postgres::{CustomObserver, PlainObserver};
use respaldo_core::seal::{Compression, Digester, Piece, SealPlan, Sealed, seal};

use crate::machine::Cpu;
use crate::report::Table;

const PIECE: usize = 256 * 1024;
/// A job's default share of memory for sealing, and its threads.
const MEMORY: usize = 16 << 20;
const THREADS: usize = 2;

/// Seals and watches a plain and a custom dump.
pub fn measure(plain: &[u8], custom: &[u8]) {
    let mut table = Table::new(&["stage", "MB/s", "CPU s per GB", "size"]);
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let mut sealed = None;
        let (rate, cpu) = measured(plain.len(), || sealed = Some(sealed_of(plain, compression)));
        let size = sealed.map_or(0.0, |sealed| sealed.stored.length as f64 / sealed.raw_bytes as f64);
        table.row(&[
            format!("sealing alone, {compression}, {THREADS} threads"),
            rate,
            cpu,
            format!("{size:.3}"),
        ]);
    }
    let observers: [(&str, &[u8], Box<dyn Observer>); 2] = [
        ("observer alone, plain", plain, Box::new(PlainObserver::new())),
        ("observer alone, custom", custom, Box::new(CustomObserver::new())),
    ];
    for (name, dump, mut observer) in observers {
        let (rate, cpu) = measured(dump.len(), || {
            for piece in dump.chunks(PIECE) {
                observer.feed(piece).unwrap();
            }
        });
        observer.finish().unwrap();
        table.row(&[name.to_owned(), rate, cpu, "-".to_owned()]);
    }
    let mut digester = Digester::new();
    let (rate, cpu) = measured(plain.len(), || digester.update(plain));
    table.row(&["MD5 and SHA-256 of stored bytes".to_owned(), rate, cpu, "-".to_owned()]);
    table.print(&format!("Stages alone, {:.0} MB of dump in memory", plain.len() as f64 / 1e6));
}

fn measured(bytes: usize, work: impl FnOnce()) -> (String, String) {
    let (begun, before) = (Instant::now(), Cpu::of("self"));
    work();
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), Cpu::of("self").since(before).own);
    let megabytes = bytes as f64 / 1e6;
    (format!("{:.0}", megabytes / seconds), format!("{:.2}", cpu / megabytes * 1e3))
}

fn sealed_of(dump: &[u8], compression: Compression) -> Sealed {
    let plan = SealPlan { compression, recipients: Vec::new(), threads: THREADS, memory: MEMORY };
    let (mut writer, mut reader) = seal(plan).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let writing = async {
            for piece in dump.chunks(PIECE) {
                writer.write(piece).await.unwrap();
            }
            writer.finish().await.unwrap();
        };
        let reading = async {
            loop {
                if let Piece::End(sealed) = reader.next().await.unwrap() {
                    return sealed;
                }
            }
        };
        tokio::join!(writing, reading).1
    })
}
