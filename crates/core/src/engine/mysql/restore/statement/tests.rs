use super::*;

fn rules(disown: bool) -> Rules {
    Rules { into: "new`db".to_owned(), strict: true, disown }
}

fn refusal(statement: &str) -> Option<String> {
    check(statement.as_bytes(), &rules(false)).err()
}

fn changed(statement: &str) -> String {
    match change(statement.as_bytes(), &rules(true)) {
        Some(Change { span, to }) => {
            format!(
                "{}{}{}",
                &statement[..span.start],
                String::from_utf8(to).unwrap(),
                &statement[span.end..]
            )
        }
        None => statement.to_owned(),
    }
}

#[test]
fn what_dump_tools_write_passes() {
    for statement in [
        "\n/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;",
        "/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;",
        "DROP TABLE IF EXISTS `t`;",
        "/*!40101 SET character_set_client = utf8 */;",
        "CREATE TABLE `t` (`data directory` int, `b` int DEFAULT 3 /*!80023 INVISIBLE */) ENGINE=InnoDB;",
        "LOCK TABLES `t` WRITE;",
        "/*!40000 ALTER TABLE `t` DISABLE KEYS */;",
        "UNLOCK TABLES;",
        "DO SETVAL(`seq_1`, 8, 0);",
        "DELIMITER ;;\n/*!50003 CREATE*/ /*!50017 DEFINER=CURRENT_USER()*/ /*!50003 TRIGGER x BEFORE INSERT ON t\nFOR EACH ROW BEGIN DROP DATABASE x; END */;;",
        "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 1 */;",
        "/*!50003 DROP PROCEDURE IF EXISTS `p` */;",
        "CREATE FUNCTION `f`(a int) RETURNS int RETURN 1;;",
        "ALTER DATABASE `old` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;",
        "SET @@SESSION.SQL_LOG_BIN= 0;",
        "USE `new``db`;",
        ";",
    ] {
        assert_eq!(refusal(statement), None, "{statement}");
    }
}

#[test]
fn what_no_dump_of_one_database_needs_is_refused() {
    for statement in [
        "CREATE DATABASE other;",
        "/*!32312 CREATE DATABASE IF NOT EXISTS `other`*/;",
        "DROP DATABASE `other`;",
        "DROP /* a table? */ SCHEMA `other`;",
        "USE `other`;",
        "GRANT ALL ON *.* TO a;",
        "CREATE USER a;",
        "CREATE OR REPLACE USER a;",
        "DROP USER a;",
        "ALTER USER root IDENTIFIED BY '';",
        "SET PASSWORD = 'x';",
        "SET @a = 1, GLOBAL read_only = 1;",
        "SET @@GLOBAL.GTID_PURGED='a';",
        "SET PERSIST x = 1;",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE t;",
        "SELECT 1 INTO OUTFILE '/tmp/x';",
        "CREATE TABLE t AS SELECT 1 INTO DUMPFILE '/tmp/x';",
        "CREATE TABLE t AS SELECT LOAD_FILE('/etc/passwd');",
        "CREATE TABLE t (a int) DATA DIRECTORY='/tmp';",
        "CREATE TABLE t (a int) ENGINE=FEDERATED CONNECTION='mysql://x';",
        "CREATE TABLE `other`.`t` (a int);",
        "DROP TABLE IF EXISTS other.t;",
        "INSERT INTO other.t VALUES (1);",
        "REPLACE INTO t VALUES (1);",
        "CREATE FUNCTION f RETURNS STRING SONAME 'lib.so';",
        "CREATE DEFINER=`root`@`localhost` PROCEDURE p() SELECT 1;",
        "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER x */;;",
        "CALL p();",
        "EXECUTE s;",
        "INSTALL PLUGIN x SONAME 'y';",
        "/*!99999 CREATE TABLE t (a int); */ DROP DATABASE other;",
        "'text';",
    ] {
        assert!(refusal(statement).is_some(), "{statement}");
    }
}

#[test]
fn whom_an_object_runs_as_is_left_out_in_every_form() {
    let cases = [
        ("CREATE DEFINER=`a`@`%` PROCEDURE `p`() SELECT 1", "CREATE  PROCEDURE `p`() SELECT 1"),
        (
            "/*!50106 CREATE*/ /*!50117 DEFINER=`a``b`@`localhost`*/ /*!50106 EVENT e",
            "/*!50106 CREATE*/ /*!50117 */ /*!50106 EVENT e",
        ),
        (
            "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER='a'@localhost SQL SECURITY DEFINER */\n/*!50001 VIEW",
            "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013  SQL SECURITY DEFINER */\n/*!50001 VIEW",
        ),
        ("CREATE DEFINER=role FUNCTION f()", "CREATE  FUNCTION f()"),
        ("CREATE DEFINER=CURRENT_USER() FUNCTION f()", "CREATE  FUNCTION f()"),
        ("CREATE TABLE t (definer int)", "CREATE TABLE t (definer int)"),
        (
            "CREATE PROCEDURE p() CREATE DEFINER=a VIEW v AS SELECT 1",
            "CREATE PROCEDURE p() CREATE DEFINER=a VIEW v AS SELECT 1",
        ),
    ];
    for (statement, wanted) in cases {
        assert_eq!(changed(statement), wanted);
    }
}

#[test]
fn a_database_that_is_altered_is_the_one_that_is_loaded_into() {
    assert_eq!(
        changed("ALTER DATABASE `o``d` CHARACTER SET x;"),
        "ALTER DATABASE `new``db` CHARACTER SET x;"
    );
    assert_eq!(changed("ALTER DATABASE CHARACTER SET x;"), "ALTER DATABASE CHARACTER SET x;");
    assert_eq!(changed("ALTER TABLE `t` DISABLE KEYS;"), "ALTER TABLE `t` DISABLE KEYS;");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "[/*!M0-9`'\"\\\\;a-z@= ]{0,60}") {
        for statement in [bytes.as_slice(), text.as_bytes()] {
            let _judged = check(statement, &rules(false));
            if let Some(Change { span, .. }) = change(statement, &rules(true)) {
                assert!(span.start <= span.end && span.end <= statement.len());
            }
        }
    }
}
