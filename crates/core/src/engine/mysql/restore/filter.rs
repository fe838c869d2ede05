//! Reads a dump on its way into a client: rewrites what is bound to the database that it came from, and, where
//! its origin is not known, refuses what no dump tool writes.

use super::statement::{self, Change};
use crate::engine::feed::Filter;
use crate::engine::mysql::lexer::{Escapes, Item, Lexer};
use crate::engine::mysql::observer::escapes_set_by;
use crate::engine::mysql::rows::Insert;
use crate::engine::wording::{invalid, one_line, readable};
use crate::{Error, ErrorKind, Result};

/// A statement is held back until its end, or until so much of it came; everything that is looked for stands
/// before that in what dump tools write.
const HELD: usize = 256 * 1024;

/// What a filter is to do.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The database that is loaded into.
    pub(super) into: String,
    /// Refuse what no dump tool writes.
    pub(super) strict: bool,
    /// Leave out whom objects run as, so that they belong to who restores.
    pub(super) disown: bool,
}

/// The filter.
pub(super) struct DumpFilter {
    rules: Rules,
    lexer: Lexer,
    insert: Option<Box<Insert>>,
    rows: Rows,
    held: Vec<u8>,
    /// The beginning of the statement was judged and passed on.
    passing: bool,
}

impl DumpFilter {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            lexer: Lexer::new(),
            insert: None,
            rows: Rows::default(),
            held: Vec::new(),
            passing: false,
        }
    }

    fn item(&mut self, item: Item, out: &mut Vec<u8>) -> Result<()> {
        match item {
            Item::Statement => {
                if let Some(escapes) = escapes_set_by(self.lexer.head()) {
                    self.lexer.set_escapes(escapes);
                }
                self.judge(out)?;
            }
            Item::Comment => out.append(&mut self.held),
            Item::Insert => {
                out.append(&mut self.held);
                self.insert = Some(Box::new(Insert::new(self.lexer.escapes())));
                self.rows = Rows::default();
            }
        }
        self.passing = false;
        Ok(())
    }

    fn judge(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.passing {
            out.append(&mut self.held);
            return Ok(());
        }
        if self.rules.strict {
            statement::check(&self.held, &self.rules).map_err(|reason| refused(&self.held, &reason))?;
        }
        match statement::change(&self.held, &self.rules) {
            Some(Change { span, to }) => {
                out.extend_from_slice(&self.held[..span.start]);
                out.extend_from_slice(&to);
                out.extend_from_slice(&self.held[span.end..]);
                self.held.clear();
            }
            None => out.append(&mut self.held),
        }
        Ok(())
    }
}

impl Filter for DumpFilter {
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut input = bytes;
        while !input.is_empty() {
            let before = input;
            if let Some(insert) = &mut self.insert {
                let ended = insert.feed(&mut input)?;
                let taken = &before[..before.len() - input.len()];
                if self.rules.strict {
                    self.rows.check(taken, self.lexer.escapes())?;
                }
                out.extend_from_slice(taken);
                if ended {
                    self.insert = None;
                }
                continue;
            }
            let item = self.lexer.next(&mut input)?;
            self.held.extend_from_slice(&before[..before.len() - input.len()]);
            if let Some(item) = item {
                self.item(item, out)?;
            } else if self.held.len() > HELD {
                if self.rules.strict && !self.passing && !statement::tells_enough(&self.held) {
                    return Err(refused(&self.held, "a long text that says little"));
                }
                self.judge(out)?;
                self.passing = true;
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.held.trim_ascii().is_empty() || !self.rules.strict {
            out.append(&mut self.held);
            return Ok(());
        }
        self.judge(out)
    }
}

fn refused(statement: &[u8], reason: &str) -> Error {
    let start: String = readable(&statement[..statement.len().min(200)]).trim().chars().take(60).collect();
    let message =
        format!("the dump holds what no backup of one database does: {reason} in {}", one_line(&start));
    Error::new(ErrorKind::Invalid, "read the dump", message).with_mend(
        "this installation did not make the dump; look at the file, and dump again without what is named, or load \
         it yourself if you trust it",
    )
}

/// Looks at the values of an `INSERT`: a comment, a call or a query among them would be read otherwise by the
/// server than here.
#[derive(Debug, Default)]
struct Rows {
    quote: Option<u8>,
    escaped: bool,
    depth: u32,
    last: u8,
}

impl Rows {
    fn check(&mut self, bytes: &[u8], escapes: Escapes) -> Result<()> {
        for &byte in bytes {
            if let Some(quote) = self.quote {
                if std::mem::take(&mut self.escaped) {
                    continue;
                }
                if byte == b'\\' && escapes.within(quote) {
                    self.escaped = true;
                } else if byte == quote {
                    self.quote = None;
                    self.last = quote;
                }
                continue;
            }
            match byte {
                b'\'' | b'"' | b'`' => self.quote = Some(byte),
                b'(' if self.depth == 0 => self.depth = 1,
                b')' => self.depth = 0,
                b'-' if self.last != b'-' => {}
                b';' if self.depth == 0 => {}
                b',' | b'.' | b'+' | b'_' | b' ' | b'\n' | b'\r' | b'\t' => {}
                byte if byte.is_ascii_alphanumeric() => {}
                _ => return Err(invalid("an INSERT with more than values in it")),
            }
            self.last = byte;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DUMP: &[u8] = br"/*M!999999\- enable the sandbox mode */ 
-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `t`;
CREATE TABLE `t` (`a` int DEFAULT 1, `b;--` text COMMENT 'it''s; DEFINER=`x`@`y`');
LOCK TABLES `t` WRITE;
INSERT INTO `t` VALUES (1,'a;\'b'),(-2.5e10,_binary 'x'),(NULL,0xFF);
UNLOCK TABLES;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER `x` BEFORE INSERT ON `t`
FOR EACH ROW BEGIN -- it's; DROP DATABASE x
SET NEW.a = 2; END */;;
DELIMITER ;
ALTER DATABASE `old` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;
-- Dump completed
";

    fn filtered(dump: &[u8], cuts: &[usize], rules: Rules) -> Result<Vec<u8>> {
        let (mut filter, mut out, mut at) = (DumpFilter::new(rules), Vec::new(), 0);
        for cut in cuts.iter().chain([&dump.len()]) {
            let to = (*cut).clamp(at, dump.len());
            filter.pass(&dump[at..to], &mut out)?;
            at = to;
        }
        filter.end(&mut out)?;
        Ok(out)
    }

    fn rules(strict: bool, disown: bool) -> Rules {
        Rules { into: "new".to_owned(), strict, disown }
    }

    #[test]
    fn what_a_dump_tool_wrote_passes_but_for_names_and_owners() {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let renamed = text(DUMP).replace("ALTER DATABASE `old`", "ALTER DATABASE `new`");
        assert_eq!(text(&filtered(DUMP, &[], rules(false, false)).unwrap()), renamed);
        let disowned = renamed.replace("DEFINER=`root`@`localhost`*/", "*/");
        assert_eq!(text(&filtered(DUMP, &[], rules(true, true)).unwrap()), disowned);
        assert!(filtered(DUMP, &[], rules(true, false)).unwrap_err().message().contains("DEFINER"));
    }

    #[test]
    fn a_statement_of_any_length_is_held_back_in_part_only() {
        let mut dump = b"CREATE DEFINER=`a`@`b` PROCEDURE `p`() SELECT '".to_vec();
        dump.resize(3 << 20, b'x');
        dump.extend_from_slice(b"';\n");
        let mut filter = DumpFilter::new(rules(true, true));
        let mut out = Vec::new();
        for piece in dump.chunks(CHUNK) {
            filter.pass(piece, &mut out).unwrap();
            assert!(filter.held.len() <= HELD + CHUNK);
        }
        filter.end(&mut out).unwrap();
        assert!(out.starts_with(b"CREATE  PROCEDURE `p`()") && out.ends_with(b"xx';\n"));
        assert_eq!(out.len(), dump.len() - "DEFINER=`a`@`b`".len());
    }
    const CHUNK: usize = 10_000;

    #[test]
    fn nothing_hides_behind_a_long_comment_or_blank_or_name() {
        let long = "x".repeat(HELD + CHUNK);
        for start in [
            format!("/* {long} */\nDROP DATABASE x;\n"),
            format!("/* {long} CREATE TABLE t (a int) */ DROP DATABASE x;\n"),
            format!("-- {long}\nDROP DATABASE x;\n"),
            format!("{}DROP DATABASE x;\n", long.replace('x', " ")),
            format!("CREATE {} DATABASE x;\n", long.replace('x', " ")),
            format!("CREATE /* {long} */ DATABASE x;\n"),
            format!("CREATE DEFINER='{long}' USER x;\n"),
            format!("SET @a = '{long}', GLOBAL x = 1;\n"),
            format!("CREATE TABLE t (a text DEFAULT '{long}');\nDROP DATABASE x;\n"),
        ] {
            for cut in [1, HELD - 1, HELD + 1, HELD + CHUNK] {
                assert!(filtered(start.as_bytes(), &[cut], rules(true, true)).is_err(), "{}", &start[..30]);
            }
        }
    }

    #[test]
    fn values_alone_pass_in_an_insert() {
        for row in ["1 /* ' */", "(SELECT 1)", "SLEEP(1)", "1 -- '\n", "1 # x\n", "@@version", "1;2"] {
            let dump = format!("INSERT INTO `t` VALUES ({row});\n");
            assert!(filtered(dump.as_bytes(), &[], rules(true, false)).is_err(), "{row}");
        }
        for row in ["-1", "1e-5", "'--'", "'a\\'/*'", "NULL,0x00,b'1',_utf8mb4 'x'", "\"#\""] {
            let dump = format!("INSERT INTO `t` VALUES ({row}),({row});\n");
            assert_eq!(filtered(dump.as_bytes(), &[], rules(true, false)).unwrap(), dump.as_bytes(), "{row}");
        }
    }

    proptest! {
        #[test]
        fn a_dump_may_be_cut_anywhere(mut cuts in prop::collection::vec(0..DUMP.len(), 0..20)) {
            cuts.sort_unstable();
            let whole = filtered(DUMP, &[], rules(true, true)).unwrap();
            prop_assert_eq!(filtered(DUMP, &cuts, rules(true, true)).unwrap(), whole);
        }

        #[test]
        fn any_bytes_are_passed_or_refused_without_a_panic(bytes: Vec<u8>, strict: bool) {
            let _result = filtered(&bytes, &[], rules(strict, true));
        }
    }
}
