//! A dump's SQL on its way into `psql`: proven to hold nothing that acts on this machine, and changed
//! where the restore asks for it.
//!
//! `psql` runs commands that begin with a backslash: a dump may hold one that starts a program. None
//! passes this filter but the rows of `COPY` and what stands in quotes; and what passes is wrapped in a
//! `\restrict` with a key that the dump cannot know, so that a `psql` which reads quotes differently (a
//! setting, an encoding) refuses what the filter did not see.

use super::super::lexer::{Item, Lexer};
use super::super::name::{invalid, one_line, readable};
use super::super::statement::{Meaning, Statement};
use super::rows_end::RowsEnd;
use super::tokens::{Nature, Transaction, concerns_server, nature};
use crate::Result;
use crate::engine::feed::Filter;
use crate::fingerprint::Fingerprint;

/// Longer statements pass in pieces, judged by their beginning.
const HELD: usize = 64 * 1024;
/// Variables whose values come from outside; `psql` would put them into the dump's SQL.
const FORGET: &str =
    "\\unset DBNAME\n\\unset USER\n\\unset HOST\n\\unset PORT\n\\unset SERVICE\n\\unset LAST_ERROR_MESSAGE\n";

/// What is done to a dump's SQL.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four questions, each answered by itself")]
pub(super) struct Rules {
    /// The key of a `\restrict` around everything; none: this `psql` knows none.
    pub(super) restrict: Option<String>,
    /// Everything is one transaction, which commits when the dump was found whole.
    pub(super) single: bool,
    /// This installation made the dump: nothing in it is meant to harm.
    pub(super) trusted: bool,
    /// Owners and grants are left out.
    pub(super) ownerless: bool,
    /// Roles are made before they are named, unless owners and grants are left out, and tablespaces are left
    /// out.
    pub(super) scratch: bool,
    /// SQL that comes first.
    pub(super) prelude: String,
}

/// The filter.
pub(super) struct Script {
    rules: Rules,
    lexer: Lexer,
    /// The lexer counts rows of `INSERT` here; nobody asks.
    uncounted: Fingerprint,
    mode: Mode,
    begun: bool,
    ending: Ending,
    /// What came since the last statement ended, and is not judged yet.
    held: Vec<u8>,
    /// The beginning of this statement was passed on.
    passing: bool,
    roles: Vec<Vec<u8>>,
}

enum Mode {
    Sql,
    /// The rows begin after the newline.
    CopyLine,
    Rows(RowsEnd),
}

/// How far the dump's own `\restrict` is.
enum Ending {
    /// There was no statement yet, and no `\restrict`.
    Start,
    /// Statements came first, so that none may come.
    Unrestricted,
    /// It is open, with that token.
    Restricted(Vec<u8>),
    /// It was closed; nothing may follow.
    Closed,
}

impl Script {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            lexer: Lexer::new(Statement::default()),
            uncounted: Fingerprint::default(),
            mode: Mode::Sql,
            begun: false,
            ending: Ending::Start,
            held: Vec::new(),
            passing: false,
            roles: Vec::new(),
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        out.extend_from_slice(FORGET.as_bytes());
        if let Some(key) = &self.rules.restrict {
            out.extend_from_slice(format!("\\restrict {key}\n").as_bytes());
        }
        if self.rules.single {
            out.extend_from_slice(b"BEGIN;\n");
        }
        out.extend_from_slice(self.rules.prelude.as_bytes());
    }

    fn sql(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<()> {
        let before = *input;
        let item = self.lexer.next(input, &mut self.uncounted)?;
        let read = &before[..before.len() - input.len()];
        if self.passing {
            out.extend_from_slice(read);
        } else {
            self.held.extend_from_slice(read);
        }
        match item {
            Some(item) => self.item(item, out),
            None if self.held.len() > HELD => self.pass_on(out),
            None => Ok(()),
        }
    }

    /// Passes the beginning of a long statement on.
    fn pass_on(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.lexer.within() == Some("a psql command") {
            return Err(command("of many thousand letters"));
        }
        self.statement()?;
        if self.rules.single && nature(&self.held).transaction.is_some() {
            return Err(invalid("a statement about transactions that has no end"));
        }
        self.passing = true;
        out.append(&mut self.held);
        Ok(())
    }

    fn item(&mut self, item: Item, out: &mut Vec<u8>) -> Result<()> {
        let passing = std::mem::replace(&mut self.passing, false);
        let held = std::mem::take(&mut self.held);
        match item {
            Item::Comment => out.extend_from_slice(&held),
            Item::Command => self.command()?,
            Item::Statement(meaning) => {
                self.statement()?;
                if !passing {
                    self.judge(&held, out)?;
                }
                if matches!(meaning, Meaning::Copy(_)) {
                    self.mode = Mode::CopyLine;
                }
            }
        }
        Ok(())
    }

    /// A statement has come.
    fn statement(&mut self) -> Result<()> {
        match self.ending {
            Ending::Start => self.ending = Ending::Unrestricted,
            Ending::Closed => return Err(invalid("a statement behind the dump's end")),
            Ending::Unrestricted | Ending::Restricted(_) => {}
        }
        Ok(())
    }

    /// The dump's own `\restrict` and the `\unrestrict` that ends it are taken out, by their places.
    fn command(&mut self) -> Result<()> {
        let line = self.lexer.line();
        let (name, token) = match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &b""[..]),
        };
        self.ending = match (&self.ending, name) {
            (Ending::Start, b"\\restrict") if is_key(token) => Ending::Restricted(token.to_vec()),
            (Ending::Restricted(key), b"\\unrestrict") if key == token => Ending::Closed,
            _ => return Err(command(&one_line(&readable(name)))),
        };
        Ok(())
    }

    fn judge(&mut self, statement: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let Nature { transaction, ownership, tablespace, roles } = nature(statement);
        match transaction {
            // Those around large objects; the one transaction is ours.
            Some(Transaction::Begin | Transaction::Commit) if self.rules.single => return Ok(()),
            Some(Transaction::Other) if self.rules.single => {
                return Err(invalid("a statement that ends a transaction, which pg_dump does not write"));
            }
            _ => {}
        }
        if !self.rules.trusted && concerns_server(statement) {
            return Err(invalid(
                "a statement about databases, roles or the server, which pg_dump does not write",
            ));
        }
        let left_out = ownership && self.rules.ownerless || tablespace && self.rules.scratch;
        if left_out {
            return Ok(());
        }
        // Without owners and grants, the server is one whose roles are others'.
        if self.rules.scratch && !self.rules.ownerless {
            for role in roles {
                self.make_role(role, out);
            }
        }
        out.extend_from_slice(statement);
        Ok(())
    }

    fn make_role(&mut self, role: Vec<u8>, out: &mut Vec<u8>) {
        if self.roles.contains(&role) {
            return;
        }
        // In the dump's encoding, whatever that is: bytes that are not ASCII stand as they came.
        let escape = |role: &[u8], special: &[u8]| -> Vec<u8> {
            role.iter().flat_map(|&b| std::iter::repeat_n(b, 1 + usize::from(special.contains(&b)))).collect()
        };
        let value = [b"E'", &*escape(&role, b"'\\"), b"'"].concat();
        let name = [b"\"", &*escape(&role, b"\""), b"\""].concat();
        let body = [
            b"BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ",
            &*value,
            b") THEN CREATE ROLE ",
            &name,
            b" NOLOGIN; END IF; END",
        ]
        .concat();
        out.extend_from_slice(b"\nDO E'");
        out.extend_from_slice(&escape(&body, b"'\\"));
        out.extend_from_slice(b"';\n");
        self.roles.push(role);
    }
}

impl Filter for Script {
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        self.begin(out);
        let mut input = bytes;
        while !input.is_empty() {
            match &mut self.mode {
                Mode::Sql => self.sql(&mut input, out)?,
                Mode::CopyLine => {
                    let rest = input.strip_prefix(b"\n");
                    input = rest.ok_or_else(|| invalid("a COPY that is not alone on its line"))?;
                    out.push(b'\n');
                    self.mode = Mode::Rows(RowsEnd::default());
                }
                Mode::Rows(end) => {
                    let found = end.find(input)?;
                    let (rows, rest) = input.split_at(found.unwrap_or(input.len()));
                    out.extend_from_slice(rows);
                    input = rest;
                    if found.is_some() {
                        self.mode = Mode::Sql;
                    }
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.begin(out);
        if !matches!(self.mode, Mode::Sql) || self.lexer.within().is_some() {
            return Err(invalid("the dump ends in the middle of a statement"));
        }
        out.append(&mut self.held);
        if self.rules.single {
            out.extend_from_slice(b"\nCOMMIT;\n");
        }
        Ok(())
    }
}

/// Whether `pg_dump` could have made this key.
fn is_key(token: &[u8]) -> bool {
    !token.is_empty() && token.iter().all(u8::is_ascii_alphanumeric)
}

fn command(name: &str) -> crate::Error {
    invalid(format!("the psql command {name}, which pg_dump does not write there"))
        .with_mend("somebody made or changed this dump by hand; nothing of it was run behind this point")
}

/// A prelude that waits for nobody long (sessions of others may hold what is to be dropped), and means the
/// catalog's functions and no other.
pub(super) fn guarded(prelude: &str) -> String {
    format!(
        "SET lock_timeout = '15s';\nSET search_path = pg_catalog;\n{prelude}RESET search_path;\n\
         SET lock_timeout = 0;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "--\n-- dump\n--\n\\restrict abc\n\nSET default_tablespace = fast;\nCREATE TABLE t (a text);\n\
        ALTER TABLE t OWNER TO \"An\\na\";\nCREATE FUNCTION f() AS $$\n\\! touch x\nCOMMIT;\n$$;\n\
        COPY public.t (a) FROM stdin;\n\\\\.\nx\n\\\\! y\n\\.\n\nBEGIN;\nSELECT 1;\nCOMMIT;\n\
        GRANT SELECT ON t TO bob, PUBLIC;\n\
        --\n-- end\n--\n\n\\unrestrict abc\n\n";

    fn pass(rules: &Rules, dump: &[u8], piece: usize) -> Result<String> {
        let (mut script, mut out) = (Script::new(rules.clone()), Vec::new());
        for bytes in dump.chunks(piece) {
            script.pass(bytes, &mut out)?;
        }
        script.end(&mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_same_comes_out_however_a_dump_is_cut() {
        let all = Rules {
            restrict: Some("key".to_owned()),
            single: true,
            trusted: true,
            ownerless: true,
            scratch: true,
            prelude: "SELECT 'first';\n".to_owned(),
        };
        for rules in [Rules::default(), all, Rules { scratch: true, ..Rules::default() }] {
            let whole = pass(&rules, DUMP.as_bytes(), usize::MAX).unwrap();
            for piece in 1..40 {
                assert_eq!(pass(&rules, DUMP.as_bytes(), piece).unwrap(), whole, "pieces of {piece}");
            }
        }
    }

    #[test]
    fn only_what_was_asked_for_is_changed() {
        let plain = pass(&Rules::default(), DUMP.as_bytes(), 7).unwrap();
        let expected = DUMP.replace("\\restrict abc\n", "").replace("\n\n\\unrestrict abc\n", "");
        let body = plain.strip_prefix(FORGET).unwrap();
        assert_eq!(
            body.split_whitespace().collect::<Vec<_>>(),
            expected.split_whitespace().collect::<Vec<_>>()
        );

        let single =
            Rules { restrict: Some("key".to_owned()), single: true, ownerless: true, ..Rules::default() };
        let single = pass(&single, DUMP.as_bytes(), 7).unwrap();
        assert!(single.contains("\\restrict key\nBEGIN;\n") && single.ends_with("\nCOMMIT;\n"), "{single}");
        // Ours, and those in the function's body.
        assert_eq!((single.matches("BEGIN;").count(), single.matches("COMMIT;").count()), (1, 2), "{single}");
        assert!(!single.contains("OWNER TO") && !single.contains("GRANT"), "{single}");

        let scratch = pass(&Rules { scratch: true, ..Rules::default() }, DUMP.as_bytes(), 7).unwrap();
        assert!(!scratch.contains("default_tablespace"), "{scratch}");
        let made = scratch.find("CREATE ROLE \"bob\" NOLOGIN").unwrap();
        assert!(made < scratch.find("GRANT SELECT").unwrap());
        assert_eq!(scratch.matches("CREATE ROLE").count(), 2, "{scratch}");
    }

    #[test]
    fn what_acts_on_this_machine_does_not_pass() {
        let rules = Rules { single: true, ..Rules::default() };
        for bad in [
            "\\! touch x\n".to_owned(),
            "SELECT 1;\n\\restrict a\n".to_owned(),
            "\\restrict\n".to_owned(),
            "\\restrict a\n\\unrestrict b\n".to_owned(),
            "\\restrict a\n\\unrestrict a\nSELECT 1;\n".to_owned(),
            "COPY t FROM stdin; SELECT 1;\n".to_owned(),
            "COPY t FROM stdin;\n\\.\r\n\\.\n".to_owned(),
            "SELECT 1 \\g\n;".to_owned(),
            "SELECT 'x".to_owned(),
            format!("\\{}\n", "x".repeat(HELD * 2)),
            format!("COMMIT /*{}*/;\n", "x".repeat(HELD * 2)),
            format!("PREPARE /*{}*/ TRANSACTION 'x';\n", "x".repeat(HELD * 2)),
        ] {
            assert!(pass(&rules, bad.as_bytes(), 1000).is_err(), "{}", &bad[..bad.len().min(60)]);
        }
        let long = format!("INSERT INTO t VALUES ('{}');\n", "\\! x\nCOMMIT;\n".repeat(HELD));
        assert!(pass(&rules, long.as_bytes(), 1000).unwrap().contains(&long));
    }
}
