//! Dump, drop, restore: what comes back is what was there, byte for byte.

use bson::rawdoc;
use respaldo_core::engine::WasSwapped;
use respaldo_testkit::not_mongod::museum::Museum;
use respaldo_testkit::not_mongod::{Fault, NotMongod, When};

use crate::support::{At, Restore, damage, index, shop};

fn same(server: &NotMongod, database: &str, before: &respaldo_testkit::not_mongod::Snapshot) {
    let now = server.snapshot(database);
    assert_eq!(now.differences(before), Vec::<String>::new());
}

async fn round_trip(museum: Museum) {
    let server = NotMongod::start();
    museum.fill(&server, "museum");
    let before = server.snapshot("museum");
    let (bytes, seen) = At::new(&server, "museum").dump().await.unwrap();
    assert_eq!(seen.server_version.as_deref(), Some("7.0.14"));
    server.run("museum", &rawdoc! { "dropDatabase": 1 });
    assert!(server.snapshot("museum").0.is_empty());
    let restore = Restore::new(At::new(&server, "museum"), bytes);
    let loaded = restore.load().await.unwrap();
    assert_eq!(loaded.observed.fingerprint, seen.fingerprint);
    same(&server, "museum", &before);
}

#[tokio::test]
async fn the_museum_comes_back_byte_for_byte_with_its_options_and_indexes() {
    round_trip(Museum::default()).await;
}

#[tokio::test]
async fn documents_of_sixteen_mebibytes_come_back() {
    round_trip(Museum { large_documents: 3, ..Museum::default() }).await;
}

#[tokio::test]
async fn two_thousand_collections_come_back() {
    round_trip(Museum { small_collections: 2_000, ..Museum::default() }).await;
}

#[tokio::test]
async fn what_the_target_held_besides_is_gone() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let before = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    damage(&server, "shop");
    let restore = Restore::new(At::new(&server, "shop"), bytes);
    let survey = restore.survey().await;
    assert!(survey.present.target && !survey.present.aside && survey.refusals.is_empty(), "{survey:?}");
    restore.load().await.unwrap();
    same(&server, "shop", &before);
    // The same again harms nothing.
    restore.load().await.unwrap();
    same(&server, "shop", &before);
}

/// Servers of before put the time in the place of an empty timestamp, and nobody can keep them from it.
#[tokio::test]
async fn what_an_older_server_changes_is_told() {
    for (version, told) in [((6, 0, 16), true), ((6, 0, 17), false), ((7, 0, 12), true), ((8, 0, 0), false)] {
        let server = NotMongod::builder().version(version.0, version.1, version.2).start();
        let stamp = bson::Timestamp { time: 0, increment: 0 };
        server.load(
            "shop",
            "stamps",
            [rawdoc! { "_id": 1, "t": stamp }, rawdoc! { "_id": 2, "deep": { "t": stamp } }],
        );
        let before = server.snapshot("shop");
        let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
        let loaded = Restore::new(At::new(&server, "shop"), bytes).load().await.unwrap();
        let warned = loaded.warnings.iter().any(|warning| warning.contains(": 1 documents are not as"));
        assert_eq!(warned, told, "{version:?}: {:?}", loaded.warnings);
        assert_eq!(server.snapshot("shop") == before, !told, "{version:?}");
    }
}

#[tokio::test]
async fn a_dump_goes_into_a_database_of_another_name() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let before = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    Restore::new(At::new(&server, "copy"), bytes).load().await.unwrap();
    same(&server, "copy", &before);
    same(&server, "shop", &before);
}

#[tokio::test]
async fn chosen_collections_are_restored_and_the_others_left_alone() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let before = server.snapshot("shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    damage(&server, "shop");
    let damaged = server.snapshot("shop");
    let restore = Restore::new(At::new(&server, "shop"), bytes).only(&["orders"]);
    restore.load().await.unwrap();
    let now = server.snapshot("shop");
    assert_eq!(now.0["orders"].documents, before.0["orders"].documents);
    assert_eq!(now.0["written_since"].documents, damaged.0["written_since"].documents);
    assert!(!now.0.contains_key("customers"));
    let wrong = restore.only(&["nobody"]).load().await.unwrap_err();
    assert_eq!(wrong.field(), Some("tables"), "{wrong}");
    assert_eq!(server.snapshot("shop").differences(&now), Vec::<String>::new());
}

#[tokio::test]
async fn users_and_roles_come_back_where_that_is_wanted_and_nowhere_else() {
    let server = NotMongod::builder().user("admin", "root", "pw", &["root"]).start();
    shop(&server, "shop");
    let create =
        rawdoc! { "createUser": "ana", "pwd": "hunter2", "roles": [{ "role": "read", "db": "shop" }] };
    server.run("shop", &create);
    let wanting =
        || At::new(&server, "shop").by("root", "pw").with(|settings| settings.users_and_roles = true);
    let (bytes, seen) = wanting().dump().await.unwrap();
    assert_eq!(seen.fingerprint.0["$admin.system.users"].rows, 1);
    let users = server.documents("admin", "system.users");
    server.run("shop", &rawdoc! { "dropUser": "ana" });
    let without = server.documents("admin", "system.users");
    assert_ne!(users, without);

    let plain = Restore::new(At::new(&server, "shop").by("root", "pw"), bytes.clone());
    let loaded = plain.load().await.unwrap();
    assert!(
        loaded.warnings.iter().any(|warning| warning.contains("users and roles")),
        "{:?}",
        loaded.warnings
    );
    assert_eq!(server.documents("admin", "system.users"), without);

    Restore::new(wanting(), bytes).load().await.unwrap();
    assert_eq!(server.documents("admin", "system.users").len(), users.len());
    let left: Vec<String> =
        server.snapshot("admin").0.into_keys().filter(|name| name.contains("respaldo")).collect();
    assert_eq!(left, Vec::<String>::new());
}

/// What has expired since the backup was made would be deleted before a test restore compares it.
#[tokio::test]
async fn nothing_expires_in_a_scratch_database_and_all_that_did_elsewhere() {
    let expiring = |server: &NotMongod, database: &str| {
        let indexes = server.run(database, &rawdoc! { "listIndexes": "sessions" });
        let options =
            server.run(database, &rawdoc! { "listCollections": 1, "filter": { "name": "sensors" } });
        [indexes, options]
            .map(|answer| String::from_utf8_lossy(answer.as_bytes()).contains("expireAfterSeconds"))
    };
    let server = NotMongod::start();
    server.load("shop", "sessions", [rawdoc! { "_id": 1, "at": bson::DateTime::from_millis(0) }]);
    index(
        &server,
        "shop",
        "sessions",
        rawdoc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 60 },
    );
    let series = rawdoc! { "timeField": "at" };
    server.run("shop", &rawdoc! { "create": "sensors", "timeseries": series, "expireAfterSeconds": 60_i64 });
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    for scratch in [true, false] {
        let mut restore = Restore::new(At::new(&server, "copy"), bytes.clone());
        restore.target.scratch = scratch;
        restore.load().await.unwrap();
        assert_eq!(expiring(&server, "copy"), [!scratch; 2], "scratch: {scratch}");
    }
}

/// A dump of `admin` holds the users of all databases.
#[tokio::test]
async fn users_of_all_databases_come_back_with_admin() {
    let server = NotMongod::builder().user("admin", "root", "pw", &["root"]).start();
    server.run("shop", &rawdoc! { "createUser": "ana", "pwd": "hunter2", "roles": [] });
    server.load("admin", "notes", [rawdoc! { "_id": 1 }]);
    let admin =
        || At::new(&server, "admin").by("root", "pw").with(|settings| settings.users_and_roles = true);
    let (bytes, _) = admin().dump().await.unwrap();
    let users = server.documents("admin", "system.users").len();
    server.run("shop", &rawdoc! { "dropUser": "ana" });
    Restore::new(admin(), bytes).load().await.unwrap();
    assert_eq!(server.documents("admin", "system.users").len(), users);
}

/// What one member alone has taken is taken back by the next election.
#[tokio::test]
async fn a_write_that_too_few_members_have_taken_fails_the_restore() {
    let server = NotMongod::start();
    shop(&server, "shop");
    let (bytes, _) = At::new(&server, "shop").dump().await.unwrap();
    for command in ["drop", "create", "insert", "createIndexes"] {
        let restore = Restore::new(At::new(&server, "shop"), bytes.clone());
        server.fail(When::nth(command, 1), Fault::Alone);
        let error = restore.load().await.unwrap_err();
        assert!(error.is_retryable() && error.mend().unwrap().contains("members"), "{command}: {error}");
        server.heal();
    }
    let restore = Restore::new(At::new(&server, "shop"), bytes).by_swap();
    restore.load().await.unwrap();
    server.fail(When::nth("renameCollection", 1), Fault::Alone);
    let error = restore.swap().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::Yes);
}
