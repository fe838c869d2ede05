//! Promises about jobs' logs.

use std::sync::Arc;

use respaldo_core::ports::{LogEntry, LogLevel};

use super::Store;
use super::sample::{at, job, job_id, line};

/// Places count from 1 without gaps, across several appends; `after` and `limit` cut pages.
pub async fn a_log_keeps_its_order_and_is_read_in_pages(store: &dyn Store) {
    let catalog = store.open().await;
    for id in [1, 2] {
        assert!(catalog.create_job(&job(id, 0)).await.unwrap());
    }
    let given: Vec<_> = [LogLevel::Info, LogLevel::Warn, LogLevel::Error, LogLevel::Info]
        .into_iter()
        .zip(0_u32..)
        .map(|(level, n)| LogEntry {
            seq: 77,
            at: at(-i64::from(n)),
            attempt: n,
            level,
            line: format!("line {n}"),
        })
        .collect();
    catalog.append_log(job_id(1), &given[..1]).await.unwrap();
    catalog.append_log(job_id(2), &[line("of another job")]).await.unwrap();
    catalog.append_log(job_id(1), &[]).await.unwrap();
    catalog.append_log(job_id(1), &given[1..]).await.unwrap();

    let expected: Vec<_> = given.into_iter().zip(1..).map(|(entry, seq)| LogEntry { seq, ..entry }).collect();
    assert_eq!(catalog.log(job_id(1), 0, 100).await.unwrap(), expected);
    assert_eq!(catalog.log(job_id(1), 0, 2).await.unwrap(), expected[..2]);
    assert_eq!(catalog.log(job_id(1), 2, 1).await.unwrap(), expected[2..3]);
    assert_eq!(catalog.log(job_id(1), 4, 100).await.unwrap(), []);
    assert_eq!(catalog.log(job_id(1), u64::MAX, 100).await.unwrap(), []);
    assert_eq!(catalog.log(job_id(2), 0, 100).await.unwrap().len(), 1);
    assert_eq!(catalog.log(job_id(3), 0, 100).await.unwrap(), []);
}

/// Two handles append to the same log: nothing is lost, each append keeps its own order.
pub async fn lines_appended_at_once_each_have_a_place(store: &dyn Store) {
    const WRITERS: usize = 6;
    let handles = [store.open().await, store.open().await];
    assert!(handles[0].create_job(&job(1, 0)).await.unwrap());
    let tasks = (0..WRITERS).map(|writer| {
        let catalog = Arc::clone(&handles[writer % 2]);
        tokio::spawn(async move {
            let lines = [0, 1, 2].map(|n| line(&format!("{writer} {n}")));
            catalog.append_log(job_id(1), &lines).await.unwrap();
        })
    });
    futures::future::join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    let lines = handles[1].log(job_id(1), 0, 100).await.unwrap();
    let places: Vec<_> = lines.iter().map(|line| line.seq).collect();
    assert_eq!(places, (1..=3 * WRITERS as u64).collect::<Vec<_>>());
    for writer in 0..WRITERS {
        let own: Vec<_> = lines.iter().filter(|line| line.line.starts_with(&format!("{writer} "))).collect();
        assert!(own.is_sorted_by_key(|line| &line.line) && own.len() == 3, "writer {writer}");
    }
}

/// After a deletion it is empty, also when the id comes again.
pub async fn a_log_goes_with_its_job(store: &dyn Store) {
    let catalog = store.open().await;
    for id in [1, 2] {
        assert!(catalog.create_job(&job(id, 0)).await.unwrap());
        catalog.append_log(job_id(id), &[line("first"), line("second")]).await.unwrap();
    }
    catalog.delete_job(&job(1, 0)).await.unwrap();
    assert_eq!(catalog.log(job_id(1), 0, 100).await.unwrap(), []);
    assert_eq!(catalog.log(job_id(2), 0, 100).await.unwrap().len(), 2, "the other's stays");
    assert!(catalog.create_job(&job(1, 0)).await.unwrap());
    assert_eq!(catalog.log(job_id(1), 0, 100).await.unwrap(), []);
    catalog.append_log(job_id(1), &[line("again")]).await.unwrap();
    assert_eq!(catalog.log(job_id(1), 0, 100).await.unwrap()[0].seq, 1);
}
