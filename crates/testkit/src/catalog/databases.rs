//! Promises about databases.

use std::collections::BTreeSet;

use jiff::Timestamp;
use respaldo_core::model::{Database, DatabaseId};
use respaldo_core::ports::{Catalog, NewDatabase};

use super::sample::{at, database};
use super::{Store, assert_conflict};

async fn register(catalog: &dyn Catalog, uid: u128) -> Database {
    catalog.create_database(NewDatabase(database(uid))).await.unwrap()
}

/// What creating and changing answer is what reading answers, apart from the number and the revision
/// also what was given.
pub async fn a_database_is_read_back_as_written(store: &dyn Store) {
    let catalog = store.open().await;
    let created = register(&*catalog, 1).await;
    let expected = Database { id: created.id, revision: created.revision, ..database(1) };
    assert_eq!(created, expected);
    assert_eq!(catalog.database(created.id).await.unwrap(), Some(created.clone()));

    let mut changed = created.clone();
    changed.config_id = Some("orders".to_owned());
    changed.synced = Some(changed.settings.to_map());
    let stored = catalog.update_database(&changed).await.unwrap();
    assert_ne!(stored.revision, created.revision);
    assert_eq!(stored, Database { revision: stored.revision, ..changed });
    assert_eq!(catalog.database(created.id).await.unwrap(), Some(stored));
    assert_eq!(catalog.database(DatabaseId(created.id.0 + 1)).await.unwrap(), None);
}

/// Numbers begin at 1 or above, grow, and none comes twice.
pub async fn database_numbers_grow_and_are_never_used_twice_also_after_a_reopen(store: &dyn Store) {
    let catalog = store.open().await;
    assert_eq!(catalog.last_number().await.unwrap(), DatabaseId(0));
    let first = register(&*catalog, 1).await;
    let second = register(&*catalog, 2).await;
    assert!(first.id.0 >= 1 && second.id > first.id);
    catalog.delete_database(&second).await.unwrap();
    let third = register(&*catalog, 3).await;
    assert!(third.id > second.id, "{} follows {}", third.id, second.id);
    catalog.delete_database(&third).await.unwrap();
    catalog.delete_database(&first).await.unwrap();
    drop(catalog);

    let again = store.open().await;
    let last = again.last_number().await.unwrap();
    assert!(last >= third.id, "{last} is the last number after {}", third.id);
    let fourth = register(&*again, 4).await;
    assert!(fourth.id > third.id, "{} follows {}", fourth.id, third.id);
    // Also the uid of a deleted one may come again, under a new number.
    let fifth = register(&*again, 1).await;
    assert!(fifth.id > fourth.id);
}

/// Concurrent creations from two handles.
pub async fn many_databases_created_at_once_have_numbers_of_their_own(store: &dyn Store) {
    const MANY: usize = 24;
    let handles = [store.open().await, store.open().await];
    let tasks = (0..MANY).map(|n| {
        let catalog = std::sync::Arc::clone(&handles[n % 2]);
        tokio::spawn(async move { register(&*catalog, n as u128).await.id })
    });
    let ids: BTreeSet<_> = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids.len(), MANY);
}

/// A `uid` that is there already is a conflict, when creating and when changing.
pub async fn a_uid_is_registered_once(store: &dyn Store) {
    let catalog = store.open().await;
    let first = register(&*catalog, 1).await;
    assert_conflict(catalog.create_database(NewDatabase(database(1))).await, "the same uid again");
    assert_eq!(catalog.databases(None, 10).await.unwrap(), [first]);
}

/// The record is as it was given, and numbers go on above it, also after it was deleted and after a reopen.
pub async fn a_database_is_restored_under_its_own_number_and_later_numbers_are_greater(store: &dyn Store) {
    let catalog = store.open().await;
    let given = Database { id: DatabaseId(40), revision: 9, ..database(1) };
    let restored = catalog.restore_database(&given).await.unwrap();
    assert_eq!(restored, Database { revision: restored.revision, ..given });
    assert_eq!(catalog.database(DatabaseId(40)).await.unwrap(), Some(restored.clone()));
    assert_eq!(catalog.due_databases(Timestamp::MAX, 10).await.unwrap(), std::slice::from_ref(&restored));
    let lower = catalog.restore_database(&Database { id: DatabaseId(7), ..database(2) }).await.unwrap();
    assert_eq!(catalog.databases(None, 10).await.unwrap(), [lower, restored.clone()]);

    let next = register(&*catalog, 3).await;
    assert!(next.id > DatabaseId(40), "{} follows 40", next.id);
    catalog.delete_database(&next).await.unwrap();
    catalog.delete_database(&restored).await.unwrap();
    drop(catalog);
    let again = register(&*store.open().await, 4).await;
    assert!(again.id > next.id, "{} follows {}", again.id, next.id);
}

/// Nothing is overwritten, and nothing is stored under a number that no database has.
pub async fn a_number_or_uid_that_is_taken_is_not_restored(store: &dyn Store) {
    let catalog = store.open().await;
    let first = register(&*catalog, 1).await;
    let number = Database { id: first.id, ..database(2) };
    assert_conflict(catalog.restore_database(&number).await, "a number that is taken");
    let uid = Database { id: DatabaseId(first.id.0 + 1), ..database(1) };
    assert_conflict(catalog.restore_database(&uid).await, "a uid that is taken");
    for number in [0, -1, i64::MIN] {
        let none = Database { id: DatabaseId(number), ..database(3) };
        assert_conflict(catalog.restore_database(&none).await, "no number");
    }
    assert_eq!(catalog.databases(None, 10).await.unwrap(), [first]);
}

/// Ascending, after a number, no more than the limit, all of them, whatever was deleted.
pub async fn databases_are_listed_by_number_in_pages(store: &dyn Store) {
    let catalog = store.open().await;
    let mut expected = Vec::new();
    for uid in 0..11 {
        let created = register(&*catalog, uid).await;
        if uid % 4 == 2 {
            catalog.delete_database(&created).await.unwrap();
        } else {
            expected.push(created);
        }
    }
    for limit in [1, 3, 8, 100] {
        let mut seen = Vec::new();
        loop {
            let page = catalog.databases(seen.last().map(|one: &Database| one.id), limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            seen.extend(page);
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
}

/// Refused with `Conflict`, and nothing changes: after a change, after a deletion, and for a number
/// that never was.
pub async fn a_stale_database_is_neither_changed_nor_deleted(store: &dyn Store) {
    let catalog = store.open().await;
    let stale = register(&*catalog, 1).await;
    let fresh = catalog.update_database(&stale).await.unwrap();
    assert_conflict(catalog.update_database(&stale).await, "a change on a stale read");
    assert_conflict(catalog.delete_database(&stale).await, "a deletion on a stale read");
    let ahead = Database { revision: fresh.revision + 5, ..fresh.clone() };
    assert_conflict(catalog.update_database(&ahead).await, "a change of a revision that never was");
    assert_conflict(catalog.delete_database(&ahead).await, "a deletion of a revision that never was");
    assert_eq!(catalog.database(fresh.id).await.unwrap(), Some(fresh.clone()));

    catalog.delete_database(&fresh).await.unwrap();
    assert_conflict(catalog.update_database(&fresh).await, "a change of what is deleted");
    assert_conflict(catalog.delete_database(&fresh).await, "a second deletion");
    assert_eq!(catalog.database(fresh.id).await.unwrap(), None);
    let never = Database { id: DatabaseId(fresh.id.0 + 100), ..fresh };
    assert_conflict(catalog.update_database(&never).await, "a change of what never was");
}

/// Many change the same revision through two handles.
pub async fn of_concurrent_changes_to_a_database_exactly_one_wins(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    let mut current = register(&*handles[0], 1).await;
    for _round in 0..4 {
        let tasks = (0..8).map(|n| {
            let catalog = std::sync::Arc::clone(&handles[n % 2]);
            let mut mine = current.clone();
            mine.settings.name = format!("writer {n}");
            tokio::spawn(async move { catalog.update_database(&mine).await })
        });
        let results = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap);
        let (won, lost): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7));
        for result in lost {
            assert_conflict(result, "the others lose");
        }
        current = won.into_iter().next().unwrap().unwrap();
        assert_eq!(handles[1].database(current.id).await.unwrap(), Some(current.clone()));
    }
}

/// The due index is [`Database::attention_at`], after every change.
pub async fn due_databases_are_those_that_ask_for_attention_earliest_first(store: &dyn Store) {
    let catalog = store.open().await;
    let mut later = database(1);
    later.next_due_at = Some(at(2_000));
    let mut sooner = database(2);
    sooner.next_due_at = Some(at(1_000));
    let mut manual = database(3);
    manual.next_due_at = None;
    let mut disabled = database(4);
    disabled.settings.enabled = false;
    let mut stale = database(5);
    (stale.next_due_at, stale.definition_stale, stale.updated_at) = (None, true, at(500));
    let mut ids = Vec::new();
    for new in [later, sooner, manual, disabled, stale] {
        ids.push(catalog.create_database(NewDatabase(new)).await.unwrap().id);
    }
    let due = async |until: Timestamp, limit: usize| {
        let found = catalog.due_databases(until, limit).await.unwrap();
        found.iter().map(|one| ids.iter().position(|id| *id == one.id).unwrap() + 1).collect::<Vec<_>>()
    };
    assert_eq!(due(at(499), 10).await, [0; 0]);
    assert_eq!(due(at(500), 10).await, [5], "due at its very instant");
    assert_eq!(due(at(999), 10).await, [5]);
    assert_eq!(due(at(1_000), 10).await, [5, 2]);
    assert_eq!(due(Timestamp::MAX, 10).await, [5, 2, 1]);
    assert_eq!(due(Timestamp::MAX, 2).await, [5, 2], "the earliest, when not all are asked for");

    // Each reason comes and goes with a change, and all go with a deletion.
    let mut two = catalog.database(ids[1]).await.unwrap().unwrap();
    two.settings.enabled = false;
    let mut two = catalog.update_database(&two).await.unwrap();
    assert_eq!(due(Timestamp::MAX, 10).await, [5, 1]);
    two.settings.enabled = true;
    two.next_due_at = Some(at(9_000));
    catalog.update_database(&two).await.unwrap();
    assert_eq!(due(Timestamp::MAX, 10).await, [5, 1, 2]);
    let mut five = catalog.database(ids[4]).await.unwrap().unwrap();
    five.definition_stale = false;
    catalog.update_database(&five).await.unwrap();
    let one = catalog.database(ids[0]).await.unwrap().unwrap();
    catalog.delete_database(&one).await.unwrap();
    assert_eq!(due(Timestamp::MAX, 10).await, [2]);
}
