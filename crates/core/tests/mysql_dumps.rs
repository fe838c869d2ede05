//! Real dumps, made from `fixtures/mysql/schema*.sql` by the tools in each file's name with the options of
//! the engine; `mariadb-10.11-single.sql` without `--hex-blob`, history and rows that share a statement.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::atomic::Ordering;

use respaldo_core::engine::mysql::DumpObserver;
use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::{ErrorKind, Result};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/mysql/", $name)).as_slice()
    };
}

const DUMPS: [&[u8]; 3] =
    [fixture!("mariadb-10.11.sql"), fixture!("mariadb-10.11-single.sql"), fixture!("mysql-9.7.sql")];

fn observe(dump: &[u8], piece: usize) -> Result<Observed> {
    let mut observer = Box::new(DumpObserver::new());
    for piece in dump.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish()
}

fn tables(found: &Observed) -> Vec<(&str, u64)> {
    found.fingerprint.0.iter().map(|(name, table)| (name.as_str(), table.rows)).collect()
}

/// The tables that both families' schemas have.
const COMMON: [(&str, u64); 6] = [
    ("child", 2),
    ("empty_one", 0),
    ("every_type", 3),
    ("not_transactional", 1),
    ("parent", 2),
    ("we`ird; name (x) -- y", 2),
];

#[test]
fn every_table_is_found_with_its_rows_and_nothing_that_only_looks_like_one() {
    let found = observe(fixture!("mysql-9.7.sql"), 64 * 1024).unwrap();
    let mut expected = COMMON.to_vec();
    expected.insert(3, ("mysql_types", 1));
    assert_eq!(tables(&found), expected);
    assert_eq!(found.server_version.as_deref(), Some("9.7.4-2"));
    assert_eq!(found.tool_version.as_deref(), Some("9.7.4"));

    let found = observe(fixture!("mariadb-10.11.sql"), 64 * 1024).unwrap();
    let mut expected = COMMON.to_vec();
    expected.insert(3, ("mariadb_types", 1));
    // With its history.
    expected.insert(6, ("versioned", 2));
    assert_eq!(tables(&found), expected);
    assert_eq!(found.server_version.as_deref(), Some("10.11.19-MariaDB-0+deb12u1"));
    assert_eq!(found.tool_version.as_deref(), Some("10.11.19-MariaDB"));
}

#[test]
fn rows_have_the_same_hash_however_they_share_statements() {
    let grouped = observe(fixture!("mariadb-10.11.sql"), 64 * 1024).unwrap().fingerprint.0;
    let single = observe(fixture!("mariadb-10.11-single.sql"), 64 * 1024).unwrap().fingerprint.0;
    for table in ["child", "empty_one", "not_transactional", "parent", "we`ird; name (x) -- y"] {
        assert_eq!(grouped[table], single[table], "{table}");
    }
    // Binary values are digits in the one and bytes in the other.
    assert_eq!(grouped["every_type"].rows, single["every_type"].rows);
    assert_ne!(grouped["every_type"].hash, single["every_type"].hash);
}

#[test]
fn both_families_write_the_same_rows_where_they_write_the_same_columns() {
    let mysql = observe(fixture!("mysql-9.7.sql"), 64 * 1024).unwrap().fingerprint.0;
    let mariadb = observe(fixture!("mariadb-10.11.sql"), 64 * 1024).unwrap().fingerprint.0;
    for table in ["child", "parent", "not_transactional", "we`ird; name (x) -- y"] {
        assert_eq!(mysql[table], mariadb[table], "{table}");
    }
}

#[test]
fn the_fingerprint_does_not_depend_on_where_the_dump_is_cut() {
    for dump in DUMPS {
        let expected = observe(dump, dump.len()).unwrap();
        for piece in [1, 2, 3, 5, 7, 100, 4099] {
            assert_eq!(observe(dump, piece).unwrap(), expected);
        }
    }
}

/// The observer of the dump's beginning is kept, so that every length is tried in reasonable time.
#[test]
fn a_truncated_dump_is_never_accepted() {
    for dump in DUMPS {
        // The last line's newline may not be lost.
        assert!(dump.ends_with(b"\n") && !dump.ends_with(b"\n\n"));
        let mut observer = DumpObserver::new();
        for (length, byte) in dump.iter().enumerate() {
            let error = Box::new(observer.clone()).finish().expect_err("a truncated dump was accepted");
            assert_eq!(error.kind(), ErrorKind::Incomplete, "{length} bytes: {error}");
            assert!(!error.message().contains('\n'), "{error}");
            observer.feed(std::slice::from_ref(byte)).unwrap();
        }
        Box::new(observer).finish().unwrap();
    }
}

#[test]
fn a_dump_cut_inside_a_table_says_which_and_how_far_it_came() {
    let dump = fixture!("mysql-9.7.sql");
    let rows = b"INSERT INTO `parent` VALUES (1),(";
    let end = dump.windows(rows.len()).position(|window| window == rows).unwrap() + rows.len();
    let error = observe(&dump[..end], 1000).unwrap_err();
    assert_eq!(error.message(), "the dump ends inside table parent after 1 row");
}

#[test]
fn a_dump_whose_middle_is_missing_but_ends_well_is_refused_where_it_shows() {
    let dump = fixture!("mysql-9.7.sql");
    let start = dump.windows(7).position(|window| window == b"(1),(2)").unwrap();
    // From inside a group of values to the last comment.
    let end = dump.windows(17).rposition(|window| window == b"-- Dump completed").unwrap();
    let cut = [&dump[..start + 2], &dump[end..]].concat();
    assert_eq!(observe(&cut, 1000).unwrap_err().kind(), ErrorKind::Incomplete);
}

#[test]
fn the_longest_statement_is_told() {
    let mut observer = DumpObserver::new();
    let longest = observer.longest_statement();
    observer
        .feed(b"INSERT INTO `t` VALUES (1);\nINSERT INTO `t` VALUES (12),(3);\nINSERT INTO `t` VALUES (4);\n")
        .unwrap();
    assert_eq!(longest.load(Ordering::Relaxed), "`t` VALUES (12),(3);".len() as u64);
}

#[test]
fn any_single_changed_byte_of_a_dump_is_survived() {
    for dump in DUMPS {
        for at in (0..dump.len()).step_by(7) {
            let mut changed = dump.to_vec();
            changed[at] ^= 0xff;
            let _ = observe(&changed, 64 * 1024);
        }
    }
}
