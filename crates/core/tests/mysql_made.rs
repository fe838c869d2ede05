//! Dumps made by hand, each with one thing that could mislead a reader.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use proptest::prelude::*;
use respaldo_core::engine::mysql::DumpObserver;
use respaldo_core::engine::observe::{Observed, Observer};
use respaldo_core::{ErrorKind, Result};
use rstest::rstest;

const END: &str = "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2026-11-21 11:08:25\n";
const ROWS: &str = "LOCK TABLES `t` WRITE;\nINSERT INTO `t` VALUES (1,'a'),(2,NULL);\nUNLOCK TABLES;\n";

fn observe_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Observed> {
    let mut observer = Box::new(DumpObserver::new());
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
#[case::quote("SELECT 'it''s;\nINSERT INTO `x` VALUES (1);\n';")]
#[case::escape("SELECT 'a\\';\nINSERT INTO `x` VALUES (1);\n';")]
#[case::double_quote("SELECT \"a\\\";\nINSERT INTO `x` VALUES (1);\n'\";")]
#[case::name("CREATE TABLE `a\\` (`b;\nINSERT INTO ``` int);")]
#[case::line_comment("SELECT 1 -- it's \"\n;")]
#[case::no_comment("SELECT 1--'a;'\n;")]
#[case::hash_comment("SELECT 1 # it's `\n;")]
#[case::comment_between("-- it's ` \\ \"\n--\n--x'\n#'\n")]
#[case::block_comment("/* ' ; ` **/ SELECT 1 /*/ ' */;")]
#[case::mariadb_comment("/*M!101100 SET @a=';' */;/*Mx' */")]
#[case::code_in_a_comment("/*!50003 SELECT ';\n-- Dump completed\n' */ ;")]
#[case::hint("SELECT /*+ NO_INDEX(`a;`) */ 1;")]
#[case::operators("SELECT 1 - -1 / 2 * '3';")]
#[case::routine(
    "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN\nINSERT INTO `x` VALUES (1); SELECT ';;';\n END ;;\nDELIMITER ;\n"
)]
#[case::insert_alone_in_a_routine("DELIMITER ;;\nINSERT INTO `x` VALUES (1);\n;;\nDELIMITER ;\n")]
#[case::lower_case_delimiter("delimiter ;;\nSELECT 1; ;;\ndelimiter ;\n")]
#[case::a_word_like_delimiter("DELIMIT ';;';\nDROP TABLE `DELIMITER `;\nINSERT_IT();")]
#[case::literal_backslash(
    "/*!50003 SET sql_mode              = 'A,NO_BACKSLASH_ESCAPES' */ ;\nSELECT '\\';\n/*!50003 SET sql_mode = @saved_sql_mode */ ;\n"
)]
#[case::backslash_in_a_name_in_double_quotes(
    "/*!50003 SET sql_mode              = 'ANSI_QUOTES,ANSI' */ ;\nSELECT 1 AS \"a\\\", 'it\\'s;';\n/*!50003 SET sql_mode = @saved_sql_mode */ ;\nSELECT \"a\\\";\";"
)]
#[case::null_in_a_routine("DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT \\N, 1; END ;;\nDELIMITER ;\n")]
#[case::end_in_a_routine(
    "DELIMITER ;;\nCREATE FUNCTION f() BEGIN\n/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed\nEND ;;\nDELIMITER ;\n"
)]
fn what_stands_in_quotes_comments_and_routines_misleads_nobody(#[case] sql: &str) {
    let expected = observe(&format!("{ROWS}{END}")).unwrap();
    assert_eq!(expected.fingerprint.0["t"].rows, 2);
    assert_eq!(observe(&format!("{sql}\n{ROWS}{END}")).unwrap(), expected);
    assert_eq!(observe(&format!("{ROWS}{sql}\n{END}")).unwrap(), expected);
    let dump = format!("{sql}\n{ROWS}{sql}\n{END}");
    assert_eq!(observe_pieces(dump.as_bytes().chunks(1)).unwrap(), expected);
}

#[rstest]
#[case("", "the dump does not end with its closing comment")]
#[case(ROWS, "the dump does not end with its closing comment")]
#[case("-- Dump completed\n", "the dump does not end with its closing comment")]
#[case("/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n", "the dump does not end with its closing comment")]
#[case("/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n-- Dump completed", "the dump ends inside a comment")]
#[case("/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */\n-- Dump completed\n", "the dump ends inside a statement")]
#[case("INSERT INTO `a\nb` VALUES (1),(2", "the dump ends inside table a\\nb after 1 row")]
#[case("SELECT 'x", "the dump ends inside a quoted string")]
#[case("SELECT `x", "the dump ends inside a quoted name")]
#[case("DELIMITER ;;\nCREATE FUNCTION f()\n-- Dump completed\n", "the dump ends inside a statement")]
#[case(
    "DELIMITER ;;\n/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;;\n-- Dump completed\n",
    "the dump does not end with its closing comment"
)]
#[case("/*M!9", "the dump ends inside its first line")]
fn what_is_missing_is_said(#[case] dump: &str, #[case] message: &str) {
    assert_eq!(incomplete(dump), message);
}

#[test]
fn nothing_but_blanks_may_follow_the_end() {
    assert!(observe(&format!("{END}\n \n\n")).is_ok());
    for rest in ["SELECT 1;\n", "-- more\n", "/* more */", "# more\n", ";", ROWS, "-- Dump completed on x\n"]
    {
        incomplete(&format!("{END}{rest}"));
    }
    assert!(observe(&format!("{END}{ROWS}{END}")).is_ok(), "two dumps in one file");
}

#[test]
fn the_ends_of_both_families_are_known() {
    for end in [
        "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n-- Dump completed\n",
        "/*M!100616 SET NOTE_VERBOSITY=@OLD_NOTE_VERBOSITY */;\n\n-- Dump completed on 2026-01-01  1:00:00\n",
    ] {
        observe(&format!("/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n{ROWS}{end}"))
            .unwrap();
    }
}

#[rstest]
#[case::command("\\! rm\n")]
#[case::command_in_a_statement("SELECT 1 \\G\n")]
#[case::sandbox_later("SELECT 1;\n/*M!999999\\- enable the sandbox mode */\n")]
#[case::another_delimiter("DELIMITER $$\n")]
#[case::insert_select("INSERT INTO `t` SELECT 1;")]
#[case::insert_without_quotes("INSERT INTO t VALUES (1);")]
#[case::insert_without_rows("INSERT INTO `t` VALUES ;")]
#[case::more_than_rows("INSERT INTO `t` VALUES (1) ON DUPLICATE KEY UPDATE `a`=1;")]
#[case::compressed("\u{1f}\u{8b}\u{8}\0\0")]
fn what_no_dump_holds_is_refused_at_once_and_for_good(#[case] sql: &str) {
    let mut observer = Box::new(DumpObserver::new());
    let error = observer.feed(sql.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(observer.feed(END.as_bytes()).unwrap_err(), error);
    assert_eq!(observer.finish().unwrap_err(), error);
}

#[test]
fn the_order_of_rows_and_their_grouping_do_not_matter_but_their_number_does() {
    let rows = |rows: &str| observe(&format!("{rows}{END}")).unwrap().fingerprint;
    let one = rows("INSERT INTO `t` VALUES (1),(2),\n(3);");
    assert_eq!(one, rows("INSERT INTO `t` (`a`) VALUES (3);INSERT INTO `t` VALUES\n(1),(2);"));
    assert_ne!(one, rows("INSERT INTO `t` VALUES (1),(2),(3),(3);"));
    assert_ne!(rows("INSERT INTO `t` VALUES (1),(1);"), rows("INSERT INTO `t` VALUES (2),(2);"));
}

/// Pieces of SQL that get a reader into every state.
fn fragment() -> impl Strategy<Value = String> {
    let fixed = [
        "'",
        "\"",
        "`",
        "\\",
        "\n",
        "--",
        "-- ",
        "#",
        "/*",
        "/*!",
        "/*M!",
        "*/",
        ";",
        ";;",
        "(",
        ")",
        ",",
        "DELIMITER ",
        "DELIMITER ;;\n",
        "DELIMITER ;\n",
        "INSERT INTO ",
        "INSERT INTO `t` VALUES (",
        " VALUES ",
        "LOCK TABLES `t` WRITE;",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES';",
        "/*M!999999\\- x */\n",
        "D",
        "I",
    ];
    prop_oneof![
        proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        Just(END.to_owned()),
        "[a-z0-9 ]{0,5}",
    ]
}

/// A value as the tools write it, from any text.
fn written(value: &str) -> String {
    let mut text = String::from("'");
    for character in value.chars() {
        match character {
            '\0' => text.push_str("\\0"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\u{1a}' => text.push_str("\\Z"),
            '\\' | '\'' | '"' => text.extend(['\\', character]),
            other => text.push(other),
        }
    }
    text.push('\'');
    text
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = observe_pieces([bytes.as_slice()]);
    }

    #[test]
    fn any_sql_gives_the_same_answer_however_it_is_cut(
        fragments in proptest::collection::vec(fragment(), 0..40), cuts in proptest::collection::vec(1_usize..9, 1..5)
    ) {
        let sql = fragments.concat();
        let mut rest = sql.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        prop_assert_eq!(observe_pieces(pieces), observe(&sql));
    }

    #[test]
    fn any_values_count_as_the_rows_they_are(
        rows in proptest::collection::vec(proptest::collection::vec(any::<String>(), 1..4), 1..6), piece in 1_usize..40
    ) {
        let tuple = |row: &Vec<String>| {
            row.iter().map(|value| written(value)).collect::<Vec<_>>().join(",")
        };
        let tuples: Vec<String> = rows.iter().map(tuple).collect();
        let grouped = format!("INSERT INTO `t` VALUES ({});\n{END}", tuples.join("),("));
        let found = observe_pieces(grouped.as_bytes().chunks(piece)).unwrap().fingerprint;
        let mut expected = respaldo_core::fingerprint::TableFingerprint::default();
        for tuple in &tuples {
            expected.add_row(tuple.as_bytes());
        }
        prop_assert_eq!(found.0["t"], expected);
    }
}
