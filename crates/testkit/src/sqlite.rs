//! SQLite: a sample database with everything awkward, and a writer that never stops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::host;

const BUSY: Duration = Duration::from_secs(30);

/// Opens (or makes) the database at `path`, waiting patiently for other writers.
pub fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("SQLite opens the file");
    connection.busy_timeout(BUSY).expect("SQLite takes a timeout");
    connection
}

/// Makes at `path` a database of many types, blobs, keys, views and triggers, in WAL mode.
pub fn sample(path: &Path) {
    let connection = open(path);
    connection.execute_batch(include_str!("sqlite_sample.sql")).expect("the sample is valid SQL");
}

/// Everything in a database as SQL text, for comparing two: schema, then each table's rows in order.
/// Bytes are shown as hexadecimal, so that no two values look alike.
pub fn dump(path: &Path) -> String {
    let connection = open(path);
    let mut lines = rows(
        &connection,
        "SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name",
    );
    let tables = rows(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name");
    for table in tables {
        let columns = columns(&connection, &table);
        let shown: Vec<String> =
            columns.iter().map(|c| format!("typeof({c}) || ':' || quote({c})")).collect();
        let quoted = quoted(&table);
        let select = format!("SELECT {} AS shown FROM {quoted} ORDER BY shown", shown.join(" || '|' || "));
        lines.extend(rows(&connection, &select).into_iter().map(|row| format!("{table}: {row}")));
    }
    lines.join("\n")
}

fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).expect("the query is valid");
    let found = statement.query_map([], |row| row.get(0)).expect("the query runs");
    found.collect::<Result<_, _>>().expect("every row is text")
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let names = rows(connection, &format!("SELECT name FROM pragma_table_xinfo({})", literal(table)));
    names.iter().map(|name| quoted(name)).collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A thread that commits without pause, in WAL mode, until it is stopped or dropped.
///
/// Every transaction puts the same number into two tables, so that a copy taken in the middle of one
/// shows itself: see [`Writer::consistent_rows`].
pub struct Writer {
    stop: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts writing to the database at `path`; returns when the first transaction is committed.
    pub fn start(path: &Path) -> Self {
        let connection = open(path);
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE IF NOT EXISTS writer_left (n INTEGER PRIMARY KEY, filler BLOB);
                 CREATE TABLE IF NOT EXISTS writer_right (n INTEGER PRIMARY KEY, filler BLOB);",
            )
            .expect("the writer's tables can be made");
        let stop = Arc::new(AtomicBool::new(false));
        let committed = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (stop, committed) = (Arc::clone(&stop), Arc::clone(&committed));
            move || write_until_stopped(connection, &stop, &committed)
        });
        let writer = Self { stop, committed, thread: Some(thread) };
        writer.wait_for(1);
        writer
    }

    /// How many transactions this writer has committed.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    /// Waits until `n` more transactions are committed than when it was called.
    pub fn wait_for(&self, n: u64) {
        let goal = self.committed() + n;
        host::eventually("the writer has committed", BUSY, || self.committed() >= goal);
    }

    /// Ends the writing; returns how many transactions were committed.
    ///
    /// # Panics
    /// When a write failed, for instance because a backup locked the database for too long.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the writer met no error");
        }
        self.committed()
    }

    /// How many transactions of a writer a copy at `path` holds.
    ///
    /// # Panics
    /// When it holds half of one.
    pub fn consistent_rows(path: &Path) -> u64 {
        let connection = open(path);
        let count = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            connection.query_row(&sql, [], |row| row.get(0)).expect("the writer's tables are there")
        };
        let (left, right) = (count("writer_left"), count("writer_right"));
        assert_eq!(left, right, "the copy holds half a transaction");
        u64::try_from(left).expect("a count is not negative")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn write_until_stopped(mut connection: Connection, stop: &AtomicBool, committed: &AtomicU64) {
    while !stop.load(Ordering::SeqCst) {
        let transaction = connection.transaction().expect("a transaction can begin");
        for table in ["writer_left", "writer_right"] {
            let insert = format!("INSERT INTO {table} (filler) VALUES (randomblob(512))");
            transaction.execute(&insert, []).expect("the writer can insert");
        }
        transaction.commit().expect("the writer can commit");
        committed.fetch_add(1, Ordering::SeqCst);
    }
}
