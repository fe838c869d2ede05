//! Custom-format archives made by hand: versions that no tool here writes, and hostile ones.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::engine::postgres::{CustomObserver, LARGE_OBJECTS};
use respaldo_core::{Error, ErrorKind, Result};

/// Writes an archive of a minor version.
struct Archive {
    minor: u8,
    bytes: Vec<u8>,
}

/// One entry: its number, whether it has data, tag, description, `COPY` statement, schema, offset.
type Entry<'a> = (i32, bool, &'a str, &'a str, Option<&'a str>, Option<&'a str>, Option<u64>);

const ORDERS: Entry =
    (10, true, "orders", "TABLE DATA", Some("COPY public.orders (id) FROM stdin;\n"), Some("public"), None);
const OBJECTS: Entry = (11, true, "BLOBS", "BLOBS", None, None, None);
const SCHEMA: Entry = (5, false, "orders", "TABLE", None, Some("public"), None);

impl Archive {
    fn new(minor: u8, entries: &[Entry]) -> Self {
        let mut archive = Self { minor, bytes: b"PGDMP\x01".to_vec() };
        archive.bytes.extend_from_slice(&[minor, 0, 4, 8, 1]);
        if minor >= 15 {
            archive.bytes.push(0);
        } else {
            archive.int(0);
        }
        for part in [1, 2, 3, 4, 5, 126, 0] {
            archive.int(part);
        }
        for text in ["db", "9.6.24", "9.6.24"] {
            archive.text(Some(text));
        }
        archive.int(i32::try_from(entries.len()).unwrap());
        for entry in entries {
            archive.entry(*entry);
        }
        archive
    }

    fn int(&mut self, value: i32) -> &mut Self {
        self.bytes.push(u8::from(value < 0));
        self.bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes());
        self
    }

    fn text(&mut self, text: Option<&str>) {
        self.int(text.map_or(-1, |text| i32::try_from(text.len()).unwrap()));
        self.bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }

    fn entry(&mut self, (id, data, tag, description, copy, schema, offset): Entry) {
        self.int(id).int(data.into());
        for text in [Some("1259"), Some("16384"), Some(tag), Some(description)] {
            self.text(text);
        }
        self.int(3);
        for text in [Some("definition"), None, copy, schema, Some("")] {
            self.text(text);
        }
        if self.minor >= 14 {
            self.text(Some("heap"));
        }
        if self.minor >= 16 {
            self.int(114);
        }
        for text in [Some("owner"), Some("false"), Some("5"), Some("6"), None] {
            self.text(text);
        }
        self.bytes.push(if !data {
            3
        } else if offset.is_some() {
            2
        } else {
            1
        });
        self.bytes.extend_from_slice(&offset.unwrap_or_default().to_le_bytes());
    }

    fn block(mut self, kind: u8, id: i32) -> Self {
        self.bytes.push(kind);
        self.int(id);
        self
    }

    fn piece(mut self, data: &[u8]) -> Self {
        self.int(i32::try_from(data.len()).unwrap());
        self.bytes.extend_from_slice(data);
        self
    }

    fn value(mut self, value: i32) -> Self {
        self.int(value);
        self
    }

    fn orders(self) -> Self {
        self.block(1, 10).piece(b"1\n").piece(b"2\n").piece(b"\\.\n\n\n").value(0)
    }

    fn objects(self) -> Self {
        self.block(3, 11).value(7).piece(b"ab").piece(b"c").value(0).value(-1_294_967_295).value(0).value(0)
    }

    fn whole(minor: u8) -> Self {
        Self::new(minor, &[SCHEMA, ORDERS, OBJECTS]).objects().orders()
    }
}

fn observe(bytes: &[u8], piece: usize) -> Result<Observed> {
    let mut observer = Box::new(CustomObserver::new());
    for piece in bytes.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish()
}

fn refusal(archive: &Archive) -> Error {
    observe(&archive.bytes, 64).expect_err("a wrong archive was accepted")
}

#[test]
fn every_archive_version_from_1_12_to_1_16_gives_the_same_fingerprint() {
    let expected = observe(&Archive::whole(12).bytes, 1000).unwrap();
    assert_eq!(expected.fingerprint.0["public.orders"].rows, 2);
    assert_eq!(expected.fingerprint.0[LARGE_OBJECTS].rows, 2);
    assert_eq!(expected.server_version.as_deref(), Some("9.6.24"));
    for minor in 12..=16 {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(
                observe(&Archive::whole(minor).bytes, piece).unwrap(),
                expected,
                "1.{minor} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn other_versions_are_refused_by_their_number() {
    for minor in [11, 17] {
        let error = refusal(&Archive::whole(minor));
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(&format!("1.{minor}")), "{error}");
    }
}

#[test]
fn a_table_named_without_its_schema_gets_it_from_the_entry() {
    let entry = (10, true, "t", "TABLE DATA", Some("COPY t (id) FROM stdin;\n"), Some("My schema"), None);
    let found = observe(&Archive::new(12, &[entry]).orders().bytes, 64).unwrap();
    assert_eq!(found.fingerprint.0["\"My schema\".t"].rows, 2);
}

#[test]
fn an_archive_without_data_is_whole_after_its_contents() {
    assert!(observe(&Archive::new(16, &[SCHEMA]).bytes, 64).is_ok());
    assert!(observe(&Archive::new(16, &[]).bytes, 64).is_ok());
}

#[test]
fn every_block_that_the_contents_promise_must_come_once() {
    let contents = || Archive::new(16, &[SCHEMA, ORDERS, OBJECTS]);
    let missing = refusal(&contents().objects());
    assert_eq!(missing.message(), "the archive ends before the data of public.orders");
    assert_eq!(missing.kind(), ErrorKind::Incomplete);
    assert_eq!(
        refusal(&contents()).message(),
        "the archive ends before the data of public.orders and 1 more"
    );
    for wrong in [
        Archive::whole(16).orders(),
        Archive::whole(16).block(1, 5),
        Archive::whole(16).block(1, -1),
        Archive::whole(16).block(2, 10),
        contents().block(3, 10),
        contents().block(1, 11),
        Archive::new(16, &[ORDERS, ORDERS]),
    ] {
        assert_eq!(refusal(&wrong).kind(), ErrorKind::Invalid);
    }
}

#[test]
fn rows_must_end_inside_their_block_and_nothing_may_follow_them() {
    let block = |data: &[u8]| Archive::new(16, &[ORDERS]).block(1, 10).piece(data).value(0);
    assert!(observe(&block(b"1\n\\.\n\n\n").bytes, 64).is_ok());
    assert_eq!(refusal(&block(b"1\n2\n")).message(), "the dump ends inside table public.orders after 2 rows");
    assert_eq!(refusal(&block(b"1\n\\.\n3\n")).kind(), ErrorKind::Invalid);
}

#[test]
fn an_offset_that_is_told_must_be_true() {
    let entry = |offset| {
        Archive::new(
            16,
            &[(10, true, "t", "TABLE DATA", Some("COPY public.t FROM stdin;"), None, Some(offset))],
        )
    };
    let at = entry(0).bytes.len() as u64;
    assert!(observe(&entry(at).orders().bytes, 5).is_ok());
    assert_eq!(refusal(&entry(at + 1).orders()).kind(), ErrorKind::Invalid);
}

#[test]
fn claimed_lengths_and_counts_are_only_claims() {
    let mut long_text = Archive::new(16, &[]);
    long_text.bytes.truncate(long_text.bytes.len() - 5);
    let header = long_text.bytes.clone();
    long_text.int(i32::MAX);
    assert_eq!(
        refusal(&long_text).message(),
        "the archive ends inside its table of contents, after 0 of 2147483647 entries"
    );
    let negative = Archive { minor: 16, bytes: header }.value(-2);
    assert_eq!(refusal(&negative).kind(), ErrorKind::Invalid);
    let piece = Archive::new(16, &[ORDERS]).block(1, 10).value(i32::MAX);
    assert_eq!(refusal(&piece).kind(), ErrorKind::Incomplete);
    let piece = Archive::new(16, &[ORDERS]).block(1, 10).value(-5);
    assert_eq!(refusal(&piece).kind(), ErrorKind::Invalid);
}

proptest! {
    #[test]
    fn no_truncation_is_accepted(minor in 12u8..=16, at in any::<prop::sample::Index>()) {
        let archive = Archive::whole(minor);
        let error = observe(&archive.bytes[..at.index(archive.bytes.len())], 64).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Incomplete);
    }

    #[test]
    fn no_bytes_make_it_panic(
        minor in 12u8..=16,
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 0..100),
        piece in 1usize..40,
    ) {
        let mut archive = Archive::whole(minor);
        let at = at.index(archive.bytes.len());
        let end = (at + junk.len()).min(archive.bytes.len());
        archive.bytes.splice(at..end, junk.iter().copied());
        let whole = observe(&archive.bytes, 4096);
        prop_assert_eq!(observe(&archive.bytes, piece).is_ok(), whole.is_ok());
    }

    #[test]
    fn the_order_of_rows_and_their_pieces_do_not_matter(mut rows in prop::collection::vec("[a-z]{0,9}", 0..20), piece in 1usize..9) {
        let observed = |rows: &[String], piece: usize| {
            let text = rows.iter().flat_map(|row| [row, "\n"]).collect::<String>() + "\\.\n\n\n";
            let archive = text.as_bytes().chunks(piece).fold(Archive::new(16, &[ORDERS]).block(1, 10), Archive::piece);
            observe(&archive.value(0).bytes, 64).unwrap()
        };
        let before = observed(&rows, 100_000);
        rows.reverse();
        prop_assert_eq!(observed(&rows, piece), before);
    }
}
