//! What the writer refuses, and what it allows.

use bson::doc;
use respaldo_core::ErrorKind;
use respaldo_core::engine::mongodb::archive::{Header, WRITE_LIMIT, Writer};

use crate::support::{bytes, collection, header, read, written};

fn writer() -> Writer<Vec<u8>> {
    let declared = [collection("shop", "orders"), collection("shop", "people")];
    Writer::new(Vec::new(), &header(), &declared).unwrap()
}

#[test]
fn documents_come_back_in_the_order_of_the_stream() {
    let declared = vec![collection("shop", "orders"), collection("shop", "people")];
    let documents = vec![
        (0, bytes(&doc! { "_id": 1, "a": "x" })),
        (1, bytes(&doc! { "_id": 1 })),
        (0, bytes(&doc! { "_id": 2 })),
    ];
    let archive = written(&header(), &declared, &documents);
    assert_eq!(read(&archive).unwrap(), (header(), declared, documents));
}

#[test]
fn bytes_that_are_no_document_are_refused_before_anything_is_written() {
    let mut writer = writer();
    let before = writer.get_mut().len();
    let mut unclosed = bytes(&doc! { "_id": 1 });
    *unclosed.last_mut().unwrap() = 1;
    for wrong in [&[][..], &[4, 0, 0, 0], &[6, 0, 0, 0, 0], &[5, 0, 0, 0, 0, 0], &unclosed] {
        let error = writer.document(0, wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("shop.orders"), "{error}");
    }
    assert_eq!(writer.get_mut().len(), before);
}

#[test]
fn a_document_that_mongorestore_could_not_read_is_refused() {
    let mut writer = writer();
    let mut document = vec![0; WRITE_LIMIT];
    document[..4].copy_from_slice(&u32::try_from(WRITE_LIMIT).unwrap().to_le_bytes());
    writer.document(0, &document).unwrap();
    document.push(0);
    document[..4].copy_from_slice(&u32::try_from(WRITE_LIMIT + 1).unwrap().to_le_bytes());
    let error = writer.document(0, &document).unwrap_err();
    assert!(error.message().contains("16777217 bytes") && error.message().contains("16777216"), "{error}");
}

#[test]
fn a_collection_that_was_not_declared_or_has_ended_takes_nothing() {
    let mut writer = writer();
    let document = bytes(&doc! {});
    writer.end(1).unwrap();
    for at in [1, 2] {
        assert_eq!(writer.document(at, &document).unwrap_err().kind(), ErrorKind::Internal, "{at}");
        assert_eq!(writer.end(at).unwrap_err().kind(), ErrorKind::Internal, "{at}");
    }
}

#[test]
fn an_archive_whose_collections_have_not_all_ended_is_not_finished() {
    let mut writer = writer();
    writer.document(0, &bytes(&doc! {})).unwrap();
    writer.end(1).unwrap();
    let error = writer.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    assert!(error.message().contains("shop.orders, after 1 document"), "{error}");
}

#[test]
fn a_prelude_that_could_not_be_read_again_is_refused() {
    let twice = [collection("shop", "orders"), collection("shop", "orders")];
    let error = Writer::new(Vec::new(), &header(), &twice).err().unwrap();
    assert!(error.message().contains("shop.orders twice"), "{error}");
    let other = Header { format_version: "0.2".to_owned(), ..header() };
    assert!(Writer::new(Vec::new(), &other, &[]).is_err());
}

#[test]
fn more_collections_than_the_header_tells_are_not_mixed() {
    let declared = [collection("shop", "orders"), collection("shop", "people"), collection("shop", "empty")];
    let two = Header { concurrent_collections: 2, ..header() };
    let mut writer = Writer::new(Vec::new(), &two, &declared).unwrap();
    let document = bytes(&doc! {});
    for at in [0, 1, 0, 1] {
        writer.document(at, &document).unwrap();
    }
    let error = writer.document(2, &document).unwrap_err();
    assert!(error.message().contains("more than 2 collections"), "{error}");
    writer.end(0).unwrap();
    writer.document(2, &document).unwrap();
}
