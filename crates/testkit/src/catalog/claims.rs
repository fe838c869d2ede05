//! Promises about claims.

use std::sync::Arc;

use respaldo_core::ports::{Catalog, Claim};

use super::Store;
use super::sample::at;

/// The first gets it; everybody after, also with the same value, hears who has it.
pub async fn a_claim_is_given_to_the_first_and_tells_the_others_its_value(store: &dyn Store) {
    let (one, other) = (store.open().await, store.open().await);
    assert_eq!(one.claim("k", "mine", at(0), None).await.unwrap(), None);
    assert_eq!(other.claim("k", "yours", at(0), None).await.unwrap().as_deref(), Some("mine"));
    assert_eq!(one.claim("k", "mine", at(9_999_999), None).await.unwrap().as_deref(), Some("mine"));
    assert_eq!(one.claim("K", "other", at(0), None).await.unwrap(), None, "keys differ by case");
}

/// Through two handles.
pub async fn of_many_who_claim_at_once_exactly_one_gets_it(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    for round in 0..6 {
        let tasks = (0..8).map(|n| {
            let catalog = Arc::clone(&handles[n % 2]);
            tokio::spawn(async move {
                let answer = catalog.claim(&format!("key {round}"), &n.to_string(), at(0), None).await;
                (n.to_string(), answer.unwrap())
            })
        });
        let answers = futures::future::join_all(tasks).await.into_iter().map(Result::unwrap);
        let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|(_, held)| held.is_none());
        assert_eq!(won.len(), 1, "round {round}");
        assert!(lost.iter().all(|(_, held)| held.as_ref() == Some(&won[0].0)), "{won:?} {lost:?}");
    }
}

/// From the very instant of its expiry.
pub async fn an_expired_claim_counts_as_absent(store: &dyn Store) {
    let catalog = store.open().await;
    assert_eq!(catalog.claim("k", "first", at(0), Some(at(1_000))).await.unwrap(), None);
    let held = catalog.claim("k", "second", at(999), Some(at(5_000))).await.unwrap();
    assert_eq!(held.as_deref(), Some("first"));
    assert_eq!(catalog.claim("k", "second", at(1_000), Some(at(5_000))).await.unwrap(), None);
    let held = catalog.claim("k", "first", at(1_001), None).await.unwrap();
    assert_eq!(held.as_deref(), Some("second"), "it has the expiry of the second");
    assert_eq!(catalog.claim("k", "third", at(5_000), None).await.unwrap(), None);
    let far = at(1_000 * 60 * 60 * 24 * 400);
    assert_eq!(catalog.claim("k", "x", far, None).await.unwrap().as_deref(), Some("third"));
}

/// Whoever asks learns what the next to claim it would, from every handle, and nothing is there for having asked.
pub async fn a_claim_is_read_without_taking_it(store: &dyn Store) {
    let (one, other) = (store.open().await, store.open().await);
    let long = "k".repeat(2_000);
    for key in ["k", "a/b", "", long.as_str()] {
        assert_eq!(one.claimed(key, at(0)).await.unwrap(), None);
        assert_eq!(one.claims(None, 9).await.unwrap(), [], "asking left something behind");
        assert_eq!(one.claim(key, "mine", at(0), Some(at(1_000))).await.unwrap(), None);
        assert_eq!(other.claimed(key, at(999)).await.unwrap().as_deref(), Some("mine"));
        assert_eq!(other.claimed(key, at(1_000)).await.unwrap(), None, "from the very instant of its expiry");
        assert_eq!(other.claimed("K", at(0)).await.unwrap(), None, "keys differ by case");
        assert_eq!(one.claim(key, "yours", at(1_000), None).await.unwrap(), None);
        assert_eq!(other.claimed(key, at(9_999_999)).await.unwrap().as_deref(), Some("yours"));
        one.release_claim(key, "yours").await.unwrap();
        assert_eq!(other.claimed(key, at(0)).await.unwrap(), None);
    }
}

/// Somebody else's claim stays.
pub async fn a_claim_is_released_only_by_its_value(store: &dyn Store) {
    let catalog = store.open().await;
    catalog.release_claim("k", "nobody's").await.unwrap();
    assert_eq!(catalog.claim("k", "mine", at(0), None).await.unwrap(), None);
    catalog.release_claim("k", "yours").await.unwrap();
    assert_eq!(catalog.claim("k", "yours", at(0), None).await.unwrap().as_deref(), Some("mine"));
    catalog.release_claim("k", "mine").await.unwrap();
    assert_eq!(catalog.claim("k", "yours", at(0), None).await.unwrap(), None);
    catalog.release_claim("k", "mine").await.unwrap();
    assert_eq!(catalog.claim("k", "mine", at(0), None).await.unwrap().as_deref(), Some("yours"));
}

/// All of them, in the order of their keys' bytes, each once, whatever the page's size; with value and expiry.
pub async fn claims_are_listed_by_key_in_pages(store: &dyn Store) {
    let catalog = store.open().await;
    assert_eq!(catalog.claims(None, 9).await.unwrap(), []);
    let mut expected = Vec::new();
    for (n, key) in ["b", "a", "B", "a b", "a/b", "ñ", "z", "\u{10ffff}", "b%", "b_"].into_iter().enumerate()
    {
        let value = format!("value {n}");
        let expires_at = (n % 3 == 0).then(|| at(60_000 * (1 + i64::try_from(n).unwrap())));
        assert_eq!(catalog.claim(key, &value, at(0), expires_at).await.unwrap(), None);
        expected.push(Claim { key: key.to_owned(), value, expires_at });
    }
    expected.sort_by(|one, other| one.key.as_bytes().cmp(other.key.as_bytes()));
    for limit in [1, 3, 100] {
        assert_eq!(walk(&*catalog, limit).await, expected, "pages of {limit}");
    }
    assert_eq!(
        catalog.claims(Some("a b\0"), 1).await.unwrap()[0].key,
        "a/b",
        "after a key that is not there"
    );
    let given_up = expected.remove(3);
    catalog.release_claim(&given_up.key, &given_up.value).await.unwrap();
    assert_eq!(walk(&*catalog, 4).await, expected);
}

/// Every claim, read in pages of `limit`.
pub(super) async fn walk(catalog: &dyn Catalog, limit: usize) -> Vec<Claim> {
    let mut seen: Vec<Claim> = Vec::new();
    loop {
        let after = seen.last().map(|last| last.key.as_str());
        let page = catalog.claims(after, limit).await.unwrap();
        assert!(page.len() <= limit);
        if page.is_empty() {
            return seen;
        }
        seen.extend(page);
    }
}
