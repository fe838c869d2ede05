//! Real dumps, made from `fixtures/postgres/schema.sql` by the `pg_dump` in each file's name.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::engine::postgres::{CustomObserver, LARGE_OBJECTS, PlainObserver};
use respaldo_core::{ErrorKind, Result};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/postgres/", $name)).as_slice()
    };
}

fn observe(mut observer: Box<dyn Observer>, dump: &[u8], piece: usize) -> Result<Observed> {
    for piece in dump.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish()
}

fn plain(dump: &[u8]) -> Result<Observed> {
    observe(Box::new(PlainObserver::new()), dump, 64 * 1024)
}

fn custom(dump: &[u8]) -> Result<Observed> {
    observe(Box::new(CustomObserver::new()), dump, 64 * 1024)
}

#[test]
fn every_table_is_found_with_its_rows_and_nothing_that_only_looks_like_one() {
    let found = plain(fixture!("plain-15.sql")).unwrap();
    let rows: Vec<(&str, u64)> =
        found.fingerprint.0.iter().map(|(name, table)| (name.as_str(), table.rows)).collect();
    assert_eq!(
        rows,
        [
            ("\"Weird Schema\".\"a\"\"b.c (x) FROM stdin;\"", 3),
            ("\"Weird Schema\".\"new\nline\"", 1),
            (LARGE_OBJECTS, 3),
            ("public.\"select\"", 2),
            ("public.empty_one", 0),
            ("public.log", 0),
            ("public.no_columns", 2),
            ("public.orders", 45),
            ("public.parts_high", 21),
            ("public.parts_low", 9),
        ]
    );
    assert_eq!(found.server_version.as_deref(), Some("15.18 (Debian 15.18-0+deb12u1)"));
    assert_eq!(found.tool_version.as_deref(), Some("15.18 (Debian 15.18-0+deb12u1)"));
}

#[test]
fn plain_and_custom_dumps_of_one_database_have_equal_fingerprints() {
    let expected = plain(fixture!("plain-15.sql")).unwrap();
    for archive in [fixture!("custom-15.dump"), fixture!("custom-15-seekable.dump")] {
        assert_eq!(custom(archive).unwrap(), expected);
    }
}

#[test]
fn the_archives_of_pg_dump_16_and_18_are_read_too() {
    let expected = plain(fixture!("plain-15.sql")).unwrap().fingerprint;
    for (sql, archive, version) in [
        (fixture!("plain-16.sql"), fixture!("custom-16.dump"), "16.14"),
        (fixture!("plain-18.sql"), fixture!("custom-18.dump"), "18.4"),
    ] {
        let found = custom(archive).unwrap();
        assert_eq!(found, plain(sql).unwrap());
        assert_eq!(found.tool_version.as_deref(), Some(version));
        assert_eq!(found.fingerprint, expected, "the same rows, dumped by {version}");
    }
}

#[test]
fn dumps_made_with_inserts_agree_with_each_other_and_count_the_same_rows() {
    let archive = custom(fixture!("inserts-15.dump")).unwrap();
    assert_eq!(plain(fixture!("inserts-15.sql")).unwrap(), archive);
    let rows = plain(fixture!("plain-15.sql")).unwrap().fingerprint.rows();
    assert_eq!(archive.fingerprint.rows(), rows);
}

#[test]
fn the_fingerprint_does_not_depend_on_where_the_dump_is_cut() {
    let expected = plain(fixture!("plain-15.sql")).unwrap();
    for piece in [1, 2, 3, 5, 7, 100, 4099] {
        assert_eq!(
            observe(Box::new(PlainObserver::new()), fixture!("plain-15.sql"), piece).unwrap(),
            expected
        );
        assert_eq!(
            observe(Box::new(CustomObserver::new()), fixture!("custom-15.dump"), piece).unwrap(),
            expected
        );
    }
}

/// The observer of the dump's beginning is kept, so that every length is tried in reasonable time.
fn refuses_every_truncation<O: Observer + Clone + 'static>(start: O, dump: &[u8]) {
    let mut observer = start;
    for (length, byte) in dump.iter().enumerate() {
        let error = Box::new(observer.clone()).finish().expect_err("a truncated dump was accepted");
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{length} bytes: {error}");
        assert!(!error.message().contains('\n'), "{error}");
        observer.feed(std::slice::from_ref(byte)).unwrap();
    }
    Box::new(observer).finish().unwrap();
}

#[test]
fn a_truncated_dump_is_never_accepted() {
    for dump in [fixture!("plain-15.sql"), fixture!("inserts-15.sql"), fixture!("plain-18.sql")] {
        // Blank lines at the end may be lost, the last line's newline not.
        refuses_every_truncation(PlainObserver::new(), &dump[..=dump.trim_ascii_end().len()]);
    }
    for dump in [fixture!("custom-15.dump"), fixture!("custom-15-seekable.dump"), fixture!("inserts-15.dump")]
    {
        refuses_every_truncation(CustomObserver::new(), dump);
    }
}

#[test]
fn a_dump_cut_inside_a_table_says_which_and_how_far_it_came() {
    let dump = fixture!("plain-15.sql");
    let copy = b"COPY public.orders (id, note, at) FROM stdin;\n";
    let start = dump.windows(copy.len()).position(|window| window == copy).unwrap() + copy.len();
    let three = dump[start..].iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(2).unwrap().0;
    let error = plain(&dump[..start + three + 4]).unwrap_err();
    assert_eq!(error.message(), "the dump ends inside table public.orders after 3 rows");
}

#[test]
fn a_compressed_archive_is_refused_with_the_mend() {
    let error = custom(fixture!("compressed-15.dump")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.mend().unwrap().contains("-Z0"), "{error}");
}

#[test]
fn each_format_refuses_the_other_s_bytes() {
    assert_eq!(plain(fixture!("custom-15.dump")).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(custom(fixture!("plain-15.sql")).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn any_single_changed_byte_of_an_archive_is_survived() {
    let dump = fixture!("custom-15.dump");
    for at in (0..7000).chain(dump.len() - 3000..dump.len()) {
        let mut changed = dump.to_vec();
        changed[at] ^= 0xff;
        let _ = custom(&changed);
    }
}
