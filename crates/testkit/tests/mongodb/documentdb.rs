//! Over Microsoft's `DocumentDB`, which is **not mongod**: indexes are really built and validators really judge.
//! Skipped, with a line that says so, where it is not installed.

use bson::{RawDocumentBuf, rawdoc};
use respaldo_core::ErrorKind;
use respaldo_core::engine::WasSwapped;
use respaldo_testkit::documentdb::DocumentDb;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;

use crate::support::{At, Restore};

fn insert(server: &DocumentDb, collection: &str, documents: &[RawDocumentBuf]) {
    let answer = try_insert(server, collection, documents);
    assert!(answer.get("writeErrors").unwrap().is_none(), "{answer:?}");
}

fn try_insert(server: &DocumentDb, collection: &str, documents: &[RawDocumentBuf]) -> RawDocumentBuf {
    let mut command = rawdoc! { "insert": collection };
    command.append(bson::raw::cstr!("documents"), array(documents));
    server.try_run("shop", &command).unwrap()
}

/// The number of the error that a document meets; none if it is taken.
fn refused(server: &DocumentDb, collection: &str, document: RawDocumentBuf) -> Option<i32> {
    let answer = try_insert(server, collection, &[document]);
    let errors = answer.get("writeErrors").unwrap()?.as_array().unwrap();
    Some(errors.into_iter().next().unwrap().unwrap().as_document().unwrap().get_i32("code").unwrap())
}

fn index(server: &DocumentDb, collection: &str, specs: &[RawDocumentBuf]) {
    let mut command = rawdoc! { "createIndexes": collection };
    command.append(bson::raw::cstr!("indexes"), array(specs));
    server.run("shop", &command);
}

fn array(documents: &[RawDocumentBuf]) -> bson::RawArrayBuf {
    documents.iter().cloned().collect()
}

/// A collection or a view.
#[derive(PartialEq)]
struct Held {
    name: String,
    options: RawDocumentBuf,
    indexes: Vec<RawDocumentBuf>,
    documents: Vec<RawDocumentBuf>,
}

/// All that the shop holds, without the collections' uuids.
fn held(server: &DocumentDb) -> Vec<Held> {
    let kept = server.collections("shop").into_iter();
    kept.map(|(name, options)| {
        let view = options.get("viewOn").unwrap().is_some();
        let indexes = if view { Vec::new() } else { server.indexes("shop", &name) };
        let documents = server.documents("shop", &name);
        Held { name, options, indexes: indexes.iter().map(without_storage).collect(), documents }
    })
    .collect()
}

/// `DocumentDB` notes there how it has built an index.
fn without_storage(index: &RawDocumentBuf) -> RawDocumentBuf {
    let fields = index.iter().flatten().filter(|(name, _)| name.as_str() != "storageEngine");
    let mut kept = RawDocumentBuf::new();
    for (name, value) in fields {
        kept.append(name, value);
    }
    kept
}

fn same(now: &[Held], before: &[Held]) {
    let names = |held: &[Held]| held.iter().map(|held| held.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(now), names(before));
    for (now, before) in now.iter().zip(before) {
        assert_eq!(now.options, before.options, "{}", now.name);
        assert_eq!(now.indexes, before.indexes, "{}", now.name);
        assert!(now.documents == before.documents, "{} has other documents", now.name);
    }
}

/// Every kind of index that `DocumentDB` builds and takes back.
fn indexed(server: &DocumentDb) {
    let place = rawdoc! { "type": "Point", "coordinates": [2.17, 41.38] };
    let documents: Vec<RawDocumentBuf> = (0..300)
        .map(|n| {
            rawdoc! {
                "_id": n, "sum": f64::from(n) / 4.0, "code": format!("c{n}"), "state": n % 3,
                "place": place.clone(), "flat": [n % 10, 1], "at": bson::DateTime::from_millis(i64::from(n)),
            }
        })
        .collect();
    insert(server, "orders", &documents);
    // Sparse: many without the field may be there; partial: twins may be there outside of the filter.
    insert(server, "orders", &[rawdoc! { "_id": "a", "twin": 1 }, rawdoc! { "_id": "b", "twin": 1 }]);
    let specs = [
        rawdoc! { "key": { "state": 1, "sum": -1 }, "name": "compound" },
        rawdoc! { "key": { "code": 1 }, "name": "unique_sparse", "unique": true, "sparse": true },
        rawdoc! {
            "key": { "twin": 1 }, "name": "unique_partial", "unique": true,
            "partialFilterExpression": { "twin": { "$gt": 5 } },
        },
        rawdoc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 315_360_000 },
        rawdoc! { "key": { "place": "2dsphere" }, "name": "sphere" },
        rawdoc! { "key": { "flat": "2d" }, "name": "flat", "min": -10.0, "max": 10.5 },
        rawdoc! { "key": { "code": "hashed" }, "name": "hashed" },
        rawdoc! { "key": { "$**": 1 }, "name": "wild", "wildcardProjection": { "flat": 0 } },
    ];
    index(server, "orders", &specs);
}

#[tokio::test]
async fn indexes_are_built_anew_as_they_were_and_unique_ones_bite() {
    let Some(server) = DocumentDb::start() else { return };
    indexed(&server);
    let before = held(&server);
    assert_eq!(server.indexes("shop", "orders").len(), 9);
    let (bytes, seen) = At::on(server.port(), "shop").dump().await.unwrap();
    assert_eq!(seen.fingerprint.0["orders"].rows, 302);
    server.run("shop", &rawdoc! { "dropDatabase": 1 });
    assert!(held(&server).is_empty());
    let restore = Restore::new(At::on(server.port(), "shop"), bytes);
    let loaded = restore.load().await.unwrap();
    assert_eq!(loaded.observed.fingerprint, seen.fingerprint);
    same(&held(&server), &before);
    assert_eq!(refused(&server, "orders", rawdoc! { "code": "c7" }), Some(11000));
    assert_eq!(refused(&server, "orders", rawdoc! { "_id": "none", "sum": 1 }), None);
    assert_eq!(refused(&server, "orders", rawdoc! { "_id": "low", "twin": 1 }), None);
    assert_eq!(refused(&server, "orders", rawdoc! { "_id": "high", "twin": 6 }), None);
    assert_eq!(refused(&server, "orders", rawdoc! { "_id": "twin", "twin": 6 }), Some(11000));
    let nowhere = rawdoc! { "type": "Point", "coordinates": [500.0, 41.38] };
    assert!(refused(&server, "orders", rawdoc! { "place": nowhere.clone() }).is_some());
    assert_eq!(refused(&server, "orders", rawdoc! { "elsewhere": nowhere }), None);
}

#[tokio::test]
async fn documents_that_break_their_validator_come_back_and_it_judges_the_next_one() {
    let Some(server) = DocumentDb::start() else { return };
    let validator =
        rawdoc! { "$jsonSchema": { "required": ["sum"], "properties": { "sum": { "bsonType": "int" } } } };
    let options = rawdoc! {
        "create": "orders", "validator": validator, "validationLevel": "strict", "validationAction": "error",
    };
    server.run("shop", &options);
    let mut bypassing = rawdoc! { "insert": "orders", "bypassDocumentValidation": true };
    let broken = [rawdoc! { "_id": 1 }, rawdoc! { "_id": 2, "sum": 4 }, rawdoc! { "_id": 3, "sum": "much" }];
    bypassing.append(bson::raw::cstr!("documents"), array(&broken));
    server.run("shop", &bypassing);
    let before = held(&server);
    assert_eq!(before[0].documents, broken);
    let (bytes, _) = At::on(server.port(), "shop").dump().await.unwrap();
    server.run("shop", &rawdoc! { "dropDatabase": 1 });
    for restore in [
        Restore::new(At::on(server.port(), "shop"), bytes.clone()),
        Restore::new(At::on(server.port(), "shop"), bytes).by_swap(),
    ] {
        restore.load().await.unwrap();
        restore.swap().await.unwrap();
        same(&held(&server), &before);
        assert_eq!(refused(&server, "orders", rawdoc! { "_id": 4, "sum": "much" }), Some(121));
    }
    assert_eq!(refused(&server, "orders", rawdoc! { "_id": 4, "sum": 5 }), None);
}

/// Between the reading of the indexes and that of the documents an index can go and twins can come.
#[tokio::test]
async fn twins_under_a_unique_index_fail_the_load_with_what_to_do() {
    let Some(server) = DocumentDb::start() else { return };
    let source = NotMongod::start();
    source.load("shop", "orders", (0..20).map(|n| rawdoc! { "_id": n, "code": n / 2 }));
    let spec = rawdoc! { "key": { "code": 1 }, "name": "by_code", "unique": false };
    crate::support::index(&source, "shop", "orders", spec);
    let (bytes, _) = At::new(&source, "shop").dump().await.unwrap();
    let (from, to) = (b"\"unique\":false", b"\"unique\":true ");
    let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
    let bytes = [&bytes[..place], to, &bytes[place + to.len()..]].concat();
    let restore = Restore::new(At::on(server.port(), "shop"), bytes).by_swap();
    let error = restore.load().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.operation().contains("indexes of"), "{error}");
    assert!(error.mend().unwrap().contains("unique"), "{error}");
    restore.drop_aside().await.unwrap();
    assert!(held(&server).is_empty());
}

#[tokio::test]
async fn an_exchange_by_renaming_keeps_indexes_and_views_and_drops_the_rest() {
    let Some(server) = DocumentDb::start() else { return };
    indexed(&server);
    server.run(
        "shop",
        &rawdoc! { "create": "dear", "viewOn": "orders", "pipeline": [{ "$match": { "state": 1 } }] },
    );
    let healthy = held(&server);
    let (bytes, _) = At::on(server.port(), "shop").dump().await.unwrap();
    server.run("shop", &rawdoc! { "drop": "orders" });
    insert(&server, "orders", &[rawdoc! { "_id": 1, "sum": "nothing" }]);
    insert(&server, "written_since", &[rawdoc! { "_id": 1 }]);
    let before = held(&server);
    let restore = Restore::new(At::on(server.port(), "shop"), bytes).by_swap();
    restore.load().await.unwrap();
    assert!(restore.survey().await.present.aside);
    let own = held(&server).into_iter().filter(|held| !held.name.starts_with("respaldo_loading_"));
    same(&own.collect::<Vec<_>>(), &before);
    assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::No);
    restore.drop_aside().await.unwrap();
    same(&held(&server), &before);
    restore.load().await.unwrap();
    restore.swap().await.unwrap();
    same(&held(&server), &healthy);
    assert_eq!(restore.was_swapped().await.unwrap(), WasSwapped::Yes);
    assert_eq!(refused(&server, "orders", rawdoc! { "code": "c7" }), Some(11000));
}

#[tokio::test]
async fn what_takes_many_batches_is_read_whole() {
    let Some(server) = DocumentDb::start() else { return };
    let long = "x".repeat(1_000);
    let documents: Vec<_> = (0..2_500).map(|n| rawdoc! { "_id": n, "text": long.as_str() }).collect();
    for documents in documents.chunks(500) {
        insert(&server, "large", documents);
    }
    let (bytes, seen) = At::on(server.port(), "shop").dump().await.unwrap();
    assert_eq!(seen.fingerprint.0["large"].rows, 2_500);
    assert!(server.count("getMore") > 0);
    let loaded = Restore::new(At::on(server.port(), "copy"), bytes).load().await.unwrap();
    assert_eq!(loaded.observed.fingerprint, seen.fingerprint);
    let (_, again) = At::on(server.port(), "copy").dump().await.unwrap();
    assert_eq!(again.fingerprint, seen.fingerprint);
}

/// What it cannot make fails by name, and what was there stays.
#[tokio::test]
async fn a_collection_that_the_server_does_not_take_fails_a_restore_aside_and_nothing_is_changed() {
    let Some(server) = DocumentDb::start() else { return };
    insert(&server, "orders", &[rawdoc! { "_id": 1 }]);
    let before = held(&server);
    for options in [
        rawdoc! { "create": "odd", "capped": true, "size": 4096 },
        rawdoc! { "create": "odd", "collation": { "locale": "es" } },
    ] {
        let source = NotMongod::start();
        source.run("shop", &options);
        let (bytes, _) = At::new(&source, "shop").dump().await.unwrap();
        let restore = Restore::new(At::on(server.port(), "shop"), bytes).by_swap();
        let error = restore.load().await.unwrap_err();
        assert!(error.operation().contains("odd"), "{error}");
        assert!(error.mend().unwrap().contains("options"), "{error}");
        restore.drop_aside().await.unwrap();
        same(&held(&server), &before);
    }
}

#[tokio::test]
async fn values_of_every_type_come_back_byte_for_byte() {
    let Some(server) = DocumentDb::start() else { return };
    let source = NotMongod::start();
    Museum::default().fill(&source, "museum");
    let (bytes, _) = At::new(&source, "museum").dump().await.unwrap();
    let chosen = ["values", "ids"];
    Restore::new(At::on(server.port(), "museum"), bytes).only(&chosen).load().await.unwrap();
    for name in chosen {
        let (now, mut before) = (server.documents("museum", name), source.documents("museum", name));
        before.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        assert_eq!(now.len(), before.len(), "{name}");
        for (now, before) in now.iter().zip(&before) {
            assert_eq!(now, before, "{name}");
        }
    }
}
