//! Promises about leases.

use std::sync::Arc;

use super::Store;
use super::sample::at;

/// Not even its owner gets it twice; from the instant of expiry it is free; a release frees it at once;
/// a renewal moves the expiry.
pub async fn a_lease_has_one_holder_until_it_expires(store: &dyn Store) {
    let (one, other) = (store.open().await, store.open().await);
    let fence = one.acquire_lease("l", "a", at(0), at(1_000)).await.unwrap().unwrap();
    assert_eq!(one.acquire_lease("l", "a", at(1), at(1_000)).await.unwrap(), None);
    assert_eq!(other.acquire_lease("l", "b", at(999), at(2_000)).await.unwrap(), None);
    assert!(other.acquire_lease("L", "b", at(0), at(1_000)).await.unwrap().is_some(), "another name");
    assert!(one.renew_lease("l", fence, at(3_000)).await.unwrap());
    assert_eq!(other.acquire_lease("l", "b", at(2_999), at(9_000)).await.unwrap(), None);
    let taken = other.acquire_lease("l", "b", at(3_000), at(9_000)).await.unwrap().unwrap();
    other.release_lease("l", taken).await.unwrap();
    assert!(one.acquire_lease("l", "a", at(3_001), at(9_000)).await.unwrap().is_some());
}

/// Through two handles, for a new name and for one whose holder died.
pub async fn of_many_who_want_a_lease_exactly_one_gets_it(store: &dyn Store) {
    let handles = [store.open().await, store.open().await];
    for round in 0..6 {
        let tasks = (0..8).map(|n| {
            let catalog = Arc::clone(&handles[n % 2]);
            let (now, expiry) = (at(round * 1_000), at(round * 1_000 + 1_000));
            tokio::spawn(
                async move { catalog.acquire_lease("l", &n.to_string(), now, expiry).await.unwrap() },
            )
        });
        let fences = futures::future::join_all(tasks).await.into_iter().filter_map(Result::unwrap);
        assert_eq!(fences.count(), 1, "round {round}");
    }
}

/// Every holder of a name has a greater fence than all before it.
pub async fn fences_grow_also_after_release_expiry_and_reopen(store: &dyn Store) {
    let mut last = 0;
    for round in 0..8 {
        let catalog = store.open().await;
        let fence =
            catalog.acquire_lease("l", "a", at(round * 10), at(round * 10 + 10)).await.unwrap().unwrap();
        assert!(fence > last, "round {round}: {fence} after {last}");
        last = fence;
        if round % 2 == 0 {
            catalog.release_lease("l", fence).await.unwrap();
        }
    }
}

/// Neither after a take-over nor after its own release; and a fence opens its own name only.
pub async fn a_lease_that_was_taken_over_is_not_renewed_nor_released_by_its_old_holder(store: &dyn Store) {
    let catalog = store.open().await;
    let old = catalog.acquire_lease("l", "a", at(0), at(10)).await.unwrap().unwrap();
    let new = catalog.acquire_lease("l", "b", at(10), at(20)).await.unwrap().unwrap();
    assert!(!catalog.renew_lease("l", old, at(1_000)).await.unwrap());
    catalog.release_lease("l", old).await.unwrap();
    assert_eq!(catalog.acquire_lease("l", "c", at(19), at(30)).await.unwrap(), None, "still the second's");
    assert!(catalog.renew_lease("l", new, at(40)).await.unwrap());
    assert!(!catalog.renew_lease("l", u64::MAX, at(1_000)).await.unwrap());

    let other = catalog.acquire_lease("m", "a", at(0), at(10)).await.unwrap().unwrap();
    assert!(!catalog.renew_lease("n", other, at(1_000)).await.unwrap());
    assert!(other == new || !catalog.renew_lease("l", other, at(1_000)).await.unwrap());
    catalog.release_lease("l", new).await.unwrap();
    assert!(!catalog.renew_lease("l", new, at(1_000)).await.unwrap(), "it was given back");
    assert!(catalog.acquire_lease("l", "c", at(21), at(30)).await.unwrap().is_some());
}

/// Live ones only, and a prefix is letters, whatever it looks like.
pub async fn live_leases_are_listed_by_a_prefix_that_means_nothing_else(store: &dyn Store) {
    let catalog = store.open().await;
    let names = [
        "",
        "a",
        "a%",
        "a%b",
        "a_b",
        "axb",
        "a\\b",
        "A",
        "a*",
        "a[b]",
        "a\0b",
        "b",
        "é",
        "é1",
        "\u{10FFFF}",
        "\u{10FFFF}z",
        "read/1/a",
        "read/1/b",
        "read/10/a",
    ];
    for name in names {
        assert!(catalog.acquire_lease(name, "o", at(0), at(1_000)).await.unwrap().is_some(), "{name:?}");
    }
    let gone = catalog.acquire_lease("a%released", "o", at(0), at(1_000)).await.unwrap().unwrap();
    catalog.release_lease("a%released", gone).await.unwrap();
    assert!(catalog.acquire_lease("a%expired", "o", at(0), at(500)).await.unwrap().is_some());
    for prefix in [
        "",
        "a",
        "a%",
        "a_",
        "a\\",
        "%",
        "_",
        "\\",
        "A",
        "a*",
        "a[",
        "a\0",
        "é",
        "\u{10FFFF}",
        "read/1/",
        "zz",
    ] {
        let mut expected: Vec<_> = names.into_iter().filter(|name| name.starts_with(prefix)).collect();
        expected.sort_unstable();
        let mut found = catalog.live_leases(prefix, at(500)).await.unwrap();
        found.sort_unstable();
        assert_eq!(found, expected, "{prefix:?}");
    }
    assert!(catalog.live_leases("", at(1_000)).await.unwrap().is_empty(), "none lives at its expiry");
}
