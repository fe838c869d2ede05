//! Seals standard input to standard output, and says on standard error how fast and how small.
//!
//! `seal_speed [gzip|zstd|none] [MEMORY_MIB] [THREADS] [age1…]`
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::io::{Read, Write};
use std::time::Instant;

use respaldo_core::seal::{Compression, Piece, Recipient, SealPlan, SealWriter, Sealed, seal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let compression: Compression = arguments.next().as_deref().unwrap_or("gzip").parse()?;
    let memory = arguments.next().as_deref().unwrap_or("16").parse::<usize>()? << 20;
    let threads = arguments.next().as_deref().unwrap_or("2").parse()?;
    let recipients = arguments.map(|text| text.parse()).collect::<Result<Vec<Recipient>, _>>()?;

    let start = Instant::now();
    let (writer, mut reader) = seal(SealPlan { compression, recipients, threads, memory })?;
    let reading = std::thread::spawn(move || read_input(writer));
    let mut output = std::io::stdout().lock();
    let sealed = loop {
        match reader.next().await? {
            Piece::Data(bytes) => output.write_all(&bytes)?,
            Piece::End(sealed) => break sealed,
        }
    };
    reading.join().map_err(|_| "the reading thread panicked")??;
    report(compression, &sealed, start.elapsed().as_secs_f64());
    Ok(())
}

fn read_input(mut writer: SealWriter) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match std::io::stdin().lock().read(&mut buffer).map_err(|e| e.to_string())? {
                0 => return writer.finish().await.map_err(|e| e.to_string()),
                read => writer.write(&buffer[..read]).await.map_err(|e| e.to_string())?,
            }
        }
    })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(compression: Compression, sealed: &Sealed, seconds: f64) {
    let (raw, stored) = (sealed.raw_bytes as f64, sealed.stored.length as f64);
    eprintln!(
        "{compression}: {:.0} MB in {seconds:.2} s, {:.0} MB/s, stored {:.1} MB, ratio {:.3}, md5 {}",
        raw / 1e6,
        raw / 1e6 / seconds,
        stored / 1e6,
        raw / stored,
        sealed.stored.md5_hex()
    );
}
