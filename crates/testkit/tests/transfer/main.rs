//! A catalog is moved: out into a file and into another catalog, whole or not at all.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::Cursor;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::DatabaseId;
use respaldo_core::ports::{Catalog, JobFilter, NewDatabase};
use respaldo_core::transfer::{
    DOCUMENTS, Export, Exported, Import, Imported, MARKER, Outcome, export, import, inspect,
    refuse_unfinished,
};
use respaldo_core::{ErrorKind, Result};
use respaldo_sqlite::SqliteCatalog;
use respaldo_testkit::catalog::MemoryCatalog;
use respaldo_testkit::catalog::content::{Content, content, fill};
use respaldo_testkit::catalog::sample::{at, database, job_without_a_database, line};

mod faults;
mod file;
mod installation;

fn key() -> MasterKey {
    MasterKey::generate([7; 32])
}

fn now() -> Timestamp {
    at(3_600_000)
}

async fn written(catalog: &dyn Catalog) -> (Vec<u8>, Exported) {
    let (key, mut file) = (key(), Vec::new());
    let how = Export { key: &key, source: "a catalog".to_owned(), now: now(), force: false };
    let exported = export(catalog, how, &mut file).await.unwrap();
    (file, exported)
}

async fn read_into(catalog: &dyn Catalog, file: &[u8]) -> Result<Imported> {
    import(catalog, Import { key: &key(), now: now(), dry_run: false }, &mut Cursor::new(file)).await
}

fn stores() -> Vec<(&'static str, Arc<dyn Catalog>)> {
    let sqlite: Arc<dyn Catalog> = Arc::new(SqliteCatalog::open_in_memory().unwrap());
    vec![("memory", Arc::<MemoryCatalog>::default() as Arc<dyn Catalog>), ("sqlite", sqlite)]
}

#[tokio::test]
async fn a_catalog_goes_through_a_file_into_any_other_without_loss() {
    for (from, source) in stores() {
        fill(&*source).await;
        let mut expected = content(&*source).await;
        let (file, exported) = written(&*source).await;
        // One claim ends at the very instant of the export.
        expected.claims.retain(|claim| claim.is_live(now()));
        assert_eq!(exported.counts.claims, 249);
        assert_eq!((exported.counts.databases, exported.counts.jobs, exported.counts.documents), (6, 42, 1));
        assert_eq!(exported.counts.log_lines, (0..40).map(|n| n * 13).sum::<u64>());
        assert_eq!(exported.running, 6);
        for (to, target) in stores() {
            let imported = read_into(&*target, &file).await.unwrap();
            assert_eq!(imported.outcome, Outcome::Filled);
            assert_eq!(imported.file.counts, exported.counts);
            assert_eq!(content(&*target).await, expected, "{from} to {to}");
            let next = target.create_database(NewDatabase(database(99))).await.unwrap();
            assert!(next.id > DatabaseId(7), "{from} to {to}: number {} was in use", next.id);
        }
    }
}

#[tokio::test]
async fn the_second_catalog_gives_the_same_records_in_a_file_of_its_own() {
    let (source, target) = (MemoryCatalog::default(), SqliteCatalog::open_in_memory().unwrap());
    fill(&source).await;
    let (first, _) = written(&source).await;
    read_into(&target, &first).await.unwrap();
    let (second, _) = written(&target).await;
    let records = |file: &[u8]| -> Vec<serde_json::Value> {
        let lines = std::str::from_utf8(file).unwrap().lines();
        let mut lines: Vec<serde_json::Value> =
            lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.pop().unwrap();
        for line in &mut lines {
            if let Some(database) = line.get_mut("database") {
                database["revision"] = 0.into();
            }
        }
        lines
    };
    assert_eq!(records(&first), records(&second));
}

#[tokio::test]
async fn what_has_expired_since_is_left_out_and_counted() {
    let (source, target) = (MemoryCatalog::default(), MemoryCatalog::default());
    fill(&source).await;
    let (file, _) = written(&source).await;
    let later = now() + SignedDuration::from_mins(60);
    let how = Import { key: &key(), now: later, dry_run: false };
    let imported = import(&target, how, &mut Cursor::new(&file)).await.unwrap();
    assert_eq!(imported.expired, 30);
    assert_eq!(target.claims(None, 1_000).await.unwrap().len(), 219);
}

#[tokio::test]
async fn a_catalog_with_content_is_not_filled_nor_one_that_another_file_fills() {
    let source = MemoryCatalog::default();
    fill(&source).await;
    let (file, _) = written(&source).await;
    let databases = MemoryCatalog::default();
    databases.create_database(NewDatabase(database(1))).await.unwrap();
    let jobs = MemoryCatalog::default();
    jobs.create_job(&job_without_a_database(1, at(0))).await.unwrap();
    let claims = MemoryCatalog::default();
    claims.claim("k", "v", at(0), None).await.unwrap();
    let settings = MemoryCatalog::default();
    settings.put_document(DOCUMENTS[0], "x", 0).await.unwrap();
    for filled in [&databases, &jobs, &claims, &settings] {
        let before = content(filled).await;
        let error = read_into(filled, &file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.mend().is_some(), "{error}");
        assert_eq!(content(filled).await, before);
        assert_eq!(filled.document(MARKER).await.unwrap(), None);
    }
    let target = MemoryCatalog::default();
    read_into(&target, &file).await.unwrap();
    source.claim("another", "v", at(0), None).await.unwrap();
    let (other, _) = written(&source).await;
    let error = read_into(&target, &other).await.unwrap_err();
    assert!(error.message().contains("another file"), "{error}");
}

#[tokio::test]
async fn an_import_that_has_ended_is_not_repeated_over_what_came_after_it() {
    let (source, target) = (MemoryCatalog::default(), MemoryCatalog::default());
    fill(&source).await;
    let (file, _) = written(&source).await;
    read_into(&target, &file).await.unwrap();
    let gone = target.jobs(&JobFilter::default(), None, 1).await.unwrap().remove(0);
    target.delete_job(&gone).await.unwrap();
    let again = read_into(&target, &file).await.unwrap();
    assert_eq!(again.outcome, Outcome::Before(now()));
    assert_eq!(target.job(gone.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_host_at_work_is_not_exported_unless_that_is_wanted() {
    let source = MemoryCatalog::default();
    fill(&source).await;
    source.acquire_lease("places/1", "a worker", now(), now() + SignedDuration::from_secs(30)).await.unwrap();
    let (key, mut file) = (key(), Vec::new());
    let how = Export { key: &key, source: String::new(), now: now(), force: false };
    let error = export(&source, how.clone(), &mut file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(file.is_empty() && error.mend().unwrap().contains("--force"), "{error}");
    export(&source, Export { force: true, ..how.clone() }, &mut file).await.unwrap();
    let released = Export { now: now() + SignedDuration::from_secs(30), ..how };
    export(&source, released, &mut Vec::new()).await.unwrap();
}
