//! What a statement of a dump does to owners, grants and transactions, judged from its words.
//!
//! Only whole statements are judged, as the lexer cut them: what stands in a quote or in a function's body
//! is one token and never a word.

use super::super::name::is_word_byte;

/// A piece of a statement's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A bare word, folded to lower case.
    Word(Vec<u8>),
    /// A quoted name, without its quotes.
    Name(Vec<u8>),
    /// A string.
    Text,
    /// Any other character.
    Mark(u8),
}

/// What matters of a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nature {
    /// It begins or ends a transaction.
    pub(super) transaction: Option<Transaction>,
    /// It says who owns or may do something.
    pub(super) ownership: bool,
    /// It sets where tables lie.
    pub(super) tablespace: bool,
    /// The roles that it names, as bytes in the dump's encoding.
    pub(super) roles: Vec<Vec<u8>>,
}

/// What a statement does to the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    /// `BEGIN;` and nothing more.
    Begin,
    /// `COMMIT;` and nothing more.
    Commit,
    /// Anything else.
    Other,
}

/// Words that stand for roles and name none.
const NOBODY: [&[u8]; 4] = [b"public", b"current_user", b"session_user", b"current_role"];
/// What may stand behind a list of roles.
const AFTER: [&[u8]; 9] =
    [b"with", b"granted", b"cascade", b"restrict", b"using", b"grant", b"revoke", b"in", b"server"];

/// Reads a statement, or the beginning of one that is too long to be read whole.
pub(super) fn nature(statement: &[u8]) -> Nature {
    let Some(first) = Tokens(statement).next() else { return Nature::default() };
    let Token::Word(first) = first else { return Nature::default() };
    match first.as_slice() {
        b"begin" | b"commit" | b"start" | b"end" | b"rollback" | b"abort" | b"savepoint" | b"release"
        | b"prepare" => Nature { transaction: transaction(statement), ..Nature::default() },
        b"alter" | b"grant" | b"revoke" | b"set" | b"reset" | b"create" => judge(&first, statement),
        _ => Nature::default(),
    }
}

/// Whether a statement makes, changes or drops what does not belong to one database alone.
pub(super) fn concerns_server(statement: &[u8]) -> bool {
    let mut tokens = Tokens(statement);
    let (Some(Token::Word(verb)), Some(Token::Word(what))) = (tokens.next(), tokens.next()) else {
        return false;
    };
    let verbs: [&[u8]; 4] = [b"create", b"alter", b"drop", b"reassign"];
    let things: [&[u8]; 7] = [b"database", b"role", b"user", b"group", b"tablespace", b"system", b"owned"];
    // ALTER DEFAULT PRIVILEGES and CREATE USER MAPPING are a database's own.
    let mapping = what == b"user" && matches!(tokens.next(), Some(Token::Word(word)) if word == b"mapping");
    verbs.contains(&verb.as_slice()) && things.contains(&what.as_slice()) && !mapping
}

fn transaction(statement: &[u8]) -> Option<Transaction> {
    let mut tokens = Tokens(statement);
    let (first, second) = (tokens.next()?, tokens.next());
    let alone = matches!(second, Some(Token::Mark(b';')));
    let Token::Word(first) = first else { return None };
    match first.as_slice() {
        b"begin" if alone => Some(Transaction::Begin),
        b"commit" if alone => Some(Transaction::Commit),
        // A prepared statement is none.
        b"prepare" if matches!(&second, Some(Token::Word(word)) if word != b"transaction") => None,
        _ => Some(Transaction::Other),
    }
}

fn judge(first: &[u8], statement: &[u8]) -> Nature {
    let second = match Tokens(statement).nth(1) {
        Some(Token::Word(second)) => second,
        _ => Vec::new(),
    };
    let roles = |keywords: &[&[u8]]| named(statement, keywords);
    match (first, second.as_slice()) {
        (b"alter", b"default") => {
            Nature { ownership: true, roles: roles(&[b"role", b"to", b"from"]), ..Nature::default() }
        }
        (b"alter", _) => {
            let owner = owner(statement);
            Nature { ownership: owner.is_some(), roles: owner.into_iter().collect(), ..Nature::default() }
        }
        (b"grant", _) => Nature { ownership: true, roles: roles(&[b"to"]), ..Nature::default() },
        (b"revoke", _) => Nature { ownership: true, roles: roles(&[b"from"]), ..Nature::default() },
        (b"set" | b"reset", b"session" | b"role") => Nature { ownership: true, ..Nature::default() },
        (b"set", b"default_tablespace") => Nature { tablespace: true, ..Nature::default() },
        (b"create", b"policy") => Nature { roles: roles(&[b"to"]), ..Nature::default() },
        (b"create", b"user") => Nature { roles: roles(&[b"for"]), ..Nature::default() },
        _ => Nature::default(),
    }
}

/// The role of `ALTER … OWNER TO role;`, which are its last words.
fn owner(statement: &[u8]) -> Option<Vec<u8>> {
    let mut last: [Option<Token>; 4] = [None, None, None, None];
    for token in Tokens(statement) {
        last.rotate_left(1);
        last[3] = Some(token);
    }
    let [Some(Token::Word(owner)), Some(Token::Word(to)), Some(role), Some(Token::Mark(b';'))] = last else {
        return None;
    };
    match role {
        Token::Word(role) | Token::Name(role) if owner == b"owner" && to == b"to" => Some(role),
        _ => None,
    }
}

/// The lists of roles that follow these keywords, outside of parentheses.
fn named(statement: &[u8], keywords: &[&[u8]]) -> Vec<Vec<u8>> {
    let (mut roles, mut depth, mut listing) = (Vec::new(), 0_u32, false);
    for token in Tokens(statement) {
        match token {
            Token::Mark(b'(') => depth += 1,
            Token::Mark(b')') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Token::Word(word) if keywords.contains(&word.as_slice()) => listing = true,
            Token::Word(word) if AFTER.contains(&word.as_slice()) => listing = false,
            Token::Word(role) if listing && !NOBODY.contains(&role.as_slice()) => roles.push(role),
            Token::Name(role) if listing => roles.push(role),
            _ => {}
        }
    }
    roles
}

/// Cuts a statement into tokens.
struct Tokens<'a>(&'a [u8]);

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let blank = self.0.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.0 = &self.0[blank..];
            let comment = comment(self.0);
            if comment == 0 {
                break;
            }
            self.0 = &self.0[comment..];
        }
        let (token, length) = token(self.0)?;
        self.0 = &self.0[length..];
        Some(token)
    }
}

/// How long the comment is that `bytes` begin with.
fn comment(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"--") {
        memchr::memchr(b'\n', bytes).unwrap_or(bytes.len())
    } else if bytes.starts_with(b"/*") {
        memchr::memmem::find(bytes, b"*/").map_or(bytes.len(), |end| end + 2)
    } else {
        0
    }
}

fn token(bytes: &[u8]) -> Option<(Token, usize)> {
    Some(match bytes.first()? {
        b'"' => {
            let (name, length) = quoted(bytes, b'"');
            (Token::Name(name), length)
        }
        b'\'' => (Token::Text, quoted(bytes, b'\'').1),
        &byte if is_word_byte(byte) && byte != b'$' => {
            let length = bytes.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(bytes.len());
            (Token::Word(bytes[..length].to_ascii_lowercase()), length)
        }
        &byte => (Token::Mark(byte), 1),
    })
}

/// What stands between quotes, doubled ones taken for one, and how long it is with them.
fn quoted(bytes: &[u8], quote: u8) -> (Vec<u8>, usize) {
    let (mut inner, mut at) = (Vec::new(), 1);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if byte == quote {
            if bytes.get(at) != Some(&quote) {
                break;
            }
            at += 1;
        }
        inner.push(byte);
    }
    (inner, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(sql: &str) -> Vec<String> {
        nature(sql.as_bytes()).roles.into_iter().map(|role| String::from_utf8(role).unwrap()).collect()
    }

    #[test]
    fn the_roles_of_a_statement_are_found_and_nothing_else() {
        for (sql, expected) in [
            ("ALTER TABLE app.\"x OWNER TO y\" OWNER TO \"Sales \"\"team\"\"\";", vec!["Sales \"team\""]),
            (
                "GRANT SELECT(\"to\"),INSERT ON TABLE a.b TO bob, \"Eve\" WITH GRANT OPTION;",
                vec!["bob", "Eve"],
            ),
            ("GRANT ALL ON FUNCTION f(a integer, b text) TO PUBLIC;", vec![]),
            ("REVOKE ALL ON SCHEMA s FROM anna;", vec!["anna"]),
            ("ALTER DEFAULT PRIVILEGES FOR ROLE x IN SCHEMA s GRANT SELECT ON TABLES TO y;", vec!["x", "y"]),
            ("CREATE POLICY p ON t FOR SELECT TO a, \"B\" USING ((c > 'to z'::text));", vec!["a", "B"]),
            ("CREATE USER MAPPING FOR m SERVER s OPTIONS (a 'b');", vec!["m"]),
            ("ALTER TABLE t ADD CONSTRAINT c CHECK ((a <> 'OWNER TO x'));", vec![]),
            ("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'ALTER TABLE t OWNER TO x;';", vec![]),
        ] {
            assert_eq!(roles(sql), expected, "{sql}");
        }
    }

    #[test]
    fn owners_and_grants_are_told_from_all_else() {
        for sql in ["\nALTER TYPE t OWNER TO x;", "grant a on b to c;", "SET SESSION AUTHORIZATION 'x';"] {
            assert!(nature(sql.as_bytes()).ownership, "{sql}");
        }
        for sql in ["ALTER TABLE t ADD COLUMN owner text;", "SET search_path = x;", "COPY t FROM stdin;"] {
            assert!(!nature(sql.as_bytes()).ownership, "{sql}");
        }
    }

    #[test]
    fn what_ends_a_transaction_is_found_behind_comments_too() {
        let transaction = |sql: &str| nature(sql.as_bytes()).transaction;
        assert_eq!(transaction("\n\nBEGIN;"), Some(Transaction::Begin));
        assert_eq!(transaction("COMMIT;"), Some(Transaction::Commit));
        assert_eq!(transaction("COMMIT /* x */ AND CHAIN;"), Some(Transaction::Other));
        assert_eq!(transaction("/* x */ -- y\nEnd;"), Some(Transaction::Other));
        assert_eq!(transaction("PREPARE x AS SELECT 1;"), None);
        assert_eq!(transaction("PREPARE TRANSACTION 'x';"), Some(Transaction::Other));
    }
}
