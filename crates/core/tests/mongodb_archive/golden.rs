//! Archives made by hand, byte by byte, with code that shares nothing with the product's.

use bson::doc;
use respaldo_core::ErrorKind;
use respaldo_core::engine::mongodb::archive::{Declared, Header, Kind, MAGIC, Metadata, Writer};

use crate::support::{bytes, collection, fixture, golden, header, namespace, observed, raw, read, rows};

/// What the archive made by hand declares.
fn declared() -> Vec<Declared> {
    let orders = {
        let mut metadata = collection("shop", "orders").metadata().unwrap().unwrap();
        metadata.options = raw(&doc! { "capped": true, "size": 4096_i64 });
        metadata.indexes.push(raw(&doc! { "v": 2, "key": { "zip": 1, "age": -1 }, "name": "zip_1_age_-1" }));
        Declared::new(namespace("shop", "orders"), Kind::Collection, &metadata).unwrap()
    };
    let cheap = Metadata {
        options: raw(&doc! { "viewOn": "orders", "pipeline": [{ "$match": { "price": { "$lt": 1.5 } } }] }),
        collection_name: Some("cheap".to_owned()),
        kind: Some("view".to_owned()),
        ..Metadata::new()
    };
    let weather = Metadata {
        options: raw(&doc! { "timeseries": { "timeField": "at", "bucketMaxSpanSeconds": 3600 } }),
        uuid: Some("d6b7b0bd5dce41c498aa03f115533254".to_owned()),
        collection_name: Some("weather".to_owned()),
        kind: Some("timeseries".to_owned()),
        ..Metadata::new()
    };
    vec![
        orders,
        collection("shop", "empty"),
        Declared::new(namespace("shop", "cheap"), Kind::View, &cheap).unwrap(),
        Declared::new(namespace("shop", "weather"), Kind::TimeSeries, &weather).unwrap(),
    ]
}

fn documents() -> Vec<(usize, Vec<u8>)> {
    vec![
        (0, bytes(&doc! { "_id": 1, "price": 1.25 })),
        (0, bytes(&doc! { "_id": 2 })),
        (3, bytes(&doc! { "_id": 7 })),
        (0, bytes(&doc! {})),
    ]
}

#[test]
fn the_writer_writes_byte_for_byte_what_the_format_says() {
    let mut writer = Writer::new(Vec::new(), &header(), &declared()).unwrap();
    for (at, document) in documents() {
        writer.document(at, &document).unwrap();
    }
    for at in 0..4 {
        writer.end(at).unwrap();
    }
    let archive = writer.finish().unwrap();
    assert_eq!(hex::encode(archive), hex::encode(golden()));
}

#[test]
fn the_reader_reads_what_was_made_by_hand() {
    let (found, collections, found_documents) = read(&golden()).unwrap();
    assert_eq!(found, header());
    assert_eq!(collections, declared());
    assert_eq!(found_documents, documents());
}

#[test]
fn an_archive_cut_anywhere_is_incomplete_for_observer_and_reader() {
    let archive = golden();
    for end in 0..archive.len() {
        let error = observed(&archive[..end], 64).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "cut at {end}: {error}");
        let error = read(&archive[..end]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "cut at {end}: {error}");
    }
}

#[test]
fn where_its_bytes_are_cut_changes_nothing() {
    let archive = golden();
    let whole = observed(&archive, archive.len()).unwrap();
    for piece in 1..300 {
        assert_eq!(observed(&archive, piece).unwrap(), whole, "pieces of {piece} bytes");
    }
}

#[test]
fn a_flipped_bit_of_a_document_is_found_by_the_checksum() {
    let archive = golden();
    let at = archive.windows(7).position(|bytes| bytes == b"\x01price\0").unwrap() + 8;
    for bit in 0..8 {
        let mut changed = archive.clone();
        changed[at] ^= 1 << bit;
        let error = observed(&changed, 64).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("the documents of shop.orders are not those"), "{error}");
        assert!(error.mend().unwrap().contains("dump again"));
    }
}

#[test]
fn the_archives_of_old_tools_are_read_with_all_that_they_leave_out() {
    let archive = fixture(include_str!("../fixtures/mongodb/server-3.4.hex"));
    let found = observed(&archive, 13).unwrap();
    assert_eq!(
        rows(&found),
        [("admin.system.version", 1), ("oplog", 1), ("test.bar", 2)],
        "a view is no table, and the oplog no collection"
    );
    assert_eq!(found.server_version.as_deref(), Some("3.4.3"));
    assert_eq!(found.tool_version.as_deref(), Some("r3.4.3"));
    let (_, declared, _) = read(&archive).unwrap();
    let kinds: Vec<_> = declared.iter().map(Declared::kind).collect();
    assert_eq!(kinds, [Kind::Collection, Kind::View, Kind::Collection, Kind::Collection]);
    let metadata = declared[0].metadata().unwrap().unwrap();
    let expected = doc! { "v": 1, "key": { "b": -1.0, "a": 1 }, "name": "b_-1_a_1", "ns": "test.bar", "expireAfterSeconds": 3600_i64 };
    assert_eq!(metadata.indexes[1], raw(&expected));
    assert_eq!(declared[3].metadata().unwrap(), None);
    assert!(declared[3].namespace().is_oplog() && declared[2].namespace().is_access());
}

#[test]
fn users_and_roles_count_by_their_names_and_a_new_server_s_time_series_without_buckets() {
    let found = observed(&fixture(include_str!("../fixtures/mongodb/users-8.3.hex")), 64).unwrap();
    let expected = [
        ("$admin.system.roles", 0),
        ("$admin.system.users", 2),
        ("$admin.system.version", 1),
        ("weather", 1),
    ];
    assert_eq!(rows(&found), expected);
}

#[test]
fn time_series_of_servers_before_8_3_keep_their_documents_in_buckets() {
    let declared = &declared()[3];
    for (version, expected) in [
        ("8.2.9", "shop.system.buckets.weather"),
        ("5.0.0-rc0", "shop.system.buckets.weather"),
        ("unknown", "shop.system.buckets.weather"),
        ("8.3", "shop.system.buckets.weather"),
        ("8.3.0-alpha", "shop.weather"),
        ("9.0.0", "shop.weather"),
        ("10.0.0", "shop.weather"),
    ] {
        let header = Header { server_version: version.to_owned(), ..header() };
        assert_eq!(header.data_namespace(declared).unwrap().to_string(), expected, "{version}");
    }
}

#[test]
fn the_checksum_is_the_published_one() {
    let mut digest = crc64fast::Digest::new();
    digest.write(b"123456789");
    assert_eq!(digest.sum64(), 0x995d_c9bb_df19_39fa, "CRC-64/XZ, also known as CRC-64/GO-ECMA");
    assert_eq!(MAGIC, [0x6d, 0xe2, 0x99, 0x81]);
}
