//! Files are told apart by their content, whatever it is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use proptest::prelude::*;
use respaldo_core::ErrorKind;
use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::engine::{engine, postgres::CustomObserver, postgres::PlainObserver};
use respaldo_core::model::{DumpFormat, EngineKind};
use respaldo_core::upload::{HEAD, Recognised, recognise};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}

fn found(file: &[u8]) -> Recognised {
    recognise(&file[..file.len().min(HEAD)], file.len() < HEAD).unwrap()
}

fn observed(mut observer: Box<dyn Observer>, dump: &[u8], piece: usize) -> respaldo_core::Result<Observed> {
    for piece in dump.chunks(piece) {
        observer.feed(piece)?;
    }
    observer.finish()
}

#[test]
fn the_dumps_of_every_tool_and_version_are_recognised() {
    for dump in [
        fixture!("postgres/plain-15.sql"),
        fixture!("postgres/plain-18.sql"),
        fixture!("postgres/inserts-15.sql"),
    ] {
        assert_eq!(found(dump), Recognised::Postgres);
    }
    for dump in [
        fixture!("postgres/custom-15.dump"),
        fixture!("postgres/custom-18.dump"),
        fixture!("postgres/compressed-15.dump"),
    ] {
        assert_eq!(found(dump), Recognised::Archive);
    }
    assert_eq!(found(fixture!("mysql/mysql-9.7.sql")), Recognised::Mysql);
    assert_eq!(found(fixture!("mysql/mariadb-10.11.sql")), Recognised::Mariadb);
    assert_eq!(found(b"\x6d\xe2\x99\x81\x68\0\0\0"), Recognised::Mongodb);
    for sql in
        ["/*!40101 SET NAMES utf8 */;", "\n-- by hand\n# and\n/* so on */ create table t (a int);", "begin;"]
    {
        assert_eq!(found(sql.as_bytes()), Recognised::Sql, "{sql}");
    }
}

#[test]
fn only_what_fits_goes_into_a_database() {
    use EngineKind::{Mariadb, Mongodb, Mysql, Postgres, Sqlite};
    let fits = |file: Recognised, kind| file.shape_for(kind).ok();
    assert_eq!(fits(Recognised::Archive, Postgres), Some(DumpFormat::Custom));
    assert_eq!(fits(Recognised::Mysql, Mariadb), Some(DumpFormat::Plain));
    assert_eq!(fits(Recognised::Sql, Mysql), Some(DumpFormat::Plain));
    assert_eq!(fits(Recognised::Sqlite, Sqlite), Some(DumpFormat::Plain));
    assert_eq!(fits(Recognised::Mongodb, Mongodb), Some(DumpFormat::Plain));
    for (file, kind) in [
        (Recognised::Archive, Mysql),
        (Recognised::Postgres, Mariadb),
        (Recognised::Mysql, Postgres),
        (Recognised::Sqlite, Postgres),
        (Recognised::Sql, Sqlite),
        (Recognised::Mongodb, Postgres),
        (Recognised::Mongodb, Sqlite),
        (Recognised::Archive, Mongodb),
        (Recognised::Sql, Mongodb),
    ] {
        assert_eq!(file.shape_for(kind).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn an_archive_that_is_compressed_inside_is_walked_to_its_end_and_told_whole_only_there() {
    let archive = fixture!("postgres/compressed-15.dump");
    let whole = observed(Box::new(CustomObserver::foreign()), archive, 1 << 16).unwrap();
    assert!(whole.fingerprint.0.is_empty() && whole.tool_version.is_some());
    assert_eq!(observed(Box::new(CustomObserver::foreign()), archive, 1).unwrap(), whole);
    for left in 0..archive.len() {
        let error = observed(Box::new(CustomObserver::foreign()), &archive[..left], 1 << 16).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incomplete, "{left} bytes: {error}");
    }
}

#[test]
fn of_a_tool_s_dump_an_upload_is_told_as_much_as_a_backup() {
    for (kind, format, dump) in [
        (EngineKind::Postgres, DumpFormat::Plain, fixture!("postgres/plain-16.sql")),
        (EngineKind::Postgres, DumpFormat::Custom, fixture!("postgres/custom-16.dump")),
        (EngineKind::Mysql, DumpFormat::Plain, fixture!("mysql/mysql-9.7.sql")),
        (EngineKind::Mariadb, DumpFormat::Plain, fixture!("mysql/mariadb-10.11.sql")),
    ] {
        let engine = engine(kind).unwrap();
        let backup = observed(engine.observer(format), dump, 4096).unwrap();
        assert_eq!(observed(engine.upload_observer(format), dump, 4096).unwrap(), backup);
    }
}

#[test]
fn sql_that_no_tool_signed_must_end_between_statements() {
    for (kind, whole) in
        [(EngineKind::Postgres, "SELECT $a$;$a$;\n-- end\n"), (EngineKind::Mysql, "SELECT ';';\n")]
    {
        let observer = || engine(kind).unwrap().upload_observer(DumpFormat::Plain);
        observed(observer(), whole.as_bytes(), 3).unwrap();
        for cut in ["SELECT 'a", "CREATE TABLE t (", "SELECT 1"] {
            let error = observed(observer(), cut.as_bytes(), 3).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Incomplete, "{cut}");
        }
    }
    // A backup of our own is no whole dump for being well-formed SQL.
    assert!(observed(Box::new(PlainObserver::new()), b"SELECT 1;\n", 9).is_err());
}

proptest! {
    #[test]
    fn recognising_never_panics_and_always_says_what_to_do(
        start in prop::sample::select(vec![
            &b""[..], b"PGDMP", b"\x6d\xe2\x99\x81", b"-- ", b"/*", b"/*M!999999\\-", b"\\restrict ", b"SQLite format 3\0", b"SELECT ", b"\x1f\x8b",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
        whole: bool,
    ) {
        let head = [start, &rest].concat();
        if let Err(error) = recognise(&head, whole) {
            prop_assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, Some("file")));
            prop_assert!(error.mend().is_some());
        }
    }

    #[test]
    fn a_damaged_archive_that_is_compressed_inside_is_survived(at in 0..20_000_usize, with: u8, piece in 1..5_000_usize) {
        let mut archive = fixture!("postgres/compressed-15.dump").to_vec();
        let at = at % archive.len();
        archive[at] ^= with;
        let whole = observed(Box::new(CustomObserver::foreign()), &archive, 1 << 20);
        let cut = observed(Box::new(CustomObserver::foreign()), &archive, piece);
        prop_assert_eq!(whole.is_ok(), cut.is_ok());
    }
}
