//! Plain dumps made by hand, each with one thing that could mislead a reader.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::engine::postgres::{LARGE_OBJECTS, PlainObserver};
use respaldo_core::{ErrorKind, Result};
use rstest::rstest;

const END: &str = "--\n-- PostgreSQL database dump complete\n--\n\n";
const ROWS: &str = "COPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n\n";

fn observe_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Observed> {
    let mut observer = Box::new(PlainObserver::new());
    for piece in pieces {
        observer.feed(piece)?;
    }
    observer.finish()
}

fn observe(dump: &str) -> Result<Observed> {
    observe_pieces([dump.as_bytes()])
}

/// The message of the refusal as cut off.
fn incomplete(dump: &str) -> String {
    let error = observe(dump).expect_err("a dump that is not whole was accepted");
    assert_eq!(error.kind(), ErrorKind::Incomplete, "{error}");
    error.message().to_owned()
}

#[rstest]
#[case::quote("SELECT 'it''s;\nCOPY x FROM stdin;\n\\.\n';")]
#[case::literal_backslash("SELECT 'a\\';")]
#[case::escape_quote("SELECT E'a\\';\nCOPY x FROM stdin;\n';")]
#[case::escape_quote_doubled("SELECT e'a''\\';\nCOPY x FROM stdin;\n';")]
#[case::escape_quote_continued("SELECT E'a' \n  '\\';\nCOPY x FROM stdin;\n';")]
#[case::a_name_ending_in_e("SELECT date'a\\';")]
#[case::standard_strings_off(
    "SET standard_conforming_strings = off;\nSELECT '\\';\nCOPY x FROM stdin;\n'; SET standard_conforming_strings = on;"
)]
#[case::quoted_name("SELECT \"a;\nCOPY x FROM stdin;\n\"\"';\";")]
#[case::dollar_quote("DO $$\nCOPY x FROM stdin;\n\\.\n$a$ ' $$;")]
#[case::dollar_tag("DO $_a$ $$ $_$ $a$_b $_$_a$;")]
#[case::dollar_in_a_name("SELECT a$b$ FROM c;")]
#[case::parameter("PREPARE a AS SELECT $1;")]
#[case::line_comment("SELECT 1 -- it's \"\n;")]
#[case::comment_between("-- it's $$ \\connect \"\n")]
#[case::nested_comment("/* ' /* \" */ $$ ; **/ SELECT 1 /* /**/ ' */;")]
#[case::operators("SELECT 1 - -1 / 2 * '3';")]
#[case::rule("CREATE RULE r AS ON UPDATE TO t DO (INSERT INTO l VALUES (1);\n INSERT INTO l VALUES (2);\n);")]
#[case::sql_body(
    "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql\n BEGIN ATOMIC\nINSERT INTO l VALUES (CASE WHEN true THEN 1 END);\nINSERT INTO l SELECT CASE 1 WHEN 1 THEN 2 END;\nEND;"
)]
#[case::a_routine_called_begin("CREATE PROCEDURE public.begin() LANGUAGE sql AS $$SELECT 1$$;")]
#[case::connect("\\connect -reuse-previous=on \"dbname='x'\"\n")]
#[case::end_comment_in_a_quote("SELECT '\n--\n-- PostgreSQL database dump complete\n--\n';")]
fn what_stands_in_quotes_and_comments_misleads_nobody(#[case] sql: &str) {
    let expected = observe(&format!("{ROWS}{END}")).unwrap();
    assert_eq!(expected.fingerprint.0["public.t"].rows, 2);
    assert_eq!(observe(&format!("{sql}\n{ROWS}{END}")).unwrap(), expected);
    assert_eq!(observe(&format!("{ROWS}{sql}\n{END}")).unwrap(), expected);
    let dump = format!("{sql}\n{ROWS}{sql}\n{END}");
    assert_eq!(observe_pieces(dump.as_bytes().chunks(1)).unwrap(), expected);
}

#[rstest]
#[case("", "the dump does not end with its closing comment")]
#[case(ROWS, "the dump does not end with its closing comment")]
#[case("--\n-- PostgreSQL database dump complete\n", "the dump does not end with its closing comment")]
#[case("--\n-- PostgreSQL database dump complete\n--", "the dump ends inside a comment")]
#[case("-- PostgreSQL database dump complete\n--\n", "the dump does not end with its closing comment")]
#[case("COPY public.t (a) FROM stdin;\n1\n2\n\\.", "the dump ends inside table public.t after 2 rows")]
#[case("COPY public.t (a) FROM stdin;", "the dump ends inside table public.t after 0 rows")]
#[case(
    "COPY public.\"a\nb\" (a) FROM stdin;\n1\n2",
    "the dump ends inside table public.\"a\\nb\" after 1 row"
)]
#[case("DO $$ x", "the dump ends inside a dollar-quoted string")]
#[case("SELECT 'x", "the dump ends inside a quoted string")]
#[case("SELECT 1", "the dump ends inside a statement")]
#[case("SELECT pg_catalog.lo_open('7', 131072);\n", "the dump ends inside large object 7")]
fn what_is_missing_is_said(#[case] dump: &str, #[case] message: &str) {
    assert_eq!(incomplete(dump), message);
}

#[test]
fn nothing_but_blank_lines_may_follow_the_end() {
    assert!(observe(&format!("{END}\n \n\n")).is_ok());
    for rest in ["SELECT 1;\n", "-- more\n", "/* more */", ";", ROWS] {
        incomplete(&format!("{END}{rest}"));
    }
    assert!(observe(&format!("{END}{ROWS}{END}")).is_ok(), "two dumps in one file");
}

#[test]
fn a_restricted_dump_ends_with_its_own_token() {
    let restricted =
        |end: &str| format!("--\n-- PostgreSQL database dump\n--\n\n\\restrict Tok1\n\n{ROWS}{END}{end}");
    assert!(observe(&restricted("\\unrestrict Tok1\n\n")).is_ok());
    assert_eq!(incomplete(&restricted("")), "the dump's last \\unrestrict is missing");
    assert_eq!(incomplete(&restricted("\\unrestrict Tok1")), "the dump ends inside a psql command");
    incomplete(&restricted("\\unrestrict Tok\n"));
    incomplete(&restricted("\\unrestrict Tok1\n--\n"));
    assert!(
        observe(&format!("\\restrict a\n\\unrestrict a\n\\connect x\n\\restrict b\n{END}\\unrestrict b\n"))
            .is_ok()
    );
}

#[rstest]
#[case::shell("\\! rm\n")]
#[case::include("\\i /etc/passwd\n")]
#[case::connect_while_restricted("\\restrict a\n\\connect x\n")]
#[case::restrict_twice("\\restrict a\n\\restrict a\n")]
#[case::unrestrict_unrestricted("\\unrestrict a\n")]
#[case::in_a_statement("SELECT 1 \\g x\n")]
#[case::copy_from_a_file("COPY t FROM '/etc/passwd';")]
#[case::copy_with_options("COPY t FROM stdin WITH (FORMAT csv);\n")]
#[case::copy_not_alone("COPY t FROM stdin; SELECT 1;\n")]
#[case::binary("PGDMP\u{1}\u{0}")]
#[case::not_hexadecimal("SELECT pg_catalog.lo_open('7', 131072);SELECT pg_catalog.lowrite(0, '\\x0g');")]
#[case::no_object_open("SELECT pg_catalog.lowrite(0, '\\x00');")]
fn what_no_dump_holds_is_refused_at_once_and_for_good(#[case] sql: &str) {
    let mut observer = Box::new(PlainObserver::new());
    let error = observer.feed(sql.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(observer.feed(END.as_bytes()).unwrap_err(), error);
    assert_eq!(observer.finish().unwrap_err(), error);
}

#[test]
fn a_table_s_name_stands_as_it_is_written() {
    let dump = format!(
        "COPY \"My\".\"a \"\" FROM b\" (\"x)\", y) FROM stdin;\n\\.\nCOPY public.none  FROM stdin;\n\n\\.\n{END}"
    );
    let found = observe(&dump).unwrap().fingerprint;
    assert_eq!(found.table("\"My\".\"a \"\" FROM b\"").rows, 0);
    assert_eq!(found.0["public.none"].rows, 1);
    assert_eq!(found.0.len(), 2);
}

trait Table {
    fn table(&self, name: &str) -> respaldo_core::fingerprint::TableFingerprint;
}

impl Table for respaldo_core::fingerprint::Fingerprint {
    fn table(&self, name: &str) -> respaldo_core::fingerprint::TableFingerprint {
        self.0[name]
    }
}

#[test]
fn old_dumps_that_set_the_search_path_name_the_same_tables() {
    let old = "SET search_path = public, pg_catalog;\nCOPY t (a) FROM stdin;\n1\n2\n\\.\n";
    assert_eq!(observe(&format!("{old}{END}")).unwrap(), observe(&format!("{ROWS}{END}")).unwrap());
}

#[test]
fn the_order_of_rows_does_not_matter_but_their_number_does() {
    let rows = |rows: &str| {
        observe(&format!("COPY public.t (a) FROM stdin;\n{rows}\\.\n{END}")).unwrap().fingerprint
    };
    assert_eq!(rows("1\n2\n3\n"), rows("3\n1\n2\n"));
    assert_ne!(rows("1\n2\n"), rows("1\n2\n2\n"));
    assert_ne!(rows("1\n1\n2\n2\n"), rows("1\n1\n3\n3\n"));
}

#[test]
fn a_large_object_hashes_the_same_however_its_writes_are_cut() {
    let object = |writes: &[&str]| {
        let writes: String =
            writes.iter().flat_map(|data| ["SELECT pg_catalog.lowrite(0, '\\x", data, "');\n"]).collect();
        let dump = format!(
            "BEGIN;\n\nSELECT pg_catalog.lo_open('7', 131072);\n{writes}SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n{END}"
        );
        observe(&dump).unwrap().fingerprint.0[LARGE_OBJECTS]
    };
    assert_eq!(object(&["00ff5c27"]), object(&["00", "ff5c", "27"]));
    assert_ne!(object(&["00ff5c27"]), object(&["00ff5c"]));
    assert_eq!(object(&[]).rows, 1);
}

#[test]
fn an_insert_counts_as_a_row_of_its_table() {
    let found = observe(&format!(
        "INSERT INTO public.t VALUES (1, 'a;''b');\nINSERT INTO \"A\".b DEFAULT VALUES;\n{END}"
    ))
    .unwrap();
    assert_eq!(found.fingerprint.0["public.t"].rows, 1);
    assert_eq!(found.fingerprint.0["\"A\".b"].rows, 1);
}

/// Pieces of SQL that get a lexer into every state.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("'"),
        Just("\""),
        Just("$$"),
        Just("$a$"),
        Just("\\"),
        Just("\n"),
        Just("--"),
        Just("/*"),
        Just("*/"),
        Just(";"),
        Just("("),
        Just(")"),
        Just("E"),
        Just(" "),
        Just("COPY t FROM stdin;\n"),
        Just("\\.\n"),
        Just("1\t2\n"),
        Just("BEGIN ATOMIC"),
        Just("CREATE FUNCTION"),
        Just("END"),
        Just("\\restrict a\n"),
        Just("\\unrestrict a\n"),
        Just("SELECT pg_catalog.lo_open('1', 1);"),
        Just("SELECT pg_catalog.lowrite(0, '\\x00');"),
        Just("SELECT pg_catalog.lo_close(0);"),
        Just("INSERT INTO t VALUES (1);"),
        Just(END),
    ]
    .prop_map(str::to_owned)
}

fn cut<'a>(dump: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = dump;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_answer(
        fragments in prop::collection::vec(fragment(), 0..40),
        cuts in prop::collection::vec(0usize..12, 0..60),
    ) {
        let dump = fragments.concat();
        let whole = observe(&dump);
        prop_assert_eq!(observe_pieces(cut(dump.as_bytes(), &cuts)), whole.clone());
        prop_assert_eq!(observe_pieces(dump.as_bytes().chunks(1)), whole);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(0usize..30, 0..20)) {
        let _ = observe_pieces(cut(&bytes, &cuts));
        let mut rows = ROWS.as_bytes()[..31].to_vec();
        rows.extend_from_slice(&bytes);
        let _ = observe_pieces(cut(&rows, &cuts));
    }

    #[test]
    fn no_truncation_is_accepted(rows in prop::collection::vec("[ -~]{0,20}", 0..20), at in any::<prop::sample::Index>()) {
        let rows: String = rows.iter().flat_map(|row| [row.replace('\\', "\\\\"), "\n".to_owned()]).collect();
        let dump = format!("\\restrict k\n{ROWS}COPY public.u (a) FROM stdin;\n{rows}\\.\n{END}\\unrestrict k\n");
        prop_assert!(observe(&dump).is_ok());
        let error = observe(&dump[..at.index(dump.len())]).unwrap_err();
        prop_assert_eq!(error.kind(), ErrorKind::Incomplete);
    }
}
