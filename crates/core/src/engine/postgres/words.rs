//! The few words of a statement by which a reader knows what it is and where it ends.

/// Longer words than the longest that matters are all the same.
const LONGEST: usize = 12;

/// The unquoted words of one statement, seen one by one.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    first: First,
    tail: Tail,
    routine: Routine,
    begin: bool,
    /// How many `BEGIN ATOMIC` and `CASE` of a routine's SQL body are open.
    body_depth: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum First {
    #[default]
    None,
    Copy,
    Other,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Tail {
    #[default]
    Other,
    From,
    FromStdin,
}

/// How much of `CREATE [OR REPLACE] {FUNCTION | PROCEDURE}` was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Routine {
    #[default]
    Nothing,
    Create,
    Or,
    Replace,
    Whole,
    No,
}

impl Words {
    /// The next word, and whether it stands outside all parentheses.
    pub(super) fn word(&mut self, word: &Word, outside: bool) {
        let word = word.folded();
        if self.first == First::None {
            self.first = if word == b"copy" { First::Copy } else { First::Other };
        }
        self.tail = match (&self.tail, word) {
            (_, b"from") if outside => Tail::From,
            (Tail::From, b"stdin") if outside => Tail::FromStdin,
            _ => Tail::Other,
        };
        match self.routine {
            Routine::Whole if outside => self.body_word(word),
            Routine::Whole | Routine::No => {}
            _ => self.routine = self.routine.after(word),
        }
    }

    /// Something else than a word: a quote, a symbol, a number.
    pub(super) fn other(&mut self) {
        self.tail = Tail::Other;
        self.begin = false;
        if self.first == First::None {
            self.first = First::Other;
        }
    }

    /// Whether a semicolon outside of parentheses ends the statement, rather than a statement in
    /// a routine's body.
    pub(super) fn may_end(&self) -> bool {
        self.body_depth == 0
    }

    pub(super) fn begin_with_copy(&self) -> bool {
        self.first == First::Copy
    }

    pub(super) fn end_with_from_stdin(&self) -> bool {
        self.tail == Tail::FromStdin
    }

    /// `BEGIN` alone is not enough: a routine may be called `begin`.
    fn body_word(&mut self, word: &[u8]) {
        let begin = std::mem::replace(&mut self.begin, word == b"begin");
        match word {
            b"atomic" if begin => self.body_depth = self.body_depth.saturating_add(1),
            b"case" if self.body_depth > 0 => self.body_depth = self.body_depth.saturating_add(1),
            b"end" => self.body_depth = self.body_depth.saturating_sub(1),
            _ => {}
        }
    }
}

impl Routine {
    fn after(&self, word: &[u8]) -> Self {
        match (self, word) {
            (Self::Nothing, b"create") => Self::Create,
            (Self::Create, b"or") => Self::Or,
            (Self::Or, b"replace") => Self::Replace,
            (Self::Create | Self::Replace, b"function" | b"procedure") => Self::Whole,
            _ => Self::No,
        }
    }
}

/// A word that is being read, folded to lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Word {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().take(LONGEST - self.length) {
            self.bytes[self.length] = byte.to_ascii_lowercase();
            self.length += 1;
        }
    }

    pub(super) fn folded(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn is_number(&self) -> bool {
        self.bytes[0].is_ascii_digit()
    }
}
