//! Reading an archive that comes in pieces.

use super::block::BlockHeader;
use super::event::{Event, Step};
use super::ledger::{Ledger, counted, shown};
use super::namespace::Namespace;
use super::prelude::{Declared, Header};
use super::{EMPTY_DOCUMENT, MAGIC, MAX_PRELUDE, READ_LIMIT, TERMINATOR, WRITE_LIMIT};
use crate::engine::wording::{incomplete, invalid};
use crate::error::{Error, Result};

/// How a stream of gzip begins.
const GZIP: u8 = 0x1f;

/// Reads an archive that comes in pieces, cut anywhere, and holds it to the format's rules: declared
/// namespaces only, each ended once, with the right checksum.
///
/// In memory it keeps the names, and of the rest one document at most: one of the prelude, or, unless it gives
/// pieces, one of a collection ([`READ_LIMIT`]).
#[derive(Clone)]
pub struct Parser {
    place: Place,
    whole: bool,
    /// The first bytes of what comes next: a length or a terminator.
    word: [u8; 4],
    read: usize,
    /// So many bytes are missing from a document that was begun.
    missing: usize,
    buffer: Vec<u8>,
    prelude: usize,
    header: Option<Header>,
    ledger: Ledger,
    failed: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the magic number.
    Start,
    /// At the header.
    Header,
    /// Among the declarations.
    Prelude,
    /// In front of a block, or at the archive's end.
    Between,
    /// Among a namespace's documents.
    Block(usize),
    /// In a block that ended its namespace.
    Ended,
}

impl Parser {
    /// A parser whose documents are whole.
    pub fn new() -> Self {
        Self {
            place: Place::Start,
            whole: true,
            word: [0; 4],
            read: 0,
            missing: 0,
            buffer: Vec::new(),
            prelude: 0,
            header: None,
            ledger: Ledger::default(),
            failed: None,
        }
    }

    /// A parser that gives a document in pieces where its input does, so that it holds none in memory.
    pub fn in_pieces() -> Self {
        Self { whole: false, ..Self::new() }
    }

    /// Reads on until there is something to tell, and takes what it has read off `input`. None says that the
    /// input is used up.
    ///
    /// # Errors
    /// `Invalid` says what no archive can hold; from then on every call answers the same.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Event<'s>>> {
        let step = self.advance(input)?;
        Ok(step.map(|step| self.event(step)))
    }

    /// [`next`](Self::next) for those who borrow from the parser later.
    pub(super) fn advance<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>> {
        if let Some(e) = &self.failed {
            return Err(e.clone());
        }
        let step = self.step(input);
        self.failed = step.as_ref().err().cloned();
        step
    }

    /// The archive's end is here: was everything there that belongs to it?
    ///
    /// # Errors
    /// `Incomplete` says what is missing; or what an earlier call answered.
    pub fn finish(&self) -> Result<()> {
        if let Some(e) = &self.failed {
            return Err(e.clone());
        }
        match self.place {
            Place::Start => return Err(incomplete("the archive ends before it began")),
            Place::Header | Place::Prelude => {
                return Err(incomplete("the archive ends before all its collections were declared"));
            }
            Place::Block(at) => {
                let (name, read) = (shown(self.ledger.namespace(at)), counted(self.ledger.documents(at)));
                return Err(incomplete(format!("the archive ends inside {name} after {read}")));
            }
            Place::Between if self.read == 0 && self.missing == 0 => {}
            Place::Between | Place::Ended => return Err(incomplete("the archive ends inside a block")),
        }
        self.ledger.finish()
    }

    /// The archive's header, once it was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Where the documents of the namespace at that place stand: that of an [`Event`].
    pub fn data_namespace(&self, at: usize) -> &Namespace {
        self.ledger.namespace(at)
    }

    /// The event that a step stands for.
    pub(super) fn event<'s, 'i: 's>(&'s self, step: Step<'i>) -> Event<'s> {
        match step {
            Step::Header(header) => Event::Header(header),
            Step::Declared(declared) => Event::Declared(declared),
            Step::PreludeEnd => Event::PreludeEnd,
            Step::Block(at) => Event::Block { at },
            Step::Whole(at, bytes) => Event::Document { at, bytes },
            Step::Buffered(at) => Event::Document { at, bytes: &self.buffer },
            Step::Word(at) => Event::Piece { at, bytes: &self.word, last: false },
            Step::Piece(at, bytes, last) => Event::Piece { at, bytes, last },
            Step::End(at) => Event::End { at, documents: self.ledger.documents(at) },
        }
    }

    /// The document of a [`Step::Buffered`].
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// How many documents of a namespace were read.
    pub(super) fn documents(&self, at: usize) -> u64 {
        self.ledger.documents(at)
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>> {
        while !input.is_empty() {
            let step = if self.missing > 0 {
                self.body(input)?
            } else if let Some(step) = self.at_once(input)? {
                Some(step)
            } else {
                self.beginning(input)?
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    /// The quick way: a collection's document that is all there.
    fn at_once<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>> {
        let (Place::Block(at), 0) = (self.place, self.read) else { return Ok(None) };
        let Some(word) = input.first_chunk::<4>() else { return Ok(None) };
        let word = u32::from_le_bytes(*word);
        if word == TERMINATOR {
            return Ok(None);
        }
        let length = self.length(word, READ_LIMIT)?;
        let Some((document, rest)) = input.split_at_checked(length) else { return Ok(None) };
        self.closed(document[length - 1])?;
        *input = rest;
        self.ledger.take(at, document);
        self.ledger.count(at);
        Ok(Some(Step::Whole(at, document)))
    }

    /// Reads the four bytes that say what comes.
    fn beginning<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>> {
        let taken = input.len().min(4 - self.read);
        let (head, rest) = input.split_at(taken);
        self.word[self.read..self.read + taken].copy_from_slice(head);
        self.read += taken;
        *input = rest;
        if self.place == Place::Start && !MAGIC.starts_with(&self.word[..self.read]) {
            return Err(no_archive(&self.word[..self.read]));
        }
        if self.read < 4 {
            return Ok(None);
        }
        self.read = 0;
        if self.place == Place::Start {
            self.place = Place::Header;
            return Ok(None);
        }
        match u32::from_le_bytes(self.word) {
            TERMINATOR => self.terminator(),
            word => self.document(word),
        }
    }

    fn terminator<'i>(&mut self) -> Result<Option<Step<'i>>> {
        match self.place {
            Place::Prelude => {
                self.place = Place::Between;
                Ok(Some(Step::PreludeEnd))
            }
            Place::Block(_) | Place::Ended => {
                self.place = Place::Between;
                Ok(None)
            }
            Place::Start | Place::Header | Place::Between => {
                Err(invalid(format!("the archive has an end {} where nothing began", self.place.name())))
            }
        }
    }

    /// A document begins.
    fn document<'i>(&mut self, word: u32) -> Result<Option<Step<'i>>> {
        if self.place == Place::Ended {
            return Err(invalid("the archive has documents in a block that ends a collection"));
        }
        let limit = if matches!(self.place, Place::Block(_)) { READ_LIMIT } else { WRITE_LIMIT };
        let length = self.length(word, limit)?;
        if matches!(self.place, Place::Header | Place::Prelude) {
            self.prelude += length;
            if self.prelude > MAX_PRELUDE {
                let most = MAX_PRELUDE / 1024 / 1024;
                return Err(invalid(format!(
                    "the archive declares its collections in more than {most} MiB, which is not supported"
                )));
            }
        }
        self.missing = length - 4;
        let is_kept = self.whole || !matches!(self.place, Place::Block(_));
        self.buffer.clear();
        self.buffer.reserve_exact(if is_kept { length } else { 0 });
        self.buffer.extend_from_slice(&self.word);
        let Place::Block(at) = self.place else { return Ok(None) };
        self.ledger.take(at, &self.word);
        Ok((!self.whole).then_some(Step::Word(at)))
    }

    /// Reads on in a document.
    fn body<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Step<'i>>> {
        let (piece, rest) = input.split_at(input.len().min(self.missing));
        *input = rest;
        self.missing -= piece.len();
        let last = self.missing == 0;
        if let (true, Some(byte)) = (last, piece.last()) {
            self.closed(*byte)?;
        }
        let Place::Block(at) = self.place else {
            self.buffer.extend_from_slice(piece);
            return if last { self.buffered() } else { Ok(None) };
        };
        self.ledger.take(at, piece);
        if last {
            self.ledger.count(at);
        }
        if !self.whole {
            return Ok(Some(Step::Piece(at, piece, last)));
        }
        self.buffer.extend_from_slice(piece);
        Ok(last.then_some(Step::Buffered(at)))
    }

    /// A document of the prelude, or the beginning of a block, is in the buffer.
    fn buffered<'i>(&mut self) -> Result<Option<Step<'i>>> {
        match self.place {
            Place::Header => {
                let header = Header::decode(&self.buffer)?;
                self.header = Some(header.clone());
                self.place = Place::Prelude;
                Ok(Some(Step::Header(header)))
            }
            Place::Prelude => {
                let declared = Box::new(Declared::decode(&self.buffer)?);
                if let Some(header) = &self.header {
                    self.ledger.declare(header.data_namespace(&declared)?)?;
                }
                Ok(Some(Step::Declared(declared)))
            }
            Place::Between => self.block().map(Some),
            Place::Start | Place::Block(_) | Place::Ended => Ok(None),
        }
    }

    fn block<'i>(&mut self) -> Result<Step<'i>> {
        let BlockHeader { namespace, end } = BlockHeader::decode(&self.buffer)?;
        if let Some(sum) = end {
            let at = self.ledger.end(&namespace, sum)?;
            self.place = Place::Ended;
            return Ok(Step::End(at));
        }
        let at = self.ledger.begin(&namespace)?;
        self.place = Place::Block(at);
        Ok(Step::Block(at))
    }

    fn length(&self, word: u32, limit: usize) -> Result<usize> {
        let length = word as usize;
        if (EMPTY_DOCUMENT..=limit).contains(&length) {
            return Ok(length);
        }
        let (place, found) = (self.place.name(), word.cast_signed());
        Err(invalid(format!(
            "the archive has a document {place} that claims {found} bytes; it can have {EMPTY_DOCUMENT} to {limit}"
        )))
    }

    fn closed(&self, last: u8) -> Result<()> {
        if last == 0 {
            return Ok(());
        }
        Err(invalid(format!(
            "the archive has a document {} that does not end where it says",
            self.place.name()
        )))
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Start | Self::Header => "at its beginning",
            Self::Prelude => "among its declarations",
            Self::Between | Self::Ended => "between its blocks",
            Self::Block(_) => "among a collection's",
        }
    }
}

fn no_archive(found: &[u8]) -> Error {
    // Judged by one byte, so that the answer does not depend on where the input was cut.
    if found.first() == Some(&GZIP) {
        return invalid("it seems to be packed by gzip within the dump").with_mend("unpack it once: gunzip");
    }
    invalid("it does not begin as an archive of mongodump does")
        .with_mend("make the dump by mongodump --archive; a dump directory is something else")
}
