//! What no `mongodump` wrote: each is refused by an error that says what is wrong.

use bson::{Document, doc};
use respaldo_core::ErrorKind;
use respaldo_core::engine::mongodb::archive::{MAGIC, MAX_NAMESPACES, Namespace};
use rstest::rstest;

use crate::support::{bytes, collection, golden, header, observed, read, written};

const END: [u8; 4] = [0xff; 4];

fn head() -> Document {
    doc! { "concurrent_collections": 1, "version": "0.1", "server_version": "7.0.14", "tool_version": "100.10.0" }
}

fn declares(database: &str, collection: &str) -> Document {
    doc! { "db": database, "collection": collection, "metadata": "", "size": 0, "type": "collection" }
}

fn block(database: &str, collection: &str, end: Option<i64>) -> Document {
    doc! { "db": database, "collection": collection, "EOF": end.is_some(), "CRC": end.unwrap_or(0) }
}

/// A part of an archive.
enum Part {
    Document(Document),
    End,
    Bytes(Vec<u8>),
}
use Part::{Bytes, End};

impl From<Document> for Part {
    fn from(document: Document) -> Self {
        Self::Document(document)
    }
}

/// An archive of these parts behind the magic number.
fn archive(parts: Vec<Part>) -> Vec<u8> {
    let mut archive = MAGIC.to_vec();
    for part in parts {
        match part {
            Part::Document(document) => archive.extend(bytes(&document)),
            End => archive.extend(END),
            Bytes(bytes) => archive.extend(bytes),
        }
    }
    archive
}

/// Why both, the observer and the reader, refuse it.
fn refused(archive: &[u8]) -> String {
    let errors: Vec<_> =
        [1, 5, archive.len().max(1)].map(|piece| observed(archive, piece).unwrap_err()).into();
    let by_reader = read(archive).unwrap_err();
    for error in &errors {
        assert_eq!(error, &by_reader);
    }
    assert_eq!(by_reader.kind(), ErrorKind::Invalid, "{by_reader}");
    assert!(by_reader.to_string().len() < 600 && !by_reader.to_string().contains('\n'), "{by_reader}");
    by_reader.to_string()
}

#[test]
fn what_is_no_archive_is_told_at_its_first_bytes() {
    for text in ["-- PostgreSQL database dump", "SQLite format 3\0", "{}", "mongo"] {
        assert!(refused(text.as_bytes()).contains("does not begin as an archive of mongodump"), "{text}");
    }
    assert!(refused(b"\x1f\x8b\x08\x00").contains("seems to be packed by gzip"));
    assert_eq!(observed(b"", 1).unwrap_err().kind(), ErrorKind::Incomplete);
}

#[rstest]
#[case::no_header(vec![End], "an end at its beginning where nothing began")]
#[case::version(vec![doc! { "version": "0.2" }.into()], "of format \"0.2\", and only \"0.1\" is known")]
#[case::no_version(vec![doc! {}.into()], "of format \"\"")]
#[case::version_type(vec![doc! { "version": 1 }.into()], "its field version has a wrong type")]
#[case::name_type(vec![head().into(), doc! { "db": 1, "collection": "a" }.into()], "its field db has a wrong type")]
#[case::no_name(vec![head().into(), doc! { "db": "a" }.into()], "it has no field collection")]
#[case::size(vec![head().into(), doc! { "db": "a", "collection": "b", "size": -1 }.into()], "field size has a wrong")]
#[case::json(
    vec![head().into(), doc! { "db": "a", "collection": "b", "metadata": "{\"{\"a\"}" }.into()],
    "the metadata of a.b cannot be read: metadata: it is no JSON"
)]
#[case::deep_json(
    vec![head().into(), doc! { "db": "a", "collection": "b", "metadata": "[".repeat(100_000) }.into()],
    "recursion limit"
)]
#[case::twice(
    vec![head().into(), declares("a", "b").into(), declares("a", "b").into()], "declares a.b twice"
)]
#[case::headerless(
    vec![head().into(), declares("a", "b").into(), End, End], "an end between its blocks where nothing began"
)]
#[case::undeclared(
    vec![head().into(), declares("a", "b").into(), End, block("a", "c", None).into()],
    "holds a.c, which it does not declare"
)]
#[case::ended_undeclared(
    vec![head().into(), End, block("a", "c", Some(0)).into()], "holds a.c, which it does not declare"
)]
#[case::after_its_end(
    vec![head().into(), declares("a", "b").into(), End, block("a", "b", Some(0)).into(), End, block("a", "b", None).into()],
    "goes on with a.b after its end"
)]
#[case::ended_twice(
    vec![head().into(), declares("a", "b").into(), End, block("a", "b", Some(0)).into(), End, block("a", "b", Some(0)).into()],
    "goes on with a.b after its end"
)]
#[case::documents_behind_the_end(
    vec![head().into(), declares("a", "b").into(), End, block("a", "b", Some(0)).into(), doc! {}.into()],
    "documents in a block that ends"
)]
#[case::checksum(
    vec![head().into(), declares("a", "b").into(), End, block("a", "b", Some(1)).into()],
    "checksum is 0000000000000000 instead of 0000000000000001"
)]
#[case::block_field(
    vec![head().into(), declares("a", "b").into(), End, doc! { "db": "a", "collection": "b", "EOF": false, "X": 1 }.into()],
    "it has a field \"X\""
)]
#[case::block_type(
    vec![head().into(), declares("a", "b").into(), End, doc! { "db": "a", "collection": "b", "EOF": 0 }.into()],
    "its field EOF is of a wrong type"
)]
#[case::no_checksum(
    vec![head().into(), declares("a", "b").into(), End, doc! { "db": "a", "collection": "b", "EOF": true }.into()],
    "it has no field CRC"
)]
#[case::garbage_behind(
    vec![head().into(), End, Bytes(b"garbage".to_vec())], "between its blocks that claims 1651663207 bytes"
)]
fn a_broken_rule_is_named(#[case] parts: Vec<Part>, #[case] expected: &str) {
    let message = refused(&archive(parts));
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case::negative(0x8000_0000)]
#[case::nearly_an_end(0xffff_fffe)]
#[case::zero(0)]
#[case::shorter_than_empty(4)]
#[case::huge(0x7fff_ffff)]
#[case::one_too_many(16 * 1024 * 1024 + 16 * 1024 + 1)]
fn a_length_that_no_document_has_is_refused_wherever_it_stands(#[case] length: u32) {
    let word = || Bytes([&length.to_le_bytes()[..], &[0; 64]].concat());
    for (parts, place) in [
        (vec![word()], "at its beginning"),
        (vec![head().into(), word()], "among its declarations"),
        (vec![head().into(), End, word()], "between its blocks"),
        (
            vec![head().into(), declares("a", "b").into(), End, block("a", "b", None).into(), word()],
            "among a collection's",
        ),
    ] {
        let message = refused(&archive(parts));
        assert!(message.contains(place) && message.contains("5 to 167"), "{message}");
    }
}

#[test]
fn a_length_beyond_the_document_s_own_end_is_refused() {
    let mut document = bytes(&doc! { "_id": -1 });
    document[0] -= 1;
    let parts =
        vec![head().into(), declares("a", "b").into(), End, block("a", "b", None).into(), Bytes(document)];
    let message = refused(&archive(parts));
    assert!(message.contains("does not end where it says"), "{message}");
    // A text inside the header that claims more than the header has.
    let mut header = bytes(&head());
    let at = header.windows(8).position(|bytes| bytes == b"version\0").unwrap() + 8;
    header[at] = 0xff;
    assert!(refused(&archive(vec![Bytes(header)])).contains("the archive's header cannot be read"));
}

#[test]
fn text_that_is_not_utf_8_is_refused_in_names_and_left_alone_in_documents() {
    let mut declared = bytes(&declares("a", "bcd"));
    let at = declared.windows(4).position(|bytes| bytes == b"bcd\0").unwrap();
    declared[at] = 0xff;
    let message = refused(&archive(vec![head().into(), Bytes(declared)]));
    assert!(message.contains("declaration of a collection cannot be read"), "{message}");

    let mut document = bytes(&doc! { "name": "bcd" });
    let at = document.windows(4).position(|bytes| bytes == b"bcd\0").unwrap();
    document[at] = 0xff;
    let archive = written(&header(), &[collection("a", "b")], &vec![(0, document.clone())]);
    assert_eq!(read(&archive).unwrap().2, [(0, document)]);
    assert!(observed(&archive, 3).is_ok());
}

#[rstest]
#[case("", "users", "a database cannot be called \"\"")]
#[case("../etc", "passwd", "a database cannot be called \"../etc\"")]
#[case("a.b", "c", "a database cannot be called")]
#[case("a b", "c", "a database cannot be called")]
#[case("$external", "c", "a database cannot be called")]
#[case("a\\b", "c", "a database cannot be called")]
#[case("a\0b", "c", "a database cannot be called")]
#[case("a", "", "a collection cannot be called")]
#[case("a", "../../etc/passwd", "a collection cannot be called")]
#[case("a", ".", "a collection cannot be called")]
#[case("a", "b\0c", "a collection cannot be called")]
fn a_name_that_no_server_has_is_refused(
    #[case] database: &str,
    #[case] collection: &str,
    #[case] expected: &str,
) {
    let message = refused(&archive(vec![head().into(), declares(database, collection).into()]));
    assert!(
        message.contains(expected)
            && message.contains("bytes") | message.contains("hold") | message.contains("oplog"),
        "{message}"
    );
}

#[test]
fn names_have_the_server_s_lengths() {
    assert!(Namespace::new("d".repeat(63), "c").is_ok());
    assert!(Namespace::new("d".repeat(64), "c").is_err());
    assert!(Namespace::new("d", "c".repeat(253)).is_ok());
    assert!(Namespace::new("d", "c".repeat(254)).is_err());
    // A slash and more may stand in a collection's name; what writes files escapes it.
    assert!(Namespace::new("d", "a/../b \u{1f980}$").is_ok());
}

#[test]
fn a_message_shows_a_name_on_one_line_and_cut() {
    let evil = format!("a\n\u{1b}[31m{}", "x".repeat(200));
    let message =
        refused(&archive(vec![head().into(), declares("a", &evil).into(), declares("a", &evil).into()]));
    assert!(message.contains("a.a\\n\\u{1b}[31mxxx"), "{message}");
}

#[test]
fn a_prelude_without_end_is_refused_at_the_stated_number() {
    let mut archive = archive(vec![head().into()]);
    for n in 0..=MAX_NAMESPACES {
        archive.extend(bytes(&declares("a", &n.to_string())));
    }
    let error = observed(&archive, 64 * 1024).unwrap_err();
    assert!(error.message().contains("more than 100,000 collections"), "{error}");
}

#[test]
fn a_prelude_of_too_many_bytes_is_refused() {
    let mut long = declares("a", "b");
    long.insert("metadata", format!("{{\"indexes\":[],\"x\":\"{}\"}}", "x".repeat(4_000_000)));
    let mut archive = archive(vec![head().into()]);
    for n in 0..17 {
        long.insert("collection", n.to_string());
        archive.extend(bytes(&long));
    }
    let error = observed(&archive, 64 * 1024).unwrap_err();
    assert!(error.message().contains("more than 64 MiB"), "{error}");
}

#[test]
fn metadata_that_would_fill_the_memory_is_refused() {
    // Each of its brackets would take ten times its memory.
    let mut long = declares("a", "b");
    long.insert("metadata", format!("{{\"x\":[{}0]}}", "0,".repeat(3 * 1024 * 1024)));
    let message = refused(&archive(vec![head().into(), long.into()]));
    assert!(message.contains("the metadata of a.b has more than 4 MiB"), "{message}");
}

#[test]
fn whatever_byte_of_an_archive_is_changed_nothing_is_lost_unseen() {
    let archive = golden();
    let whole = observed(&archive, 4096).unwrap();
    for at in 0..archive.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = archive.clone();
            changed[at] = value;
            if let Ok(found) = observed(&changed, 4096) {
                let rows: u64 = found.fingerprint.rows();
                assert_eq!(rows, whole.fingerprint.rows(), "byte {at} as {value}");
            }
        }
    }
}
