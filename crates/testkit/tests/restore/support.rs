//! A database that was backed up and then damaged.

use std::path::PathBuf;

use respaldo_core::model::{Database, Job, JobId, Ownership};
use respaldo_core::restore::{self, Request};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::sqlite;

/// What is asked for when nobody chooses anything.
pub(crate) fn request_of(backup: JobId) -> Request {
    Request {
        backup,
        target: None,
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    }
}

/// An installation with a backup of a database that was damaged since.
pub(crate) struct Damaged {
    pub(crate) test: TestApp,
    pub(crate) database: Database,
    pub(crate) backup: Job,
    /// The database's content when it was backed up.
    pub(crate) healthy: String,
    /// Its content after that, before any restore.
    pub(crate) before: String,
    file: Vec<u8>,
}

impl Damaged {
    pub(crate) async fn new() -> Self {
        Box::pin(Self::of(TestApp::new())).await
    }

    pub(crate) async fn of(test: TestApp) -> Self {
        let database = test.register_sample().await;
        let path = PathBuf::from(&database.settings.database_name);
        let backup = test.back_up(&database).await;
        let healthy = sqlite::dump(&path);
        damage(&path);
        let before = sqlite::dump(&path);
        assert_ne!(healthy, before);
        let file = std::fs::read(&path).unwrap();
        Self { test, database, backup, healthy, before, file }
    }

    /// The state that this was left in, in an installation of its own. The database is the same file, so
    /// that only one of them is used at a time.
    pub(crate) fn again(&self) -> Self {
        for end in ["-wal", "-shm", "-journal"] {
            let _not_there = std::fs::remove_file(format!("{}{end}", self.path().display()));
        }
        std::fs::write(self.path(), &self.file).unwrap();
        Self {
            test: self.test.copy(),
            database: self.database.clone(),
            backup: self.backup.clone(),
            healthy: self.healthy.clone(),
            before: self.before.clone(),
            file: self.file.clone(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(&self.database.settings.database_name)
    }

    /// The database's content.
    pub(crate) fn content(&self) -> String {
        sqlite::dump(&self.path())
    }

    pub(crate) fn id(&self) -> JobId {
        JobId(self.test.app.ids.ulid(self.test.app.now()))
    }

    /// Asks for a restore.
    pub(crate) async fn request(&self, request: &Request) -> Job {
        Box::pin(restore::request(&self.test.app, request, self.id())).await.unwrap()
    }

    /// Restores, and answers the record when it has ended.
    pub(crate) async fn restore(&self, request: &Request) -> Job {
        let job = self.request(request).await;
        Box::pin(self.test.run_to_end(job.id)).await
    }
}

/// Changes rows, drops a table, makes another.
fn damage(path: &std::path::Path) {
    let connection = sqlite::open(path);
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql LIKE 'CREATE TABLE%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF; CREATE TABLE written_since (a); INSERT INTO written_since VALUES (1);").unwrap();
    let dropped = tables.iter().any(|table| {
        connection.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\""))).is_ok()
    });
    assert!(dropped);
}
