//! What is refused, with what reason, and that it leaves nothing.

use respaldo_core::ErrorKind;
use respaldo_core::limits::Uploads;
use respaldo_core::model::Status;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::run;
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;

use crate::support::{CLOSED, CUSTOM, MARIADB, MYSQL, PLAIN, packed, refused, unasked};

#[tokio::test]
async fn what_is_no_dump_is_refused_with_what_it_was_taken_for_and_leaves_no_record() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let directory = [b"PGDMP".as_slice(), &[1, 16, 0, 4, 8, 5], &[0; 100]].concat();
    let utf16: Vec<u8> = "\u{feff}-- PostgreSQL".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (file, word) in [
        (b"".as_slice(), "empty"),
        (b"-- nothing\n/* at all */\n", "comments only"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x7fELF\x02", "program"),
        (b"<!doctype html><title>Sign in</title>", "HTML"),
        (b"{\"a\": 1}", "JSON"),
        (b"Dear all,", "does not begin as SQL"),
        (b"SELECT \xff\xfe 1;", "no kind of file"),
        (b"age-encryption.org/v1\n-> X25519 x", "encrypted by age"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"BZh91AY", "bzip2"),
        (&packed(&["gzip"], &packed(&["gzip"], PLAIN)), "packed twice"),
        (&packed(&["gzip"], &packed(&["zstd", "-q"], PLAIN)), "packed twice"),
        (&tar, "tar"),
        (&packed(&["gzip"], &tar), "tar"),
        (&directory, "as a folder"),
        (&utf16, "UTF-16"),
        (&[b"\xef\xbb\xbf", PLAIN].concat(), "byte order mark"),
        (b"--\n-- PostgreSQL database dump\r\n--\r\n", "Windows"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n", "pg_dumpall"),
        (MARIADB, "a dump of mariadb-dump, and its database is one of postgres"),
        (b"SQLite format 3\0", "a SQLite database, and its database is one of postgres"),
    ] {
        let error = refused(&test, &database, file).await;
        assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, Some("file")), "{word}: {error}");
        assert!(error.message().contains(word), "{word}: {error}");
        assert!(error.mend().is_some(), "{word}");
    }
    let sqlite = test.register_sample().await;
    for file in [PLAIN, CUSTOM, MYSQL, b"PRAGMA foreign_keys=OFF;\n"] {
        assert_eq!(refused(&test, &sqlite, file).await.kind(), ErrorKind::Unsupported);
    }
    assert!(test.jobs().await.is_empty());
    test.assert_promises().await;
}

#[tokio::test]
async fn a_dump_that_begins_as_a_tool_s_and_is_cut_anywhere_is_refused_as_incomplete() {
    let test = TestApp::new();
    for (engine, dump) in [
        ("postgres", PLAIN),
        ("postgres", CUSTOM),
        ("postgres", CLOSED),
        ("mariadb", MARIADB),
        ("mysql", MYSQL),
    ] {
        let database = unasked(&test, engine).await;
        for left in [dump.len() - 1, dump.len() - 60, dump.len() / 2, 2_000] {
            // The very last byte of a plain dump of PostgreSQL is a blank line's.
            if left == dump.len() - 1 && dump == PLAIN {
                continue;
            }
            let error = refused(&test, &database, &dump[..left]).await;
            assert_eq!(
                (error.kind(), error.field()),
                (ErrorKind::Invalid, Some("file")),
                "{engine} {left}: {error}"
            );
        }
    }
    assert!(test.jobs().await.iter().all(|job| job.status == Status::Failed));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_packed_file_that_is_cut_or_damaged_is_refused() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    for packer in [&["gzip"][..], &["zstd", "-q"]] {
        let file = packed(packer, PLAIN);
        let mut damaged = file.clone();
        damaged[file.len() / 2] ^= 0x55;
        for (file, word) in [(&file[..file.len() - 5], "ends before its end"), (&damaged, "packed")] {
            let error = refused(&test, &database, file).await;
            assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("file")), "{error}");
            assert!(error.message().contains(word), "{error}");
        }
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn dumps_of_several_databases_are_refused_with_the_options_to_use_instead() {
    let test = TestApp::new();
    let (server, mariadb) = (Postgres::shared(), Mysql::shared());
    let source = server.fresh_database("ventas");
    let (postgres, maria) = (unasked(&test, "postgres").await, unasked(&test, "mariadb").await);
    let made = |options: &[&str], tool| {
        let mut dump = server.client(tool, &source);
        dump.args(options);
        run(dump, std::io::empty()).stdout
    };
    let other = mariadb.fresh_database("ventas");
    let mut several = mariadb.client("mariadb-dump");
    several.args(["--databases", &other]);
    let several = run(several, std::io::empty()).stdout;
    for (database, file, mend) in [
        (&postgres, made(&["--create"], "pg_dump"), "without --create"),
        (&postgres, made(&["--globals-only"], "pg_dumpall"), "pg_dump -Fc"),
        (&postgres, b"SELECT 1;\n\\connect other\nSELECT 2;\n".to_vec(), "without --create"),
        (&maria, several, "bare name"),
        (&maria, b"CREATE TABLE a (b int);\nUSE other;\n".to_vec(), "bare name"),
    ] {
        let error = refused(&test, database, &file).await;
        assert_eq!(error.field(), Some("file"), "{error}");
        assert!(error.mend().unwrap().contains(mend), "{mend}: {error}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn psql_commands_that_would_act_on_the_loading_machine_are_refused() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    for command in ["\\! id", "\\i /etc/passwd", "\\copy t to '/tmp/x'"] {
        let error = refused(&test, &database, format!("SELECT 1;\n{command}\n").as_bytes()).await;
        assert!(error.message().contains("psql command"), "{error}");
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_packed_and_unpacked() {
    let limits = Uploads { most_raw: 4 << 20, most_sent: 1 << 20 };
    let test = TestApp::with(|all| all.uploads = limits);
    let database = unasked(&test, "postgres").await;
    let rows = "-- a long comment, as there are in dumps\n".repeat(200_000);
    let large = format!("SELECT 1;\n{rows}");
    let error = refused(&test, &database, large.as_bytes()).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.mend().unwrap().contains("uploads.max_upload_gb"), "{error}");
    let error = refused(&test, &database, &packed(&["gzip"], large.as_bytes())).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.mend().unwrap().contains("uploads.max_gb"), "{error}");
    test.assert_promises().await;
}

#[tokio::test]
async fn a_zstd_window_that_the_budget_has_no_room_for_is_refused_with_the_mend() {
    let test = TestApp::new();
    let database = unasked(&test, "postgres").await;
    let large = format!("SELECT 1;\n{}", "-- a long comment\n".repeat(1_000_000));
    let error = refused(&test, &database, &packed(&["zstd", "-q", "--long=27"], large.as_bytes())).await;
    assert!(error.message().contains("window"), "{error}");
    assert!(error.mend().unwrap().contains("--long"), "{error}");
    let taken = packed(&["zstd", "-q", "--long=23"], large.as_bytes());
    crate::support::send(&test, &database, &taken).await.unwrap();
    test.assert_promises().await;
}
