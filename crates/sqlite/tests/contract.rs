//! The catalog's contract, kept by SQLite: in a file, and in memory.
#![expect(clippy::expect_used, reason = "a panic is how a test's helper fails its test")]

use std::sync::Arc;

use async_trait::async_trait;
use respaldo_core::ports::Catalog;
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::catalog::Store;

/// Each handle opens the file anew, as another process would.
struct Folder(tempfile::TempDir);

#[async_trait]
impl Store for Folder {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(SqliteCatalog::open(&self.0.path().join("catalog.db")).expect("the catalog opens"))
    }
}

/// All handles are the same one: it ends with the last.
struct Memory(Arc<SqliteCatalog>);

#[async_trait]
impl Store for Memory {
    async fn open(&self) -> Arc<dyn Catalog> {
        let shared: Arc<SqliteCatalog> = Arc::clone(&self.0);
        shared
    }
}

mod file {
    use super::Folder;

    #[expect(clippy::unused_async, reason = "the contract's factories are async")]
    async fn store() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    respaldo_testkit::catalog_contract!(store);
}

mod memory {
    use std::sync::Arc;

    use super::{Memory, SqliteCatalog};

    #[expect(clippy::unused_async, reason = "the contract's factories are async")]
    async fn store() -> Memory {
        Memory(Arc::new(SqliteCatalog::open_in_memory().expect("a catalog in memory")))
    }

    respaldo_testkit::catalog_contract!(store);
}
