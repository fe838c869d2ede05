//! Sealing leaves no thread behind, however it ends. Alone in its process: it counts the process's
//! threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::time::Duration;

use respaldo_core::seal::{Compression, Piece, SealPlan, SealReader, SealWriter, seal};

fn started() -> (SealWriter, SealReader) {
    let plan =
        SealPlan { compression: Compression::Gzip, recipients: Vec::new(), threads: 2, memory: 8 << 20 };
    seal(plan).unwrap()
}

fn sealing_threads() -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.starts_with("seal-"))
        .count()
}

/// A thread gives itself its name when it first runs.
async fn threads_appear() {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while sealing_threads() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert!(waited.await.is_ok(), "the threads are not found by their names");
}

async fn all_threads_end(how: &str) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while sealing_threads() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "{} threads outlive a stage that ended by {how}", sealing_threads());
}

#[tokio::test]
async fn no_thread_outlives_its_stage() {
    let block = vec![b'a'; 3 << 20];

    let (mut writer, mut reader) = started();
    threads_appear().await;
    writer.write(&block).await.unwrap();
    writer.finish().await.unwrap();
    while let Piece::Data(_) = reader.next().await.unwrap() {}
    all_threads_end("its end").await;

    let (mut writer, reader) = started();
    writer.write(&block).await.unwrap();
    drop(writer);
    drop(reader);
    all_threads_end("both ends being dropped").await;

    let (mut writer, mut reader) = started();
    writer.write(&block).await.unwrap();
    drop(writer);
    while reader.next().await.is_ok() {}
    all_threads_end("its writer being dropped").await;

    let (mut writer, reader) = started();
    drop(reader);
    while writer.write(&block).await.is_ok() {}
    drop(writer);
    all_threads_end("its reader being dropped").await;
}
