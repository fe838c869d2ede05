//! Promises about documents.

use std::sync::Arc;

use respaldo_core::ErrorKind;
use respaldo_core::ports::Document;

use super::{Store, assert_conflict};

/// As it was written last, from every handle, also after a reopen.
pub async fn a_document_is_read_back_as_written(store: &dyn Store) {
    let (one, other) = (store.open().await, store.open().await);
    assert_eq!(one.document("settings").await.unwrap(), None);
    let first = one.put_document("settings", "a", 0).await.unwrap();
    assert!(first > 0, "0 stands for none");
    let read = other.document("settings").await.unwrap();
    assert_eq!(read, Some(Document { text: "a".to_owned(), revision: first }));
    let second = other.put_document("settings", "", first).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(one.document("Settings").await.unwrap(), None, "names differ by case");
    drop((one, other));
    let again = store.open().await.document("settings").await.unwrap();
    assert_eq!(again, Some(Document { text: String::new(), revision: second }));
}

/// Nor is one that does not exist changed, nor one created that is there.
pub async fn a_stale_document_is_not_written(store: &dyn Store) {
    let catalog = store.open().await;
    assert_conflict(catalog.put_document("d", "x", 1).await, "there is none at revision 1");
    let first = catalog.put_document("d", "one", 0).await.unwrap();
    assert_conflict(catalog.put_document("d", "x", 0).await, "it is there already");
    let second = catalog.put_document("d", "two", first).await.unwrap();
    assert_conflict(catalog.put_document("d", "x", first).await, "somebody wrote it since");
    assert_conflict(catalog.put_document("d", "x", second + 1).await, "it never had that revision");
    let kept = Document { text: "two".to_owned(), revision: second };
    assert_eq!(catalog.document("d").await.unwrap(), Some(kept));
}

/// The first writers of a new document, and then the writers of each later revision.
pub async fn of_concurrent_writers_of_a_document_exactly_one_wins(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    let mut revision = 0;
    for round in 0..4 {
        let tasks = (0..6).map(|n| {
            let catalog = Arc::clone(&handles[n % 2]);
            tokio::spawn(async move {
                let text = format!("{round}/{n}");
                let answer = catalog.put_document("d", &text, revision).await;
                (text, answer)
            })
        });
        let answers = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap);
        let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|(_, answer)| answer.is_ok());
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        assert!(lost.iter().all(|(_, answer)| answer.as_ref().unwrap_err().kind() == ErrorKind::Conflict));
        let (text, answer) = won.into_iter().next().unwrap();
        revision = answer.unwrap();
        assert_eq!(handles[0].document("d").await.unwrap(), Some(Document { text, revision }));
    }
}
