//! Collections of every kind, views, time series.

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::{DateTime, RawArrayBuf, RawBson, RawDocumentBuf, RawJavaScriptCodeWithScope, rawdoc};

use super::super::NotMongod;
use super::run;

/// Names that folders, command lines and templates choke on. The last fills a namespace of 255 bytes in `museum`.
fn hostile_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "dots.and.more",
        "Case",
        "case",
        "with space ",
        "a/../../etc/passwd",
        "/root",
        "back\\slash",
        "quotes'\"`",
        "-dash",
        "percent%2F%00",
        "новая база 🦀",
        "e\u{301}",
        "é",
        "line\nbreak",
        "*",
        "CON",
        "system",
        "a.metadata.json",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(255 - "museum.".len()));
    names
}

pub(super) fn fill(server: &NotMongod, database: &str) {
    for name in hostile_names().into_iter().filter(|name| database.len() + 1 + name.len() <= 255) {
        let document = rawdoc! { "_id": 1, "of": name.as_str() };
        server.load(database, &name, [document]);
    }
    options(server, database);
    functions(server, database);
    views(server, database);
    time_series(server, database);
}

fn options(server: &NotMongod, database: &str) {
    let create = |command: RawDocumentBuf| run(server, database, &command);
    create(rawdoc! { "create": "empty" });
    create(rawdoc! { "create": "capped", "capped": true, "size": 4096, "max": 10_i64 });
    server.load(database, "capped", (0..25).map(|n| rawdoc! { "_id": 100 - n, "n": n }));
    let schema = rawdoc! { "$jsonSchema": {
        "bsonType": "object",
        "required": ["name"],
        "properties": { "name": { "bsonType": "string" }, "a.b": { "bsonType": ["int", "null"] } },
    } };
    create(rawdoc! { "create": "validated", "validator": schema });
    // Older than the validator.
    server.load(
        database,
        "validated",
        [rawdoc! { "_id": 1, "name": "fits" }, rawdoc! { "_id": 2, "name": 3 }],
    );
    create(rawdoc! { "create": "warned", "validator": { "n": { "$gt": 0 } }, "validationAction": "warn" });
    server.load(database, "warned", [rawdoc! { "_id": 1, "n": -1 }]);
    create(
        rawdoc! { "create": "moderate", "validator": { "n": { "$exists": true } }, "validationLevel": "moderate" },
    );
    server.load(database, "moderate", [rawdoc! { "_id": 1 }]);
    create(rawdoc! {
        "create": "collated",
        "collation": { "locale": "fr", "strength": 2, "numericOrdering": true, "backwards": true },
    });
    server.load(database, "collated", ["côte", "Cote", "10", "9"].map(|word| rawdoc! { "_id": word }));
    create(rawdoc! {
        "create": "clustered",
        "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "the cluster's key" },
        "expireAfterSeconds": 9_999_999_999_i64,
    });
    server.load(database, "clustered", (0..5).map(|n| rawdoc! { "_id": DateTime::from_millis(n * 1000) }));
    create(rawdoc! { "create": "images", "changeStreamPreAndPostImages": { "enabled": true } });
    server.load(database, "images", [rawdoc! { "_id": 1 }]);
}

fn functions(server: &NotMongod, database: &str) {
    let plain =
        rawdoc! { "_id": "plain", "value": RawBson::JavaScriptCode("function (x) { return x; }".to_owned()) };
    let scope = RawJavaScriptCodeWithScope { code: "return y;".to_owned(), scope: rawdoc! { "y": 1 } };
    let scoped = rawdoc! { "_id": "scoped", "value": RawBson::JavaScriptCodeWithScope(scope) };
    server.load(database, "system.js", [plain, scoped]);
}

fn views(server: &NotMongod, database: &str) {
    let create = |command: RawDocumentBuf| run(server, database, &command);
    create(rawdoc! { "create": "view_of_all", "viewOn": "capped", "pipeline": [] });
    create(rawdoc! {
        "create": "a_view_on_a_view",
        "viewOn": "view_of_some",
        "pipeline": [{ "$project": { "_id": 0, "n": 1, "$literal": "x" } }],
    });
    create(
        rawdoc! { "create": "view_of_some", "viewOn": "capped", "pipeline": [{ "$match": { "n": { "$gt": 20 } } }] },
    );
    create(rawdoc! {
        "create": "collated_view",
        "viewOn": "collated",
        "pipeline": [],
        "collation": { "locale": "fr", "strength": 2, "numericOrdering": true, "backwards": true },
    });
    create(rawdoc! { "create": "view_of_nothing", "viewOn": "never made", "pipeline": [] });
}

fn time_series(server: &NotMongod, database: &str) {
    let create = |command: RawDocumentBuf| run(server, database, &command);
    create(rawdoc! {
        "create": "weather",
        "timeseries": { "timeField": "at", "metaField": "station", "granularity": "hours" },
        "expireAfterSeconds": 99_999_999_i64,
    });
    server.load(database, "system.buckets.weather", (0..20).map(|n| bucket(n, Some("Zürich"))));
    create(rawdoc! { "create": "plain_series", "timeseries": { "timeField": "at" } });
    server.load(database, "system.buckets.plain_series", (0..2).map(|n| bucket(n, None)));
    create(
        rawdoc! { "create": "no_series_yet", "timeseries": { "timeField": "at", "bucketMaxSpanSeconds": 3600 } },
    );
}

/// Three measurements of one station and hour, as a mongod keeps them.
fn bucket(n: u8, station: Option<&str>) -> RawDocumentBuf {
    let start = i64::from(n) * 3_600_000;
    let at = |k: i64| DateTime::from_millis(start + k * 60_000);
    let mut id = [0; 12];
    id[..4].copy_from_slice(&u32::try_from(start / 1000).expect("it is 1970").to_be_bytes());
    id[11] = n;
    let measurement = |k: u8| ObjectId::from_bytes([k; 12]);
    let mut bucket = rawdoc! {
        "_id": ObjectId::from_bytes(id),
        "control": {
            "version": 1,
            "min": { "_id": measurement(0), "at": DateTime::from_millis(start), "t": -1.5 },
            "max": { "_id": measurement(2), "at": at(2), "t": f64::INFINITY },
        },
    };
    if let Some(station) = station {
        bucket.append(cstr!("meta"), station);
    }
    bucket.append(
        cstr!("data"),
        rawdoc! {
            "_id": { "0": measurement(0), "1": measurement(1), "2": measurement(2) },
            "at": { "0": at(0), "1": at(1), "2": at(2) },
            "t": { "0": -1.5, "2": f64::INFINITY },
        },
    );
    bucket
}

/// An array of documents.
pub(super) fn array(documents: impl IntoIterator<Item = RawDocumentBuf>) -> RawArrayBuf {
    documents.into_iter().collect()
}
