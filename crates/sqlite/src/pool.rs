//! The connections: one that writes, a few that read.
//!
//! SQLite lets one writer in at a time, so writers of this process queue for one connection here, in
//! order and without occupying a thread; only a writer of another process is met inside SQLite,
//! which waits for it up to [`BUSY_TIMEOUT`]. Readers see the last commit and wait for nobody.
//!
//! A caller that goes away leaves its statement running to its end on its own thread: nothing is
//! left half done, and the connection returns afterwards.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use respaldo_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Mutex as Queue, Semaphore};
use tokio::task::JoinError;

use crate::failure::Outcome;
use crate::open;

/// How long a writer waits for one of another process.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads that run at the same time; further ones queue.
const READERS: usize = 4;

pub(crate) struct Pool {
    writer: Arc<Queue<Connection>>,
    /// None for a catalog in memory, whose one connection both reads and writes.
    readers: Option<Arc<Readers>>,
}

struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    /// Over a file that `writer` has open.
    pub(crate) fn over_file(writer: Connection, path: PathBuf) -> Self {
        let places = Arc::new(Semaphore::new(READERS));
        let readers = Arc::new(Readers { path, places, idle: Mutex::new(Vec::new()) });
        Self { writer: Arc::new(Queue::new(writer)), readers: Some(readers) }
    }

    /// Over a database in memory.
    pub(crate) fn in_memory(only: Connection) -> Self {
        Self { writer: Arc::new(Queue::new(only)), readers: None }
    }

    /// Runs one read.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let Some(readers) = self.readers.clone() else {
            return self.write(operation, |transaction| work(transaction)).await;
        };
        let place = Arc::clone(&readers.places)
            .acquire_owned()
            .await
            .map_err(|closed| Error::internal(operation, closed))?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            let connection = readers.take()?;
            let outcome = work(&connection);
            readers.put_back(connection);
            outcome
        });
        finish(operation, done.await)
    }

    /// Runs one write in a transaction that takes the write lock at once, and confirms it only when
    /// it is on disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        });
        finish(operation, done.await)
    }
}

impl Readers {
    fn take(&self) -> Outcome<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| open::reader(&self.path), Ok)
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn finish<T>(operation: &str, done: Result<Outcome<T>, JoinError>) -> Result<T> {
    match done {
        Ok(outcome) => outcome.map_err(|fault| fault.during(operation)),
        Err(stopped) if stopped.is_cancelled() => {
            Err(Error::new(ErrorKind::Unavailable, operation, "the process is shutting down"))
        }
        Err(panicked) => Err(Error::internal(operation, panicked)),
    }
}

#[cfg(test)]
mod tests {
    use respaldo_core::ports::{Catalog, JobFilter};
    use respaldo_testkit::catalog::sample::{job, job_id};

    use super::*;
    use crate::{SqliteCatalog, catalog, jobs};

    fn file() -> (tempfile::TempDir, Connection, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (writer, path) = open::file(&folder.path().join("catalog.db")).unwrap();
        (folder, writer, path)
    }

    #[tokio::test]
    async fn reads_do_not_wait_for_a_writer_and_a_writer_that_waited_in_vain_may_try_again() {
        let (_folder, writer, path) = file();
        jobs::create(&writer, &job(1, 0)).ok().unwrap();
        writer.busy_timeout(Duration::ZERO).unwrap();
        let catalog = catalog::over(Pool::over_file(writer, path.clone()));
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();

        let refused = catalog.create_job(&job(2, 0)).await.expect_err("the lock is held");
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
        assert!(refused.is_retryable());
        assert!(catalog.check().await.is_err());
        for _more_than_there_are_readers in 0..3 * READERS {
            assert!(catalog.job(job_id(1)).await.unwrap().is_some());
        }
        other.execute_batch("COMMIT").unwrap();
        assert!(catalog.create_job(&job(2, 0)).await.unwrap());
        catalog.check().await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_the_write_and_keeps_what_is_there() {
        let (_folder, writer, path) = file();
        writer.pragma_update(None, "max_page_count", 60).unwrap();
        let catalog = catalog::over(Pool::over_file(writer, path.clone()));
        let mut stored = 0;
        let error = loop {
            match catalog.create_job(&job(stored, 0)).await {
                Ok(true) => stored += 1,
                Ok(false) => panic!("job {stored} was there"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Storage, "{error}");
        assert!(error.mend().is_some() && stored > 1, "{stored} jobs, then {error}");
        assert_eq!(catalog.jobs(&JobFilter::default(), None, 1_000).await.unwrap().len() as u128, stored);
        drop(catalog);
        assert!(SqliteCatalog::open(&path).unwrap().create_job(&job(stored, 0)).await.unwrap());
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let (_folder, _writer, path) = file();
        let reader = open::reader(&path).ok().unwrap();
        assert!(reader.execute("DELETE FROM jobs", []).is_err());
    }

    #[tokio::test]
    async fn a_write_that_panics_leaves_no_trace_and_the_next_one_works() {
        let (_folder, writer, path) = file();
        let pool = Pool::over_file(writer, path);
        let error = pool
            .write("panic", |connection| -> Outcome<()> {
                jobs::create(connection, &job(1, 0))?;
                panic!("on purpose");
            })
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        let catalog = catalog::over(pool);
        assert_eq!(catalog.job(job_id(1)).await.unwrap(), None);
        assert!(catalog.create_job(&job(1, 0)).await.unwrap());
    }
}
