//! Whose file is it: new ones are made, ours are opened, all others are refused and stay as they were.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test's helper fails its test")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use respaldo_core::model::Job;
use respaldo_core::ports::{Catalog, JobFilter};
use respaldo_core::{Error, ErrorKind};
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::catalog::sample::{at, job, job_id, job_without_a_database};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    (folder, path)
}

fn refusal(path: &Path) -> Error {
    SqliteCatalog::open(path).err().expect("the file is refused")
}

/// Refused as a matter of settings, in one line that names the file and the mend; not a byte changes.
fn assert_refused_untouched(path: &Path, why: &str) {
    let before = fs::read(path).unwrap();
    let error = refusal(path);
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    let line = error.to_string();
    assert!(line.contains(path.to_str().unwrap()) && line.contains(why), "{line}");
    assert!(error.mend().is_some() && !line.contains('\n'), "{line}");
    assert!(fs::read(path).unwrap() == before, "the file changed: {line}");
}

#[tokio::test]
async fn a_new_catalog_and_its_log_are_readable_by_their_owner_alone() {
    let (folder, _) = folder();
    let path = folder.path().join("new/folders/catalog.db");
    let catalog = SqliteCatalog::open(&path).unwrap();
    catalog.create_job(&job(1, 0)).await.unwrap();
    for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let mode = fs::metadata(path.with_file_name(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_catalog() {
    let (_folder, path) = folder();
    fs::write(&path, "").unwrap();
    SqliteCatalog::open(&path).unwrap().check().await.unwrap();
}

#[tokio::test]
async fn a_path_is_a_path_whatever_it_looks_like() {
    let (folder, _) = folder();
    for name in [
        OsStr::new(":memory:"),
        OsStr::new("file:x?mode=memory"),
        OsStr::new("a b%20c#d?e&f.db"),
        OsStr::new("línea\nnueva.db"),
        OsStr::from_bytes(b"not \xff utf-8.db"),
    ] {
        let path = folder.path().join(name);
        assert!(SqliteCatalog::open(&path).unwrap().create_job(&job(1, 0)).await.unwrap());
        assert!(path.is_file(), "{}", path.display());
        let again = SqliteCatalog::open(&path).unwrap();
        assert!(again.job(job_id(1)).await.unwrap().is_some(), "{}", path.display());
    }
}

#[test]
fn a_file_that_is_not_sqlite_is_refused_untouched() {
    let (_folder, path) = folder();
    let contents: [&[u8]; 4] = [b"databases:\n  - id: orders\n", b"x", b"SQLite format 3\0", &[0; 10_000]];
    for content in contents {
        fs::write(&path, content).unwrap();
        assert_refused_untouched(&path, "not a SQLite file");
    }
}

#[test]
fn another_applications_file_is_refused_untouched() {
    let (_folder, path) = folder();
    let theirs = Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE orders (id)").unwrap();
    assert_refused_untouched(&path, "another application");
    theirs.pragma_update(None, "application_id", 7).unwrap();
    assert_refused_untouched(&path, "another application");
    // Also while it has changes in its log that are not yet in the file.
    theirs.pragma_update(None, "journal_mode", "WAL").unwrap();
    theirs.execute_batch("INSERT INTO orders VALUES (1)").unwrap();
    let log = path.with_file_name("catalog.db-wal");
    let before = fs::read(&log).unwrap();
    assert!(!before.is_empty());
    assert_refused_untouched(&path, "another application");
    assert_eq!(fs::read(&log).unwrap(), before);
}

#[test]
fn a_newer_version_is_refused_untouched() {
    let (_folder, path) = folder();
    drop(SqliteCatalog::open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(fs::metadata(path.with_file_name("catalog.db-wal")).unwrap().len() > 0);
    assert_refused_untouched(&path, "newer Respaldo");

    let folded = Connection::open(&path).unwrap();
    folded.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(folded);
    assert_refused_untouched(&path, "newer Respaldo");
}

#[test]
fn a_folder_in_the_files_place_is_refused() {
    let (folder, _) = folder();
    let error = refusal(folder.path());
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("not a file"), "{error}");
    let below_a_file = folder.path().join("plain");
    fs::write(&below_a_file, "").unwrap();
    assert_eq!(refusal(&below_a_file.join("catalog.db")).kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_damaged_catalog_is_called_corrupt() {
    let (_folder, path) = folder();
    let catalog = SqliteCatalog::open(&path).unwrap();
    for id in 0..200 {
        catalog.create_job(&job(id, 0)).await.unwrap();
    }
    drop(catalog);
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = match SqliteCatalog::open(&path) {
        Ok(catalog) => catalog.job(job_id(7)).await.expect_err("the record is gone"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(!error.to_string().contains('\n') && error.mend().is_some(), "{error}");
}

#[tokio::test]
async fn opening_it_again_in_one_process_disturbs_nobody() {
    let (_folder, path) = folder();
    let first = SqliteCatalog::open(&path).unwrap();
    for id in 0..20 {
        let other = SqliteCatalog::open(&path).unwrap();
        assert!(first.create_job(&job(2 * id, 0)).await.unwrap());
        assert!(other.create_job(&job(2 * id + 1, 0)).await.unwrap());
    }
    let seen = first.jobs(&JobFilter::default(), None, 100).await.unwrap();
    assert_eq!(seen.len(), 40);
}

/// A file as the first version made it, with one running backup and a line of its log.
fn make_first_version(path: &Path, job: &Job) {
    let mut document = serde_json::to_value(job).unwrap();
    let fields = document.as_object_mut().unwrap();
    let database = fields.remove("database").unwrap();
    fields.insert("database_id".to_owned(), database["id"].clone());
    fields.insert("database_uid".to_owned(), database["uid"].clone());
    let file = Connection::open(path).unwrap();
    file.pragma_update(None, "application_id", 0x5253_5044).unwrap();
    file.execute_batch(include_str!("../migrations/0001_catalog.sql")).unwrap();
    let columns = (job.id.to_string(), job.created_at.as_millisecond(), document.to_string());
    let insert = "INSERT INTO jobs VALUES (?1, 4, 1, 'queued', 'manual', ?2, NULL, 0, ?3)";
    file.execute(insert, columns).unwrap();
    let insert = "INSERT INTO job_log VALUES (?1, 1, 5, 1, 'info', 'a line')";
    file.execute(insert, [job.id.to_string()]).unwrap();
    file.pragma_update(None, "user_version", 1).unwrap();
}

#[tokio::test]
async fn a_catalog_of_the_first_version_is_brought_to_the_newest_with_jobs_logs_and_sums() {
    let (_folder, path) = folder();
    let mut expected = job(1, 0);
    expected.revision = 4;
    make_first_version(&path, &expected);
    let catalog = SqliteCatalog::open(&path).unwrap();
    assert_eq!(catalog.job(expected.id).await.unwrap().as_ref(), Some(&expected));
    assert_eq!(catalog.log(expected.id, 0, 9).await.unwrap()[0].line, "a line");
    assert_eq!(catalog.totals(None).await.unwrap().by_status["queued"], 1);
    assert!(catalog.create_job(&job_without_a_database(2, at(1))).await.unwrap());
    catalog.delete_job(&expected).await.unwrap();
    assert!(catalog.log(expected.id, 0, 9).await.unwrap().is_empty());
    assert!(!catalog.totals(None).await.unwrap().by_status.contains_key("queued"));
}
