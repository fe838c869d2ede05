//! Archives to test with.

use bson::{Document, RawDocumentBuf};
use respaldo_core::Result;
use respaldo_core::engine::Observed;
use respaldo_core::engine::mongodb::archive::{
    ArchiveObserver, Declared, Entry, Header, Kind, Metadata, Namespace, Reader, Writer,
};
use respaldo_core::engine::observe::Observer;

/// Documents with the place of their collection, in the order of an archive.
pub(crate) type Documents = Vec<(usize, Vec<u8>)>;

pub(crate) fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).expect("a document")
}

pub(crate) fn bytes(document: &Document) -> Vec<u8> {
    raw(document).into_bytes()
}

pub(crate) fn header() -> Header {
    Header { concurrent_collections: 4, ..Header::new("7.0.14", "100.10.0") }
}

pub(crate) fn namespace(database: &str, collection: &str) -> Namespace {
    Namespace::new(database, collection).expect("a namespace")
}

/// A collection with the index that each has.
pub(crate) fn collection(database: &str, name: &str) -> Declared {
    let metadata = Metadata {
        indexes: vec![raw(&bson::doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" })],
        uuid: Some("d6b7b0bd5dce41c498aa03f115533254".to_owned()),
        collection_name: Some(name.to_owned()),
        kind: Some("collection".to_owned()),
        ..Metadata::new()
    };
    Declared::new(namespace(database, name), Kind::Collection, &metadata).expect("a declaration")
}

/// An archive with these documents in this order.
pub(crate) fn written(header: &Header, declared: &[Declared], documents: &Documents) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), header, declared).expect("a prelude");
    for (at, document) in documents {
        writer.document(*at, document).expect("a document");
    }
    for at in 0..declared.len() {
        writer.end(at).expect("an end");
    }
    writer.finish().expect("an archive")
}

/// Everything that a restore reads.
pub(crate) fn read(archive: &[u8]) -> Result<(Header, Vec<Declared>, Documents)> {
    let mut reader = Reader::new(archive)?;
    let mut documents = Vec::new();
    while let Some(entry) = reader.next()? {
        if let Entry::Document { at, bytes } = entry {
            documents.push((at, bytes.to_vec()));
        }
    }
    Ok((reader.header().clone(), reader.declared().to_vec(), documents))
}

/// What an observer finds that is fed pieces of that size.
pub(crate) fn observed(archive: &[u8], piece: usize) -> Result<Observed> {
    let mut observer = Box::new(ArchiveObserver::new());
    for piece in archive.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish()
}

/// The bytes of an archive that was made by hand: hexadecimal, with comments.
pub(crate) fn fixture(text: &str) -> Vec<u8> {
    let digits = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    hex::decode(digits.collect::<String>()).expect("hexadecimal digits")
}

/// What our writer is to write.
pub(crate) fn golden() -> Vec<u8> {
    fixture(include_str!("../fixtures/mongodb/written.hex"))
}

/// Rows by table.
pub(crate) fn rows(found: &Observed) -> Vec<(&str, u64)> {
    found.fingerprint.0.iter().map(|(name, table)| (name.as_str(), table.rows)).collect()
}
