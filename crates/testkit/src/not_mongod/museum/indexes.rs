//! Indexes of every kind.

use bson::{RawDocumentBuf, rawdoc};

use super::super::NotMongod;
use super::run;
use super::shapes::array;

/// Builds one index.
pub(super) fn create(server: &NotMongod, database: &str, collection: &str, spec: RawDocumentBuf) {
    run(server, database, &rawdoc! { "createIndexes": collection, "indexes": array([spec]) });
}

pub(super) fn fill(server: &NotMongod, database: &str) {
    plain(server, database);
    unique(server, database);
    special(server, database);
}

fn plain(server: &NotMongod, database: &str) {
    let create = |spec| create(server, database, "indexed", spec);
    server.load(database, "indexed", (0..10).map(|n| rawdoc! { "_id": n, "a": n, "b": { "c": [n, n + 1] } }));
    // The order of the keys matters, and no map sorted by name keeps it.
    create(rawdoc! { "key": { "z": 1, "a": -1, "m.n": 1 }, "name": "z_1_a_-1_m.n_1" });
    create(rawdoc! { "key": { "b.c": 1.0 }, "name": "many", "hidden": true });
    create(rawdoc! { "key": { "a": 1_i64 }, "name": "sparse", "sparse": true, "background": true });
    create(rawdoc! { "key": { "at": 1 }, "name": "ttl", "expireAfterSeconds": 0 });
    create(
        rawdoc! { "key": { "later": 1 }, "name": "ttl with a fraction", "expireAfterSeconds": 2_147_483_647_i64 },
    );
    create(rawdoc! {
        "key": { "p": 1 }, "name": "partial",
        "partialFilterExpression": { "p": { "$gt": 5, "$type": "int" }, "q": { "$exists": true } },
    });
    create(
        rawdoc! { "key": { "a": 1 }, "name": "a in German", "collation": { "locale": "de", "strength": 1 } },
    );
    create(rawdoc! { "key": { "h": "hashed" }, "name": "hashed" });
    create(rawdoc! { "key": { "a": 1, "h": "hashed" }, "name": "a and hashed" });
    create(rawdoc! { "key": { "ümlaut ключ": 1 }, "name": "name with \"quotes\" and ключ" });
    create(rawdoc! { "key": { "old": 1 }, "name": "old", "v": 1 });
    create(
        rawdoc! { "key": { "stored": 1 }, "name": "storage", "storageEngine": { "wiredTiger": { "configString": "" } } },
    );
}

fn unique(server: &NotMongod, database: &str) {
    let create = |spec| create(server, database, "unique", spec);
    let document = |n: i32| rawdoc! { "_id": n, "u": format!("u{n}"), "v": [n * 2, n * 2 + 1] };
    server.load(database, "unique", (0..10).map(document));
    create(rawdoc! { "key": { "u": 1 }, "name": "u_1", "unique": true });
    create(rawdoc! { "key": { "v": 1 }, "name": "v_1", "unique": true });
    create(rawdoc! { "key": { "w": -1 }, "name": "w_-1", "unique": true, "sparse": true });
    create(rawdoc! {
        "key": { "u": 1, "p": 1 }, "name": "u_1_p_1", "unique": true,
        "partialFilterExpression": { "p": { "$exists": true } },
    });
}

fn special(server: &NotMongod, database: &str) {
    let on = |collection, spec| create(server, database, collection, spec);
    server.load(database, "texts", [rawdoc! { "_id": 1, "title": "backup", "body": "proof", "lang": "de" }]);
    on(
        "texts",
        rawdoc! {
            "key": { "a": 1, "title": "text", "body": "text", "z": -1 }, "name": "words",
            "weights": { "title": 10 }, "default_language": "german", "language_override": "lang",
        },
    );
    let point = rawdoc! { "type": "Point", "coordinates": [8.54, 47.37] };
    server.load(database, "places", [rawdoc! { "_id": 1, "at": point }]);
    on("places", rawdoc! { "key": { "at": "2dsphere", "kind": 1 }, "name": "sphere" });
    on("places", rawdoc! { "key": { "old": "2dsphere" }, "name": "old sphere", "2dsphereIndexVersion": 2 });
    server.load(database, "flat_places", [rawdoc! { "_id": 1, "at": [1.0, 2.0] }]);
    on(
        "flat_places",
        rawdoc! { "key": { "at": "2d" }, "name": "flat", "min": -500.5, "max": 500.5, "bits": 30 },
    );
    server.load(database, "wild", [rawdoc! { "_id": 1, "any": { "thing": 1 } }]);
    on(
        "wild",
        rawdoc! { "key": { "$**": 1 }, "name": "all", "wildcardProjection": { "any.thing": 1, "_id": 0 } },
    );
    on("wild", rawdoc! { "key": { "any.$**": 1 }, "name": "below any" });
    // A collation of the collection's own, and indexes with another and with none.
    on("collated", rawdoc! { "key": { "a": 1 }, "name": "own" });
    on("collated", rawdoc! { "key": { "a": 1 }, "name": "none", "collation": { "locale": "simple" } });
    on("collated", rawdoc! { "key": { "a": 1 }, "name": "other", "collation": { "locale": "sv" } });
    on("capped", rawdoc! { "key": { "n": 1 }, "name": "n_1" });
    on("weather", rawdoc! { "key": { "station": 1, "t": -1 }, "name": "station and t" });
}
