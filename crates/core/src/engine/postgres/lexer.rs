//! Cuts the SQL of a dump into statements, comments and `psql` commands, without being misled by
//! what stands inside quotes: a function's body may look like a whole dump of its own.

use super::name::{invalid, is_word_byte};
use super::statement::{Meaning, Statement};
use super::words::Word;
use crate::error::Result;
use crate::fingerprint::Fingerprint;

/// So much of a comment or a `psql` command is kept.
const LINE: usize = 4096;
/// A dollar quote's tag is not longer.
const TAG: usize = 64 * 1024;

/// What came to its end in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A statement, with its semicolon.
    Statement(Meaning),
    /// A comment between statements; [`Lexer::line`] has the text of a line comment.
    Comment,
    /// A backslash command between statements; [`Lexer::line`] has it.
    Command,
}

/// The lexer's memory between two pieces of input.
#[derive(Debug, Clone)]
pub(super) struct Lexer {
    state: State,
    /// Reads the statements' texts.
    pub(super) statement: Statement,
    in_statement: bool,
    parentheses: u32,
    standard_strings: bool,
    word: Word,
    /// The last word was `E`, and nothing stood between it and what comes.
    escape_prefix: bool,
    continuation: Continuation,
    tag: Vec<u8>,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    Word,
    /// A `-` that may begin a comment.
    Dash,
    /// A `/` that may begin a comment.
    Slash,
    LineComment,
    BlockComment {
        depth: u32,
        last: u8,
    },
    Quote {
        escapes: bool,
    },
    QuoteBackslash,
    /// A `'` that ends the quote, unless another follows.
    QuoteEnd {
        escapes: bool,
    },
    Identifier,
    DollarTag,
    DollarBody,
    /// So many bytes of the closing tag were met.
    DollarEnd(usize),
    Command,
}

/// `E'a'`, a newline and `'b'` are one string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Continuation {
    No,
    IfNewline,
    Yes,
}

/// How far a step came.
struct Step {
    used: usize,
    item: Option<Item>,
}

fn used(used: usize) -> Step {
    Step { used, item: None }
}

impl Lexer {
    /// A lexer that reads statements with `statement`, backslashes in ordinary quotes being literal.
    pub(super) fn new(statement: Statement) -> Self {
        Self {
            state: State::Code,
            statement,
            in_statement: false,
            parentheses: 0,
            standard_strings: true,
            word: Word::default(),
            escape_prefix: false,
            continuation: Continuation::No,
            tag: Vec::new(),
            line: Vec::new(),
        }
    }

    /// Says whether backslashes in ordinary quotes are literal.
    pub(super) fn set_standard_strings(&mut self, standard: bool) {
        self.standard_strings = standard;
    }

    /// The text of the last comment line or command, without its newline, cut at 4 KiB.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// What the input so far ends within; `None` between statements.
    pub(super) fn within(&self) -> Option<&'static str> {
        Some(match self.state {
            State::Quote { .. } | State::QuoteBackslash => "a quoted string",
            State::Identifier => "a quoted name",
            State::DollarTag | State::DollarBody | State::DollarEnd(_) => "a dollar-quoted string",
            State::LineComment | State::BlockComment { .. } | State::Dash | State::Slash => "a comment",
            State::Command => "a psql command",
            _ if self.in_statement => "a statement",
            State::Code | State::Word | State::QuoteEnd { .. } => return None,
        })
    }

    /// Reads `input` up to the end of the next item, or all of it.
    pub(super) fn next(&mut self, input: &mut &[u8], tables: &mut Fingerprint) -> Result<Option<Item>> {
        let bytes = *input;
        let mut at = 0;
        let mut text = 0;
        while at < bytes.len() {
            let outside = !self.in_statement;
            let step = self.step(&bytes[at..])?;
            if outside && self.in_statement {
                text = at;
            }
            at += step.used;
            let Some(mut item) = step.item else { continue };
            if matches!(item, Item::Statement(_)) {
                self.statement.text(&bytes[text..at])?;
                item = Item::Statement(self.end_statement(tables)?);
            }
            *input = &bytes[at..];
            return Ok(Some(item));
        }
        if self.in_statement {
            self.statement.text(&bytes[text..])?;
        }
        *input = &[];
        Ok(None)
    }

    fn end_statement(&mut self, tables: &mut Fingerprint) -> Result<Meaning> {
        self.in_statement = false;
        let meaning = self.statement.end(tables)?;
        if let Meaning::StandardStrings(standard) = meaning {
            self.standard_strings = standard;
        }
        Ok(meaning)
    }

    /// Reads on until the state changes or the bytes, never none, end.
    fn step(&mut self, bytes: &[u8]) -> Result<Step> {
        match self.state {
            State::Code if self.in_statement => self.code(bytes),
            State::Code => self.between(bytes),
            State::Word => Ok(self.word(bytes)),
            State::Dash | State::Slash => self.maybe_comment(bytes[0]),
            State::LineComment | State::Command => Ok(self.rest_of_line(bytes)),
            State::BlockComment { depth, last } => Ok(self.block_comment(bytes, depth, last)),
            State::Quote { escapes } => Ok(self.quote(bytes, escapes)),
            State::QuoteBackslash => Ok(self.enter(State::Quote { escapes: true }, 1)),
            State::QuoteEnd { escapes } => Ok(self.quote_end(bytes[0], escapes)),
            State::Identifier => Ok(match memchr::memchr(b'"', bytes) {
                Some(end) => self.enter(State::Code, end + 1),
                None => used(bytes.len()),
            }),
            State::DollarTag => self.dollar_tag(bytes[0]),
            State::DollarBody => Ok(match memchr::memchr(b'$', bytes) {
                Some(start) => self.enter(State::DollarEnd(0), start + 1),
                None => used(bytes.len()),
            }),
            State::DollarEnd(matched) => Ok(self.dollar_end(bytes[0], matched)),
        }
    }

    fn enter(&mut self, state: State, count: usize) -> Step {
        self.state = state;
        used(count)
    }

    /// Between statements, where comments and commands stand.
    fn between(&mut self, bytes: &[u8]) -> Result<Step> {
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank > 0 {
            return Ok(used(blank));
        }
        self.line.clear();
        self.continuation = Continuation::No;
        self.escape_prefix = false;
        match bytes[0] {
            b'-' => Ok(self.enter(State::Dash, 1)),
            b'/' => Ok(self.enter(State::Slash, 1)),
            b'\\' => Ok(self.enter(State::Command, 0)),
            _ => {
                self.in_statement = true;
                self.parentheses = 0;
                self.code(bytes)
            }
        }
    }

    /// Inside a statement and outside of words, quotes and comments.
    fn code(&mut self, bytes: &[u8]) -> Result<Step> {
        for (at, &byte) in bytes.iter().enumerate() {
            let next = match byte {
                b'\n' if self.continuation != Continuation::No => {
                    self.continuation = Continuation::Yes;
                    State::Code
                }
                byte if byte.is_ascii_whitespace() => State::Code,
                b'$' => self.symbol(State::DollarTag),
                byte if is_word_byte(byte) => {
                    self.word = Word::default();
                    self.symbol_free(State::Word)
                }
                b'\'' => {
                    let escapes = !self.standard_strings
                        || self.escape_prefix
                        || self.continuation == Continuation::Yes;
                    self.symbol(State::Quote { escapes })
                }
                b'"' => self.symbol(State::Identifier),
                b'-' => State::Dash,
                b'/' => State::Slash,
                b';' if self.parentheses == 0 && self.statement.words.may_end() => {
                    return Ok(Step { used: at + 1, item: Some(Item::Statement(Meaning::Other)) });
                }
                b'\\' => return Err(invalid("a backslash outside of quotes, where pg_dump writes none")),
                0..=31 | 127 => {
                    return Err(invalid("a control character outside of quotes: this is no plain dump"));
                }
                byte => {
                    self.nest(byte);
                    self.symbol(State::Code)
                }
            };
            self.escape_prefix = false;
            if next != State::Code {
                self.tag.clear();
                // A word is read from its first byte.
                return Ok(self.enter(next, if next == State::Word { at } else { at + 1 }));
            }
        }
        Ok(used(bytes.len()))
    }

    fn nest(&mut self, byte: u8) {
        match byte {
            b'(' => self.parentheses = self.parentheses.saturating_add(1),
            b')' => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
    }

    fn symbol(&mut self, next: State) -> State {
        self.statement.words.other();
        self.symbol_free(next)
    }

    fn symbol_free(&mut self, next: State) -> State {
        self.continuation = Continuation::No;
        next
    }

    fn word(&mut self, bytes: &[u8]) -> Step {
        let end = bytes.iter().position(|&byte| !is_word_byte(byte));
        self.word.take(&bytes[..end.unwrap_or(bytes.len())]);
        let Some(end) = end else { return used(bytes.len()) };
        if self.word.is_number() {
            self.statement.words.other();
        } else {
            self.statement.words.word(&self.word, self.parentheses == 0);
        }
        self.escape_prefix = self.word.folded() == b"e";
        self.enter(State::Code, end)
    }

    fn maybe_comment(&mut self, byte: u8) -> Result<Step> {
        match (self.state, byte) {
            (State::Dash, b'-') => {
                self.line.extend_from_slice(b"--");
                Ok(self.enter(State::LineComment, 1))
            }
            (State::Slash, b'*') => Ok(self.enter(State::BlockComment { depth: 1, last: 0 }, 1)),
            _ if self.in_statement => {
                let code = self.symbol(State::Code);
                Ok(self.enter(code, 0))
            }
            _ => Err(invalid("an operator between statements: this is no plain dump")),
        }
    }

    fn rest_of_line(&mut self, bytes: &[u8]) -> Step {
        let end = memchr::memchr(b'\n', bytes);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        if !self.in_statement {
            let kept = text.len().min(LINE.saturating_sub(self.line.len()));
            self.line.extend_from_slice(&text[..kept]);
        }
        let Some(end) = end else { return used(bytes.len()) };
        let item = match self.state {
            State::Command => Some(Item::Command),
            _ if self.in_statement => None,
            _ => Some(Item::Comment),
        };
        self.state = State::Code;
        // Inside a statement the newline still counts as one.
        Step { used: if self.in_statement { end } else { end + 1 }, item }
    }

    fn block_comment(&mut self, bytes: &[u8], mut depth: u32, mut last: u8) -> Step {
        for (at, &byte) in bytes.iter().enumerate() {
            match (last, byte) {
                (b'/', b'*') => (depth, last) = (depth.saturating_add(1), 0),
                (b'*', b'/') => (depth, last) = (depth - 1, 0),
                _ => last = byte,
            }
            if depth == 0 {
                self.state = State::Code;
                let item = (!self.in_statement).then_some(Item::Comment);
                return Step { used: at + 1, item };
            }
        }
        self.enter(State::BlockComment { depth, last }, bytes.len())
    }

    fn quote(&mut self, bytes: &[u8], escapes: bool) -> Step {
        let special =
            if escapes { memchr::memchr2(b'\'', b'\\', bytes) } else { memchr::memchr(b'\'', bytes) };
        match special {
            None => used(bytes.len()),
            Some(at) if bytes[at] == b'\\' => self.enter(State::QuoteBackslash, at + 1),
            Some(at) => self.enter(State::QuoteEnd { escapes }, at + 1),
        }
    }

    fn quote_end(&mut self, byte: u8, escapes: bool) -> Step {
        if byte == b'\'' {
            return self.enter(State::Quote { escapes }, 1);
        }
        self.continuation = if escapes { Continuation::IfNewline } else { Continuation::No };
        self.enter(State::Code, 0)
    }

    fn dollar_tag(&mut self, byte: u8) -> Result<Step> {
        if byte == b'$' {
            self.tag.push(b'$');
            return Ok(self.enter(State::DollarBody, 1));
        }
        let digit_first = self.tag.is_empty() && byte.is_ascii_digit();
        if !is_word_byte(byte) || digit_first {
            return Ok(self.enter(State::Code, 0));
        }
        if self.tag.len() == TAG {
            return Err(invalid("a dollar quote whose tag does not end"));
        }
        self.tag.push(byte);
        Ok(used(1))
    }

    fn dollar_end(&mut self, byte: u8, matched: usize) -> Step {
        if self.tag.get(matched) == Some(&byte) {
            let whole = matched + 1 == self.tag.len();
            return self.enter(if whole { State::Code } else { State::DollarEnd(matched + 1) }, 1);
        }
        // No tag holds a dollar sign, so a failed match can only begin anew at the byte that failed.
        self.enter(State::DollarBody, 0)
    }
}
