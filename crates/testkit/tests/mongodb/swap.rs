//! Loaded aside, then exchanged collection by collection.

use respaldo_core::ErrorKind;
use respaldo_core::engine::WasSwapped;
use respaldo_core::model::RestoreMode;
use respaldo_testkit::not_mongod::museum::Museum;
use respaldo_testkit::not_mongod::{Fault, NotMongod, Snapshot, When};

use crate::support::{At, Restore, damage, shop};

struct Damaged {
    server: NotMongod,
    healthy: Snapshot,
    before: Snapshot,
    restore: Restore,
}

async fn damaged() -> Damaged {
    let server = NotMongod::start();
    shop(&server, "shop");
    let healthy = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    damage(&server, "shop");
    let before = server.snapshot("shop");
    let restore = Restore::new(At::new(&server, "shop"), bytes).by_swap();
    Damaged { server, healthy, before, restore }
}

fn own(snapshot: Snapshot) -> Snapshot {
    Snapshot(snapshot.0.into_iter().filter(|(name, _)| !name.starts_with("respaldo_loading_")).collect())
}

#[tokio::test]
async fn the_target_is_untouched_until_the_exchange_and_equal_to_the_dump_after_it() {
    let Damaged { server, healthy, before, restore } = damaged().await;
    assert_eq!(restore.survey().await.modes, [RestoreMode::Swap, RestoreMode::InPlace]);
    restore.load().await.unwrap();
    assert_eq!(own(server.snapshot("shop")).differences(&before), Vec::<String>::new());
    assert!(restore.survey().await.present.aside);
    assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::No);
    restore.swap().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
    assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::Yes);
    restore.swap().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_loaded_aside_is_dropped_on_request_and_by_the_next_load() {
    let Damaged { server, before, restore, .. } = damaged().await;
    restore.load().await.unwrap();
    restore.load().await.unwrap();
    restore.drop_aside().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    restore.drop_aside().await.unwrap();
}

/// The server dies before, or after, each command of the exchange in turn.
#[tokio::test]
async fn an_exchange_that_is_cut_anywhere_is_finished_by_whoever_comes_next() {
    for fault in [Fault::Die, Fault::DieAfter] {
        let (mut n, mut halves) = (1, 0);
        loop {
            let Damaged { mut server, healthy, before, restore } = damaged().await;
            restore.load().await.unwrap();
            server.fail(When::nth_of_all(n), fault.clone());
            let cut = restore.swap().await;
            let met = server.is_dead();
            server.heal();
            server.resume();
            let now = own(server.snapshot("shop"));
            for (name, content) in &now.0 {
                let whole = healthy.0.get(name).is_some_and(|healthy| healthy == content)
                    || before.0.get(name).is_some_and(|before| before == content);
                assert!(whole, "{fault:?} {n}: {name} is neither old nor new");
            }
            if cut.is_err() {
                halves += usize::from(now != healthy && now != before);
                if restore.was_swapped().await.unwrap() == WasSwapped::No {
                    restore.drop_aside().await.unwrap();
                    restore.load().await.unwrap();
                    restore.swap().await.unwrap();
                }
            }
            assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new(), "{fault:?} {n}");
            if !met {
                break;
            }
            n += 1;
        }
        assert!(n >= 10 && halves > 0, "{n} commands, {halves} cut in the middle");
    }
}

#[tokio::test]
async fn an_exchange_that_is_refused_half_way_says_how_far_it_came() {
    let Damaged { server, restore, .. } = damaged().await;
    restore.load().await.unwrap();
    server.fail(When::nth("renameCollection", 2), Fault::error(13, "Unauthorized"));
    let error = restore.swap().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.mend().unwrap().contains("1 of 2 collections were exchanged"), "{error}");
}

#[tokio::test]
async fn a_dump_with_a_time_series_is_not_loaded_aside_and_nothing_is_changed() {
    let server = NotMongod::start();
    Museum::default().fill(&server, "museum");
    let (bytes, _) = At::new(&server, "museum").dump().await.unwrap();
    shop(&server, "museum2");
    let before = server.snapshot("museum2");
    let restore = Restore::new(At::new(&server, "museum2"), bytes).by_swap();
    let error = restore.load().await.unwrap_err();
    assert!(error.message().contains("time series"), "{error}");
    assert!(error.mend().unwrap().contains("in_place"), "{error}");
    assert_eq!(server.snapshot("museum2").differences(&before), Vec::<String>::new());
}

#[tokio::test]
async fn a_view_or_a_collection_in_the_way_of_the_other_kind_gives_way() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let healthy = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    server.run("shop", &bson::rawdoc! { "drop": "dear" });
    server.run("shop", &bson::rawdoc! { "drop": "orders" });
    server.load("shop", "dear", [bson::rawdoc! { "_id": 1 }]);
    server.run("shop", &bson::rawdoc! { "create": "orders", "viewOn": "customers", "pipeline": [] });
    let restore = Restore::new(At::new(&server, "shop"), bytes).by_swap();
    restore.load().await.unwrap();
    restore.swap().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
}

#[tokio::test]
async fn chosen_collections_are_exchanged_alone() {
    let Damaged { server, healthy, before, restore } = damaged().await;
    let restore = restore.only(&["orders"]);
    restore.load().await.unwrap();
    restore.swap().await.unwrap();
    let now = server.snapshot("shop");
    assert!(now.0["orders"] == healthy.0["orders"] && now.0["written_since"] == before.0["written_since"]);
    assert_eq!(now.0.len(), before.0.len());
}

/// Whoever finds nothing aside cannot know by names whether it was exchanged or dropped.
#[tokio::test]
async fn what_was_dropped_before_the_exchange_is_not_taken_for_exchanged() {
    let Damaged { server, before, restore, .. } = damaged().await;
    let (_, saved) = At::new(&server, "shop").dump().await.unwrap();
    restore.load().await.unwrap();
    restore.drop_aside().await.unwrap();
    assert_eq!(restore.was_swapped_from(&saved).await, WasSwapped::No);
    server.load("shop", "orders", [bson::rawdoc! { "_id": "written meanwhile" }]);
    assert_eq!(restore.was_swapped_from(&saved).await, WasSwapped::Unknown);
    restore.load().await.unwrap();
    restore.swap().await.unwrap();
    assert_eq!(restore.was_swapped_from(&saved).await, WasSwapped::Yes);
    server.load("shop", "orders", [bson::rawdoc! { "_id": "written since" }]);
    assert_eq!(restore.was_swapped_from(&saved).await, WasSwapped::Unknown);
    assert!(before != server.snapshot("shop"));
}

/// A database of which some collections are backed up keeps the others, which no safety backup holds.
#[tokio::test]
async fn a_restore_touches_no_collection_that_its_safety_backup_does_not_hold() {
    for swaps in [true, false] {
        let server = NotMongod::start();
        shop(&server, "shop");
        let healthy = server.snapshot("shop");
        let (whole, _) = At::new(&server, "shop").dump().await.unwrap();
        let choosing =
            || At::new(&server, "shop").with(|settings| settings.collections = vec!["orders".to_owned()]);
        let (chosen, _) = choosing().dump().await.unwrap();
        for dump in [whole, chosen] {
            server.run("shop", &bson::rawdoc! { "drop": "orders" });
            server.run("shop", &bson::rawdoc! { "drop": "customers" });
            server.load("shop", "customers", [bson::rawdoc! { "_id": "of nobody's backup" }]);
            let before = server.snapshot("shop");
            let restore = Restore::new(choosing(), dump);
            let restore = if swaps { restore.by_swap() } else { restore };
            restore.load().await.unwrap();
            if swaps {
                restore.swap().await.unwrap();
                assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::Yes);
            }
            let now = server.snapshot("shop");
            assert!(now.0["orders"] == healthy.0["orders"], "swaps: {swaps}");
            assert!(now.0["customers"] == before.0["customers"], "swaps: {swaps}");
            let more = restore.only(&["customers"]).load().await.unwrap_err();
            assert!(more.mend().unwrap().contains("safety backup"), "{more}");
        }
    }
}

/// An old view that reads the new one, by a name that both have, would make a circle with it.
#[tokio::test]
async fn old_views_do_not_stand_in_the_way_of_new_ones() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let view = |name: &str, on: &str| {
        server.run("shop", &bson::rawdoc! { "create": name, "viewOn": on, "pipeline": [] });
    };
    view("a", "b");
    view("b", "orders");
    let healthy = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    for name in ["a", "b"] {
        server.run("shop", &bson::rawdoc! { "drop": name });
    }
    view("a", "orders");
    view("b", "a");
    let restore = Restore::new(At::new(&server, "shop"), bytes).by_swap();
    restore.load().await.unwrap();
    server.forget_seen();
    restore.swap().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
    assert!(server.count("create") > 0);
}

/// Servers rename no collection whose fields are encrypted, and none to the name of one.
#[tokio::test]
async fn encrypted_collections_are_not_exchanged_by_renaming() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let (plain, _) = At::new(&server, "shop").dump().await.unwrap();
    let healthy = server.snapshot("shop");
    server.run("shop", &bson::rawdoc! { "drop": "orders" });
    server.run("shop", &bson::rawdoc! { "create": "orders", "encryptedFields": { "fields": [] } });
    let (encrypted, _) = At::new(&server, "shop").dump().await.unwrap();
    let before = server.snapshot("shop");
    let error = Restore::new(At::new(&server, "shop"), encrypted.clone()).by_swap().load().await.unwrap_err();
    assert!(error.message().contains("orders") && error.mend().unwrap().contains("in_place"), "{error}");
    assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
    let restore = Restore::new(At::new(&server, "shop"), plain).by_swap();
    restore.load().await.unwrap();
    restore.swap().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&healthy), Vec::<String>::new());
    Restore::new(At::new(&server, "shop"), encrypted).load().await.unwrap();
    assert_eq!(server.snapshot("shop").differences(&before), Vec::<String>::new());
}

/// Whoever hears that it was not exchanged says that nothing was changed.
#[tokio::test]
async fn an_exchange_that_has_changed_anything_is_never_taken_for_none() {
    for only_views in [true, false] {
        let (mut n, mut changed) = (1, 0);
        loop {
            let mut server = NotMongod::start();
            let view = |server: &NotMongod, name: &str| {
                server.run("shop", &bson::rawdoc! { "create": name, "viewOn": "far", "pipeline": [] });
            };
            view(&server, "dear");
            if !only_views {
                server.load("shop", "orders", [bson::rawdoc! { "_id": 1 }]);
            }
            let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
            server.run("shop", &bson::rawdoc! { "dropDatabase": 1 });
            server.load("shop", "besides", [bson::rawdoc! { "_id": 1 }]);
            view(&server, "orders");
            let before = server.snapshot("shop");
            let restore = Restore::new(At::new(&server, "shop"), bytes).by_swap();
            restore.load().await.unwrap();
            server.fail(When::nth_of_all(n), Fault::DieAfter);
            let cut = restore.swap().await.is_err();
            let met = server.is_dead();
            server.heal();
            server.resume();
            let now = own(server.snapshot("shop"));
            if cut && now != own(before) {
                changed += 1;
                assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::Yes, "{only_views} {n}");
            }
            if !met {
                break;
            }
            n += 1;
        }
        assert!(changed > 0, "{n}");
    }
}
