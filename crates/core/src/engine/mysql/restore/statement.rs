//! What a statement of a dump is about, as far as its beginning tells.

use std::ops::Range;

use super::filter::Rules;
use super::state::quoted;

/// A piece of a statement that is replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) span: Range<usize>,
    pub(super) to: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// In capitals.
    Word(String),
    /// A name in backticks, without them.
    Name(Vec<u8>),
    /// In other quotes.
    Text,
    Mark(u8),
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    span: Range<usize>,
    /// It stands in a comment that some servers take for code.
    conditional: bool,
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(&self.kind, Kind::Word(found) if found == word)
    }

    fn is_mark(&self, mark: u8) -> bool {
        self.kind == Kind::Mark(mark)
    }

    fn is_text(&self) -> bool {
        !matches!(self.kind, Kind::Mark(_))
    }
}

/// Kinds of objects that a dump makes and drops.
const KINDS: [&str; 8] =
    ["TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE", "PACKAGE"];
/// What may stand between `CREATE` and the kind, beside whom it runs as.
const BEFORE_KIND: [&str; 12] = [
    "OR",
    "REPLACE",
    "ALGORITHM",
    "UNDEFINED",
    "MERGE",
    "TEMPTABLE",
    "SQL",
    "SECURITY",
    "INVOKER",
    "DEFINER",
    "AGGREGATE",
    "TEMPORARY",
];
/// Engines whose tables lie elsewhere.
const FOREIGN_ENGINES: [&str; 5] = ["FEDERATED", "FEDERATEDX", "CONNECT", "SPIDER", "S3"];

/// Why a statement of a dump of unknown origin is refused. Comments that some servers take for code are read as
/// code and as comments.
pub(super) fn check(statement: &[u8], rules: &Rules) -> Result<(), String> {
    let all = tokens(statement);
    let plain: Vec<Token> = all.iter().filter(|token| !token.conditional).cloned().collect();
    for tokens in [&all, &plain] {
        check_tokens(tokens, rules)?;
    }
    Ok(())
}

/// Whether the beginning of a long statement may stand for all of it: dump tools make long objects, with long
/// bodies, and no long comments.
pub(super) fn tells_enough(beginning: &[u8]) -> bool {
    let tokens = tokens(beginning);
    let told: usize = tokens.iter().map(|token| token.span.len()).sum();
    tokens.first().is_some_and(|verb| verb.is("CREATE")) && told >= beginning.len() / 2
}

fn check_tokens(tokens: &[Token], rules: &Rules) -> Result<(), String> {
    let Some(first) = tokens.first() else { return Ok(()) };
    // A delimiter alone is no statement.
    if tokens.iter().all(|token| token.is_mark(b';')) {
        return Ok(());
    }
    let Kind::Word(verb) = &first.kind else { return Err("something that is no statement".to_owned()) };
    everywhere(tokens)?;
    let rest = &tokens[1..];
    let second = |words: &[&str]| rest.first().is_some_and(|token| words.iter().any(|word| token.is(word)));
    match verb.as_str() {
        "SET" => check_set(rest),
        "CREATE" => check_create(rest, rules),
        "DROP" | "ALTER" => check_other(verb, rest, rules),
        "LOCK" if second(&["TABLES", "TABLE"]) => check_name(&rest[1..], rules),
        "UNLOCK" | "COMMIT" => Ok(()),
        "START" if second(&["TRANSACTION"]) => Ok(()),
        "DO" | "SELECT" if second(&["SETVAL"]) => Ok(()),
        "USE" if rest.first().is_some_and(|token| is_ours(token, rules)) => Ok(()),
        "USE" => Err("USE of another database".to_owned()),
        // The server would read it, and the observer does not.
        verb => Err(verb.to_owned()),
    }
}

fn everywhere(tokens: &[Token]) -> Result<(), String> {
    for pair in tokens.windows(2) {
        if pair[0].is("INTO") && (pair[1].is("OUTFILE") || pair[1].is("DUMPFILE")) {
            return Err("INTO OUTFILE".to_owned());
        }
        if pair[0].is("LOAD_FILE") && pair[1].is_mark(b'(') {
            return Err("LOAD_FILE".to_owned());
        }
    }
    Ok(())
}

fn check_set(tokens: &[Token]) -> Result<(), String> {
    let global = ["GLOBAL", "PERSIST", "PERSIST_ONLY"];
    if tokens.iter().any(|token| global.iter().any(|word| token.is(word))) {
        return Err("SET GLOBAL (dump with --set-gtid-purged=OFF)".to_owned());
    }
    let other = ["PASSWORD", "ROLE", "DEFAULT", "RESOURCE"];
    if tokens.first().is_some_and(|token| other.iter().any(|word| token.is(word))) {
        return Err("SET of an account".to_owned());
    }
    Ok(())
}

fn check_create(tokens: &[Token], rules: &Rules) -> Result<(), String> {
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if token.is("DEFINER") && tokens.get(at + 1).is_some_and(|next| next.is_mark(b'=')) {
            if !rules.disown && !tokens.get(at + 2).is_some_and(|user| user.is("CURRENT_USER")) {
                return Err("DEFINER of another account (restore with ownership none)".to_owned());
            }
            at = end_of_account(tokens, at + 2);
        } else if token.is_mark(b'=') || BEFORE_KIND.iter().any(|word| token.is(word)) {
            at += 1;
        } else {
            break;
        }
    }
    let Some(kind) = tokens.get(at) else { return Err("CREATE of nothing".to_owned()) };
    if !KINDS.iter().any(|word| kind.is(word)) {
        return Err(format!("CREATE {}", word_of(kind)));
    }
    let name = after_conditions(&tokens[at + 1..]);
    check_name(name, rules)?;
    if kind.is("TABLE") {
        check_table(name)?;
    }
    // A function from a library has no parameters.
    let from_library = kind.is("FUNCTION") && name.get(1).is_some_and(|token| token.is("RETURNS"));
    if from_library { Err("a function from a library".to_owned()) } else { Ok(()) }
}

fn check_table(tokens: &[Token]) -> Result<(), String> {
    for (at, token) in tokens.iter().enumerate() {
        if token.is("DIRECTORY")
            && tokens[..at].last().is_some_and(|before| before.is("DATA") || before.is("INDEX"))
        {
            return Err("a table in a folder of its own".to_owned());
        }
        let value = tokens[at + 1..].iter().find(|next| !next.is_mark(b'='));
        if token.is("ENGINE")
            && value.is_some_and(|value| FOREIGN_ENGINES.iter().any(|engine| value.is(engine)))
        {
            return Err("a table that lies elsewhere".to_owned());
        }
    }
    Ok(())
}

fn check_other(verb: &str, tokens: &[Token], rules: &Rules) -> Result<(), String> {
    let Some(kind) = tokens.first() else { return Err(verb.to_owned()) };
    let is_database = kind.is("DATABASE") || kind.is("SCHEMA");
    let allowed = match verb {
        "DROP" => KINDS.iter().any(|word| kind.is(word)),
        _ => kind.is("TABLE") || is_database,
    };
    if !allowed {
        return Err(format!("{verb} {}", word_of(kind)));
    }
    // Its name is replaced.
    if is_database { Ok(()) } else { check_name(after_conditions(&tokens[1..]), rules) }
}

/// The name that follows, whether it is one of the database that is loaded into.
fn check_name(tokens: &[Token], rules: &Rules) -> Result<(), String> {
    let qualified = tokens.get(1).is_some_and(|token| token.is_mark(b'.'));
    match tokens.first() {
        Some(name) if qualified && !is_ours(name, rules) => Err("a name of another database".to_owned()),
        _ => Ok(()),
    }
}

fn is_ours(token: &Token, rules: &Rules) -> bool {
    match &token.kind {
        Kind::Name(name) => *name == rules.into.as_bytes(),
        Kind::Word(word) => *word == rules.into.to_ascii_uppercase(),
        _ => false,
    }
}

/// What follows `BODY` and `IF [NOT] EXISTS`.
fn after_conditions(tokens: &[Token]) -> &[Token] {
    let words = ["BODY", "IF", "NOT", "EXISTS"];
    let skipped = tokens.iter().take_while(|token| words.iter().any(|word| token.is(word))).count();
    &tokens[skipped..]
}

fn word_of(token: &Token) -> &str {
    match &token.kind {
        Kind::Word(word) => word,
        _ => "of something else",
    }
}

/// What is rewritten in a statement, if anything is.
pub(super) fn change(statement: &[u8], rules: &Rules) -> Option<Change> {
    let tokens = tokens(statement);
    let first = tokens.first()?;
    if first.is("ALTER") {
        return alter_database(&tokens, rules);
    }
    if !first.is("CREATE") || !rules.disown {
        return None;
    }
    let mut at = 1;
    while let Some(token) = tokens.get(at) {
        if token.is("DEFINER") && tokens.get(at + 1).is_some_and(|next| next.is_mark(b'=')) {
            let end = end_of_account(&tokens, at + 2);
            let span = token.span.start..tokens.get(end - 1)?.span.end;
            return Some(Change { span, to: vec![] });
        }
        if !token.is_mark(b'=') && !BEFORE_KIND.iter().any(|word| token.is(word)) {
            return None;
        }
        at += 1;
    }
    None
}

/// Dump tools write it around routines that were made when the database had another collation.
fn alter_database(tokens: &[Token], rules: &Rules) -> Option<Change> {
    if !tokens.get(1).is_some_and(|token| token.is("DATABASE") || token.is("SCHEMA")) {
        return None;
    }
    let name = tokens.get(2)?;
    let options = ["CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "ENCRYPTION", "READ", "COMMENT", "UPGRADE"];
    if options.iter().any(|word| name.is(word)) {
        return None;
    }
    Some(Change { span: name.span.clone(), to: quoted(&rules.into).into_bytes() })
}

/// Behind the account that begins at `at`: `user@host`, `user`, or `CURRENT_USER()`.
fn end_of_account(tokens: &[Token], at: usize) -> usize {
    let marked = |at: usize, mark: u8| tokens.get(at).is_some_and(|token| token.is_mark(mark));
    let with_host = marked(at + 1, b'@') && tokens.get(at + 2).is_some_and(Token::is_text);
    let called = marked(at + 1, b'(') && marked(at + 2, b')');
    if with_host || called { at + 3 } else { (at + 1).min(tokens.len()) }
}

/// Cuts a statement, with what stands before it, into tokens. A `DELIMITER` line before it is left out.
fn tokens(bytes: &[u8]) -> Vec<Token> {
    let mut scan = Scan { bytes, at: 0, conditional: 0 };
    let mut tokens: Vec<Token> = Vec::new();
    while let Some(token) = scan.next() {
        if tokens.is_empty() && token.is("DELIMITER") {
            scan.at += memchr::memchr(b'\n', &bytes[scan.at..]).unwrap_or(bytes.len() - scan.at);
            continue;
        }
        tokens.push(token);
    }
    tokens
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Comments that are code and open here.
    conditional: u32,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }

    fn next(&mut self) -> Option<Token> {
        while self.skip_blank() {}
        let start = self.at;
        let first = *self.rest().first()?;
        let kind = match first {
            b'`' => Kind::Name(self.quoted(b'`')),
            b'\'' | b'"' => {
                self.quoted(first);
                Kind::Text
            }
            byte if is_word(byte) => {
                let length = self.rest().iter().take_while(|byte| is_word(**byte)).count();
                let word = String::from_utf8_lossy(&self.rest()[..length]).to_ascii_uppercase();
                self.at += length;
                Kind::Word(word)
            }
            byte => {
                self.at += 1;
                Kind::Mark(byte)
            }
        };
        Some(Token { kind, span: start..self.at, conditional: self.conditional > 0 })
    }

    /// Skips one blank, comment, or mark of a comment that is code; false when there is none.
    fn skip_blank(&mut self) -> bool {
        let rest = self.rest();
        let line = || memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let length = match rest {
            [byte, ..] if byte.is_ascii_whitespace() => 1,
            [b'#', ..] => line(),
            [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => line(),
            [b'/', b'*', b'!', after @ ..] => {
                self.conditional += 1;
                return self.skip(3 + digits(after));
            }
            [b'/', b'*', b'M', b'!', after @ ..] => {
                self.conditional += 1;
                return self.skip(4 + digits(after));
            }
            [b'/', b'*', after @ ..] => memchr::memmem::find(after, b"*/").map_or(rest.len(), |end| end + 4),
            [b'*', b'/', ..] if self.conditional > 0 => {
                self.conditional -= 1;
                2
            }
            _ => return false,
        };
        self.skip(length)
    }

    fn skip(&mut self, length: usize) -> bool {
        self.at += length;
        true
    }

    /// Behind the closing quote; answers what stood between, with doubled quotes made single.
    fn quoted(&mut self, quote: u8) -> Vec<u8> {
        let mut value = Vec::new();
        self.at += 1;
        while let Some(&byte) = self.rest().first() {
            self.at += 1;
            if byte == quote {
                if self.rest().first() != Some(&quote) {
                    break;
                }
                self.at += 1;
            } else if byte == b'\\' && quote != b'`' {
                self.at += 1;
            }
            value.push(byte);
        }
        self.at = self.at.min(self.bytes.len());
        value
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The version in a comment that is code: five or six digits.
fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests;
