//! What an observer tells of an archive.

use bson::doc;
use respaldo_core::engine::mongodb::archive::{ArchiveObserver, MAX_NAMESPACES, READ_LIMIT};
use respaldo_core::engine::observe::Observer;
use respaldo_core::fingerprint::TableFingerprint;

use crate::support::{bytes, collection, fixture, golden, header, observed, rows, written};

#[test]
fn a_row_is_a_document_byte_by_byte() {
    let found = observed(&golden(), 10).unwrap();
    assert_eq!(rows(&found), [("empty", 0), ("orders", 3), ("weather", 1)], "a view is no table");
    let mut expected = TableFingerprint::default();
    for document in [doc! {}, doc! { "_id": 1, "price": 1.25 }, doc! { "_id": 2 }] {
        expected.add_row(&bytes(&document));
    }
    assert_eq!(found.fingerprint.0["orders"], expected);
}

#[test]
fn the_documents_of_the_page_hash_as_it_says() {
    let page = include_str!("../../../../docs/mongodb-archive.md");
    let example = |name: &str| {
        let (_, after) = page.split_once(&format!("<!-- example: {name} -->\n```text\n")).unwrap();
        after.split_once("\n```").unwrap().0
    };
    let documents = example("documents").lines().map(|line| (0, hex::decode(line).unwrap())).collect();
    let archive = written(&header(), &[collection("shop", "orders")], &documents);
    let found = observed(&archive, 64).unwrap().fingerprint;
    assert_eq!(format!("{:032x}", found.0["orders"].hash), example("documents hash"));
}

#[test]
fn a_table_of_a_dump_of_several_databases_is_named_with_its_database() {
    let declared = [collection("a", "same"), collection("b", "same"), collection("b", "a.b")];
    let archive = written(&header(), &declared, &vec![(1, bytes(&doc! {}))]);
    assert_eq!(rows(&observed(&archive, 64).unwrap()), [("a.same", 0), ("b.a.b", 0), ("b.same", 1)]);
}

#[test]
fn an_archive_of_an_empty_database_is_whole_and_holds_nothing() {
    let archive = written(&header(), &[], &vec![]);
    let found = observed(&archive, 64).unwrap();
    assert_eq!(rows(&found), []);
    assert_eq!(found.server_version.as_deref(), Some("7.0.14"));
    assert_eq!(found.tool_version.as_deref(), Some("100.10.0"));
}

#[test]
fn a_document_of_the_server_s_own_limit_passes_in_pieces() {
    let declared = [collection("local", "oplog.rs")];
    let small = bytes(&doc! { "_id": 1 });
    // The writer refuses what mongorestore cannot read, so the long one is put into its output by hand.
    let mut long = vec![0; READ_LIMIT];
    long[..4].copy_from_slice(&u32::try_from(READ_LIMIT).unwrap().to_le_bytes());
    let archive = written(&header(), &declared, &vec![(0, small.clone())]);
    let at = archive.windows(small.len()).position(|bytes| bytes == small).unwrap();
    let mut sum = crc64fast::Digest::new();
    sum.write(&long);
    let mut changed = archive[..at].to_vec();
    changed.extend_from_slice(&long);
    changed.extend_from_slice(&archive[at + small.len()..]);
    let crc = changed.len() - 4 - 1 - 8;
    changed[crc..crc + 8].copy_from_slice(&sum.sum64().to_le_bytes());
    let found = observed(&changed, 1000).unwrap();
    let mut expected = TableFingerprint::default();
    expected.add_row(&long);
    assert_eq!(found.fingerprint.0["oplog.rs"], expected);
}

#[test]
fn an_archive_of_very_many_collections_is_watched() {
    let declared: Vec<_> = (0..20_000).map(|n| collection("shop", &format!("c{n}"))).collect();
    let archive = written(&header(), &declared, &vec![]);
    assert_eq!(observed(&archive, 64 * 1024).unwrap().fingerprint.0.len(), 20_000);
    const { assert!(20_000 < MAX_NAMESPACES) }
}

#[test]
fn after_a_refusal_every_call_answers_the_same() {
    let mut observer = Box::new(ArchiveObserver::new());
    let error = observer.feed(b"-- MySQL dump").unwrap_err();
    assert_eq!(observer.feed(&golden()).unwrap_err(), error);
    assert_eq!(observer.finish().unwrap_err(), error);
}

#[test]
fn an_uploaded_archive_holds_one_database() {
    let watched = |archive: &[u8]| {
        let mut observer = Box::new(ArchiveObserver::foreign());
        observer.feed(archive)?;
        observer.finish()
    };
    assert_eq!(watched(&golden()).unwrap(), observed(&golden(), 64).unwrap());
    let two = written(&header(), &[collection("a", "x"), collection("b", "x")], &vec![]);
    let error = watched(&two).unwrap_err();
    assert!(error.message().contains("several databases") && error.message().contains("a, b"), "{error}");
    assert!(error.mend().unwrap().contains("--db"));
    let users = fixture(include_str!("../fixtures/mongodb/users-8.3.hex"));
    assert!(watched(&users).is_ok(), "users of the one database belong to it");
    assert!(watched(&fixture(include_str!("../fixtures/mongodb/server-3.4.hex"))).is_err());
}
