//! A catalog that fails at any call of an import, and the same import again.

use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::FaultMode;

use super::*;

async fn little() -> (Vec<u8>, Content) {
    let source = MemoryCatalog::default();
    for n in 1..=3 {
        source.create_database(NewDatabase(database(n))).await.unwrap();
    }
    let last = source.database(DatabaseId(3)).await.unwrap().unwrap();
    source.delete_database(&last).await.unwrap();
    let job = job_without_a_database(1, at(0));
    source.create_job(&job).await.unwrap();
    source.append_log(job.id, &[line("a"), line("b")]).await.unwrap();
    source.claim("k", "v", at(0), None).await.unwrap();
    source.put_document(DOCUMENTS[0], "text", 0).await.unwrap();
    let expected = content(&source).await;
    (written(&source).await.0, expected)
}

#[tokio::test]
async fn an_import_that_fails_at_any_call_is_begun_again_and_ends_whole() {
    let (file, expected) = little().await;
    let mut met = 0;
    for mode in [FaultMode::temporary(), FaultMode::after_effect(), FaultMode::CrashAfter] {
        for call in 1.. {
            let target = TestApp::new();
            target.faults.fail_at(call, mode);
            let first = read_into(&*target.app.catalog, &file).await;
            let calls = target.faults.calls();
            target.faults.reset();
            if first.is_ok() && calls < call {
                break;
            }
            met += 1;
            let halfway = target.catalog.document(MARKER).await.unwrap().is_some() && first.is_err();
            if halfway && call < calls {
                let ended = refuse_unfinished(&*target.catalog).await;
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::Conflict);
            }
            let again = read_into(&*target.app.catalog, &file).await.unwrap();
            assert!(matches!(again.outcome, Outcome::Filled | Outcome::Before(_)), "{call} {mode:?}");
            refuse_unfinished(&*target.catalog).await.unwrap();
            assert_eq!(content(&*target.catalog).await, expected, "call {call}, {mode:?}");
            let next = target.catalog.create_database(NewDatabase(database(50))).await.unwrap();
            assert!(next.id > DatabaseId(3), "call {call}, {mode:?}: number {}", next.id);
        }
    }
    assert!(met > 40, "{met} calls failed");
}

#[tokio::test]
async fn an_export_that_cannot_be_read_or_written_is_an_error() {
    let source = TestApp::new();
    source.catalog.create_database(NewDatabase(database(1))).await.unwrap();
    let key = key();
    let how = Export { key: &key, source: String::new(), now: now(), force: false };
    let mut calls = 0;
    for call in 1.. {
        source.faults.fail_at(call, FaultMode::permanent());
        let done = export(&*source.app.catalog, how.clone(), &mut Vec::new()).await;
        calls = source.faults.calls();
        source.faults.reset();
        if done.is_ok() {
            break;
        }
    }
    assert!(calls >= 6);
    let error = export(&*source.catalog, how, &mut Full).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}

/// A disk that is full.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
