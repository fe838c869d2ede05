//! Cuts a dump into statements and comments as the `mysql` client would that loads it, without being
//! misled by what stands inside quotes, comments and routines: a routine's body may look like a whole
//! dump of its own.

use crate::engine::wording::invalid;
use crate::error::Result;

/// So much of a comment is kept.
const LINE: usize = 512;
/// So much of a statement is kept: enough for a name of 64 characters, each a doubled quote, and for
/// every SQL mode there is.
const HEAD: usize = 4096;
/// MariaDB's dumps begin with it since 2024: a command to the client, in a comment for servers.
const SANDBOX: &[u8] = b"/*M!999999\\-";
const INSERT: &[u8] = b"INSERT INTO ";
const DELIMITER: &[u8] = b"DELIMITER ";

/// What came to its end in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    /// A statement, with its delimiter; [`Lexer::head`] has its beginning.
    Statement,
    /// A comment between statements; [`Lexer::line`] has the text of a line comment.
    Comment,
    /// The words `INSERT INTO`; the rest of that statement is not the lexer's.
    Insert,
}

/// In which quotes a backslash makes the next byte ordinary, by the server's mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// In those of strings.
    Strings,
    /// In single ones: double ones are those of names (`ANSI_QUOTES`).
    Single,
    /// In none (`NO_BACKSLASH_ESCAPES`).
    Nowhere,
}

impl Escapes {
    /// Whether it does between these quotes.
    pub(super) fn within(self, quote: u8) -> bool {
        match quote {
            b'\'' => self != Self::Nowhere,
            b'"' => self == Self::Strings,
            _ => false,
        }
    }
}

/// The lexer's memory between two pieces of input.
#[derive(Debug, Clone)]
pub(super) struct Lexer {
    state: State,
    in_statement: bool,
    /// Statements end with `;;` instead of `;`.
    doubled: bool,
    /// `INSERT INTO` is an item of its own.
    tells_inserts: bool,
    escapes: Escapes,
    head: Vec<u8>,
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of the sandbox command were met at the dump's beginning.
    Start(usize),
    /// Code of a statement, or between statements.
    Code,
    /// The first word of a statement, kept in the head.
    Opening,
    /// The rest of a `DELIMITER` line, kept in the head.
    DelimiterLine,
    /// The first `;` of `;;`.
    Semicolon,
    /// A backslash that may begin `\N`.
    Backslash,
    /// One `-` that may begin a comment, or two.
    Dash,
    Dashes,
    /// `/`, `/*` and `/*M` that may begin a comment.
    Slash,
    SlashStar,
    SlashStarM,
    LineComment,
    BlockComment {
        star: bool,
    },
    Quote(u8),
    QuoteEscape(u8),
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
    pub(super) fn new() -> Self {
        Self {
            state: State::Start(0),
            in_statement: false,
            doubled: false,
            tells_inserts: true,
            escapes: Escapes::Strings,
            head: Vec::new(),
            line: Vec::new(),
        }
    }

    /// The text of the last comment line, without its newline, cut at 512 bytes.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The last statement's text without comments inside it, cut at 4 KiB.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// In which quotes a backslash makes the next byte ordinary.
    pub(super) fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// Whether [`Item::Insert`] is told, or is a statement like any other.
    pub(super) fn tell_inserts(&mut self, tell: bool) {
        self.tells_inserts = tell;
    }

    pub(super) fn set_escapes(&mut self, escapes: Escapes) {
        self.escapes = escapes;
    }

    /// Whether statements end as they do outside of routines.
    pub(super) fn is_outside_routines(&self) -> bool {
        !self.doubled
    }

    /// What the input so far ends within; `None` between statements.
    pub(super) fn within(&self) -> Option<&'static str> {
        Some(match self.state {
            State::Quote(b'`') | State::QuoteEscape(b'`') => "a quoted name",
            State::Quote(_) | State::QuoteEscape(_) => "a quoted string",
            State::LineComment
            | State::BlockComment { .. }
            | State::Dash
            | State::Dashes
            | State::Slash
            | State::SlashStar
            | State::SlashStarM => "a comment",
            State::Start(1..) => "its first line",
            State::DelimiterLine => "a DELIMITER line",
            State::Opening | State::Semicolon | State::Backslash => "a statement",
            State::Code if self.in_statement => "a statement",
            State::Code | State::Start(0) => return None,
        })
    }

    /// Reads `input` up to the end of the next item, or all of it.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Item>> {
        while !input.is_empty() {
            let step = self.step(input)?;
            *input = &input[step.used..];
            if step.item.is_some() {
                return Ok(step.item);
            }
        }
        Ok(None)
    }

    /// Reads on until the state changes or the bytes, never none, end.
    fn step(&mut self, bytes: &[u8]) -> Result<Step> {
        Ok(match self.state {
            State::Start(matched) => self.start(bytes[0], matched),
            State::Code if self.in_statement => self.code(bytes)?,
            State::Code => self.between(bytes)?,
            State::Opening => self.opening(bytes[0]),
            State::DelimiterLine => self.delimiter_line(bytes[0])?,
            State::Semicolon if bytes[0] == b';' => self.end_statement(1),
            State::Semicolon => self.resume(b";"),
            // The old word for NULL, which routines may hold.
            State::Backslash if bytes[0] == b'N' => self.resume(b"\\"),
            State::Backslash => {
                return Err(invalid("a backslash outside of quotes, where mysqldump writes none"));
            }
            State::Dash if bytes[0] == b'-' => self.enter(State::Dashes, 1),
            State::Dash => self.resume(b"-"),
            State::Dashes => self.dashes(bytes[0]),
            State::Slash if bytes[0] == b'*' => self.enter(State::SlashStar, 1),
            State::Slash => self.resume(b"/"),
            State::SlashStar => self.slash_star(bytes[0]),
            State::SlashStarM if bytes[0] == b'!' => self.resume(b"/*M"),
            State::SlashStarM => self.enter(State::BlockComment { star: false }, 0),
            State::LineComment => self.line_comment(bytes),
            State::BlockComment { star } => self.block_comment(bytes, star),
            State::Quote(quote) => self.quote(bytes, quote),
            State::QuoteEscape(quote) => {
                self.keep(&bytes[..1]);
                self.enter(State::Quote(quote), 1)
            }
        })
    }

    fn enter(&mut self, state: State, count: usize) -> Step {
        self.state = state;
        used(count)
    }

    /// What was held back turned out to be code of a statement.
    fn resume(&mut self, held: &[u8]) -> Step {
        self.begin();
        self.keep(held);
        self.enter(State::Code, 0)
    }

    fn begin(&mut self) {
        if !self.in_statement {
            self.in_statement = true;
            self.head.clear();
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_statement(&mut self, count: usize) -> Step {
        self.state = State::Code;
        self.in_statement = false;
        Step { used: count, item: Some(Item::Statement) }
    }

    /// A client that knows no sandbox would read the rest of the line as a statement's beginning.
    fn start(&mut self, byte: u8, matched: usize) -> Step {
        if byte == SANDBOX[matched] {
            let whole = matched + 1 == SANDBOX.len();
            return self.enter(if whole { State::LineComment } else { State::Start(matched + 1) }, 1);
        }
        // Something else begins alike. What was met of it is followed by no byte that is special in it.
        let met = &SANDBOX[..matched];
        match met {
            b"" => self.enter(State::Code, 0),
            b"/" => self.enter(State::Slash, 0),
            b"/*" => self.enter(State::SlashStar, 0),
            b"/*M" => self.enter(State::SlashStarM, 0),
            _ => self.resume(met),
        }
    }

    /// Between statements, where comments and `DELIMITER` stand.
    fn between(&mut self, bytes: &[u8]) -> Result<Step> {
        let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank > 0 {
            return Ok(used(blank));
        }
        self.line.clear();
        match bytes[0] {
            b'-' => Ok(self.enter(State::Dash, 1)),
            b'/' => Ok(self.enter(State::Slash, 1)),
            b'#' => Ok(self.enter(State::LineComment, 0)),
            b'D' | b'd' | b'I' => {
                self.begin();
                Ok(self.enter(State::Opening, 0))
            }
            _ => {
                self.begin();
                self.code(bytes)
            }
        }
    }

    fn opening(&mut self, byte: u8) -> Step {
        let at = self.head.len();
        if at < INSERT.len() && self.head == INSERT[..at] && INSERT[at] == byte {
            self.head.push(byte);
            if self.head.len() == INSERT.len() && !self.doubled && self.tells_inserts {
                self.in_statement = false;
                self.state = State::Code;
                return Step { used: 1, item: Some(Item::Insert) };
            }
            return used(1);
        }
        let alike = |(byte, wanted): (&u8, &u8)| byte.eq_ignore_ascii_case(wanted);
        let so_far = self.head.iter().chain([&byte]).zip(DELIMITER).all(alike);
        if at < DELIMITER.len() && so_far {
            self.head.push(byte);
            if self.head.len() == DELIMITER.len() {
                self.head.clear();
                self.state = State::DelimiterLine;
            }
            return used(1);
        }
        self.enter(State::Code, 0)
    }

    fn delimiter_line(&mut self, byte: u8) -> Result<Step> {
        if byte != b'\n' {
            self.keep(&[byte]);
            return Ok(used(1));
        }
        self.doubled = match self.head.trim_ascii() {
            b";" => false,
            b";;" => true,
            _ => return Err(invalid("a DELIMITER that mysqldump does not write")),
        };
        self.in_statement = false;
        Ok(self.enter(State::Code, 1))
    }

    /// Inside a statement and outside of quotes and comments.
    fn code(&mut self, bytes: &[u8]) -> Result<Step> {
        let special = |byte: &u8| matches!(byte, b'\'' | b'"' | b'`' | b'-' | b'/' | b'#' | b';' | b'\\' | 0);
        let plain = bytes.iter().position(special);
        self.keep(&bytes[..plain.unwrap_or(bytes.len())]);
        let Some(at) = plain else { return Ok(used(bytes.len())) };
        let next = match bytes[at] {
            b'-' => State::Dash,
            b'/' => State::Slash,
            b'#' => return Ok(self.enter(State::LineComment, at)),
            b';' if self.doubled => State::Semicolon,
            b';' => return Ok(self.end_statement(at + 1)),
            b'\\' => State::Backslash,
            0 => return Err(invalid("a NUL outside of quotes: this is no dump in SQL")),
            quote => {
                self.keep(&[quote]);
                State::Quote(quote)
            }
        };
        Ok(self.enter(next, at + 1))
    }

    /// In a statement two dashes are a comment only before a blank.
    fn dashes(&mut self, byte: u8) -> Step {
        if self.in_statement && !byte.is_ascii_whitespace() && !byte.is_ascii_control() {
            return self.resume(b"--");
        }
        if !self.in_statement {
            self.line.extend_from_slice(b"--");
        }
        self.enter(State::LineComment, 0)
    }

    /// Comments with these marks are code to a server.
    fn slash_star(&mut self, byte: u8) -> Step {
        match byte {
            b'!' | b'+' => self.resume(b"/*"),
            b'M' => self.enter(State::SlashStarM, 1),
            _ => self.enter(State::BlockComment { star: false }, 0),
        }
    }

    fn line_comment(&mut self, bytes: &[u8]) -> Step {
        let end = memchr::memchr(b'\n', bytes);
        let text = &bytes[..end.unwrap_or(bytes.len())];
        if !self.in_statement {
            let room = LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
        }
        let Some(end) = end else { return used(bytes.len()) };
        self.state = State::Code;
        let item = (!self.in_statement).then_some(Item::Comment);
        // Inside a statement the newline still counts as one.
        Step { used: if self.in_statement { end } else { end + 1 }, item }
    }

    fn block_comment(&mut self, bytes: &[u8], mut star: bool) -> Step {
        for (at, &byte) in bytes.iter().enumerate() {
            if star && byte == b'/' {
                self.state = State::Code;
                let item = (!self.in_statement).then_some(Item::Comment);
                return Step { used: at + 1, item };
            }
            star = byte == b'*';
        }
        self.enter(State::BlockComment { star }, bytes.len())
    }

    /// A doubled quote ends one string and begins another, which comes to the same.
    fn quote(&mut self, bytes: &[u8], quote: u8) -> Step {
        let escapes = self.escapes.within(quote);
        let special =
            if escapes { memchr::memchr2(quote, b'\\', bytes) } else { memchr::memchr(quote, bytes) };
        let end = special.map_or(bytes.len(), |at| at + 1);
        self.keep(&bytes[..end]);
        match special {
            None => used(end),
            Some(at) if bytes[at] == quote => self.enter(State::Code, end),
            Some(_) => self.enter(State::QuoteEscape(quote), end),
        }
    }
}
