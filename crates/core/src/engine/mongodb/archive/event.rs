//! What a parser tells.

use super::prelude::{Declared, Header};

/// What was read. `at` is the place of the namespace among the declared ones, from 0.
#[derive(Debug)]
pub enum Event<'a> {
    /// What the archive says of itself; the first event.
    Header(Header),
    /// A collection, one event for each, in the order of `at`.
    Declared(Box<Declared>),
    /// The prelude ended: all collections are known.
    PreludeEnd,
    /// Documents of this namespace may follow.
    Block {
        /// Whose.
        at: usize,
    },
    /// A whole document.
    Document {
        /// Whose.
        at: usize,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// A piece of a document that was not all there; only of a parser for pieces.
    Piece {
        /// Whose.
        at: usize,
        /// Its bytes.
        bytes: &'a [u8],
        /// Whether the document ends with it.
        last: bool,
    },
    /// The namespace ended, and its documents have the checksum that the archive tells.
    End {
        /// Which.
        at: usize,
        /// How many documents it has.
        documents: u64,
    },
}

/// An event without what it borrows.
pub(super) enum Step<'i> {
    Header(Header),
    Declared(Box<Declared>),
    PreludeEnd,
    Block(usize),
    Whole(usize, &'i [u8]),
    Buffered(usize),
    Word(usize),
    Piece(usize, &'i [u8], bool),
    End(usize),
}
