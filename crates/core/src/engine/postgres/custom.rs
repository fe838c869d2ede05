//! Watches an archive in `pg_dump`'s custom format.

use super::contents::{Contents, Entry, Kind};
use super::large_object::LargeObject;
use super::lexer::{Item, Lexer};
use super::name::{LARGE_OBJECTS, cut_off, incomplete, invalid, one_line};
use super::rows::CopyRows;
use super::scanner::{Offset, Scanner, length_of};
use super::statement::Statement;
use crate::engine::observe::{Observed, Observer};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;

const DATA: u8 = 1;
const OBJECTS: u8 = 3;

/// Watches the output of `pg_dump -Fc -Z0`, archive versions 1.12 to 1.16 (`PostgreSQL` 9.0 to 18).
///
/// The archive is whole when it ends behind a block, and the blocks are exactly those that its table
/// of contents says have data. Its fingerprint equals that of the same database's plain dump.
#[derive(Debug, Clone)]
pub struct CustomObserver {
    stage: Stage,
    contents: Contents,
    /// Bytes of earlier pieces.
    before: u64,
    tables: Fingerprint,
    /// Somebody else made the archive.
    foreign: bool,
    failed: Option<Error>,
}

#[derive(Debug, Clone)]
enum Stage {
    Contents,
    Blocks(Scanner, Place),
}

/// Where among the blocks.
#[derive(Debug, Clone)]
enum Place {
    /// Before a block, or at the archive's end.
    Between,
    /// In a block's head: its type and the byte it begins at.
    Head { kind: u8, at: u64 },
    /// In a block of large objects, before the next one's number.
    Object,
    /// Among data, of whose current piece so many bytes are left; at 0 the next piece's length comes.
    Data(Data, u64),
}

/// The data that are passing.
#[derive(Debug, Clone)]
enum Data {
    Rows {
        table: String,
        rows: CopyRows,
        ended: bool,
    },
    Statements {
        name: String,
        lexer: Box<Lexer>,
    },
    Object(LargeObject),
    /// Compressed: rows or statements, or one of the large objects.
    Closed {
        name: String,
        object: bool,
    },
}

impl CustomObserver {
    /// An observer at the beginning of an archive.
    pub fn new() -> Self {
        Self {
            stage: Stage::Contents,
            contents: Contents::new(),
            before: 0,
            tables: Fingerprint::default(),
            foreign: false,
            failed: None,
        }
    }

    /// An observer at the beginning of an archive that somebody uploaded: it may be compressed inside, as
    /// `pg_dump -Fc` does by default. Then its blocks are walked all the same, but of what they hold nothing
    /// is told.
    pub fn foreign() -> Self {
        Self { foreign: true, ..Self::new() }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<()> {
        let mut input = bytes;
        if matches!(self.stage, Stage::Contents) {
            let read = self.contents.read(&mut input)?;
            if self.contents.compressed && !self.foreign {
                return Err(invalid("the archive is compressed inside, so its rows cannot be read")
                    .with_mend("make it with pg_dump -Fc -Z0; it is compressed on its way to storage"));
            }
            match read {
                None => {}
                Some(scanner) => self.stage = Stage::Blocks(scanner, Place::Between),
            }
        }
        while !input.is_empty() {
            let at = self.before + (bytes.len() - input.len()) as u64;
            let Stage::Blocks(scanner, place) = &mut self.stage else { break };
            let here = std::mem::replace(place, Place::Between);
            *place = step(here, scanner, &mut input, at, &mut self.contents, &mut self.tables)?;
        }
        self.before += bytes.len() as u64;
        Ok(())
    }

    /// What is missing from a whole archive.
    fn missing(&self) -> Option<Error> {
        let Stage::Blocks(_, place) = &self.stage else {
            return Some(incomplete(format!("the archive ends {}", self.contents.place())));
        };
        match place {
            Place::Between => {}
            Place::Head { .. } => return Some(incomplete("the archive ends inside the head of a block")),
            Place::Object => return Some(incomplete("the archive ends among its large objects")),
            Place::Data(data, _) => return Some(data.cut_off()),
        }
        let (_, first) = self.contents.awaited.first_key_value()?;
        let name = one_line(&first.name);
        let others = self.contents.awaited.len() - 1;
        Some(incomplete(match others {
            0 => format!("the archive ends before the data of {name}"),
            _ => format!("the archive ends before the data of {name} and {others} more"),
        }))
    }
}

/// Reads one thing of a block.
fn step(
    place: Place,
    scanner: &mut Scanner,
    input: &mut &[u8],
    at: u64,
    contents: &mut Contents,
    tables: &mut Fingerprint,
) -> Result<Place> {
    Ok(match place {
        Place::Between => match Scanner::byte(input) {
            Some(kind @ (DATA | OBJECTS)) => Place::Head { kind, at },
            Some(kind) => return Err(invalid(format!("a block of the unknown type {kind} in the archive"))),
            None => Place::Between,
        },
        Place::Head { kind, at } => match scanner.int(input)? {
            Some(id) => open(kind, at, id, contents)?,
            None => Place::Head { kind, at },
        },
        Place::Object => match scanner.int(input)? {
            Some(0) => Place::Between,
            Some(oid) if contents.compressed => {
                let name = format!("large object {}", object_id(oid)?);
                Place::Data(Data::Closed { name, object: true }, 0)
            }
            Some(oid) => Place::Data(Data::Object(LargeObject::new(object_id(oid)?)), 0),
            None => Place::Object,
        },
        Place::Data(mut data, mut left) => {
            if pieces(&mut data, &mut left, scanner, input, tables)? {
                data.end(tables)?
            } else {
                Place::Data(data, left)
            }
        }
    })
}

/// Reads pieces of data, of which uncompressed archives have one a row, until `input` ends or the
/// empty one that says `true`: there are no more.
fn pieces(
    data: &mut Data,
    left: &mut u64,
    scanner: &mut Scanner,
    input: &mut &[u8],
    tables: &mut Fingerprint,
) -> Result<bool> {
    while !input.is_empty() {
        if *left == 0 {
            match scanner.int(input)? {
                Some(0) => return Ok(true),
                Some(length) => *left = length_of(length)?,
                None => return Ok(false),
            }
        }
        let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let (piece, rest) = input.split_at(here);
        *input = rest;
        *left -= here as u64;
        data.take(piece, tables)?;
    }
    Ok(false)
}

/// The block of an entry, which must be awaited, of its kind, and where the entry says.
fn open(kind: u8, at: u64, id: i64, contents: &mut Contents) -> Result<Place> {
    let Some(Entry { kind: expected, offset, name }) = contents.awaited.remove(&id) else {
        return Err(invalid(format!("a block for entry {id} of the archive, which has none to come")));
    };
    if matches!(offset, Offset::At(told) if told != at) {
        return Err(invalid(format!("the data of {} are not where the archive says", one_line(&name))));
    }
    Ok(match (kind, expected) {
        (OBJECTS, Kind::Objects) => Place::Object,
        (DATA, Kind::Rows | Kind::Statements(_)) if contents.compressed => {
            Place::Data(Data::Closed { name, object: false }, 0)
        }
        (DATA, Kind::Rows) => {
            Place::Data(Data::Rows { table: name, rows: CopyRows::default(), ended: false }, 0)
        }
        (DATA, Kind::Statements(schema)) => {
            let mut lexer = Box::new(Lexer::new(Statement::in_schema(schema)));
            lexer.set_standard_strings(contents.standard_strings);
            Place::Data(Data::Statements { name, lexer }, 0)
        }
        _ => return Err(invalid(format!("a block of type {kind} for {}", one_line(&name)))),
    })
}

/// Object ids are unsigned, and written as integers that are not.
fn object_id(value: i64) -> Result<u32> {
    let unsigned = if value < 0 { value + (1 << 32) } else { value };
    u32::try_from(unsigned).map_err(|_| invalid(format!("a large object with the number {value}")))
}

impl Data {
    fn take(&mut self, bytes: &[u8], tables: &mut Fingerprint) -> Result<()> {
        let mut input = bytes;
        match self {
            Self::Rows { table, rows, ended } => {
                *ended = *ended || rows.feed(&mut input);
                if *ended && input.iter().any(|&byte| byte != b'\n') {
                    return Err(invalid(format!("rows of table {} behind their end", one_line(table))));
                }
            }
            Self::Statements { name, lexer } => {
                while !input.is_empty() {
                    if let Some(Item::Command) = lexer.next(&mut input, tables)? {
                        return Err(invalid(format!("a psql command in the data of {}", one_line(name))));
                    }
                }
            }
            Self::Object(object) => object.take(bytes),
            Self::Closed { .. } => {}
        }
        Ok(())
    }

    /// The data are over: counts them, and says where their block goes on.
    fn end(self, tables: &mut Fingerprint) -> Result<Place> {
        match self {
            Self::Rows { table, rows, ended: true } => {
                *tables.table(&table) += rows.table();
                Ok(Place::Between)
            }
            Self::Statements { lexer, .. } if lexer.within().is_none() => Ok(Place::Between),
            Self::Object(object) => {
                tables.table(LARGE_OBJECTS).add_digest(object.digest());
                Ok(Place::Object)
            }
            Self::Closed { object, .. } => Ok(if object { Place::Object } else { Place::Between }),
            Self::Rows { .. } | Self::Statements { .. } => Err(self.cut_off()),
        }
    }

    fn cut_off(&self) -> Error {
        match self {
            Self::Rows { table, rows, .. } => cut_off(table, rows.table().rows),
            Self::Statements { name, .. } | Self::Closed { name, .. } => {
                incomplete(format!("the archive ends inside the data of {}", one_line(name)))
            }
            Self::Object(object) => object.cut_off(),
        }
    }
}

impl Default for CustomObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for CustomObserver {
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed.is_none() {
            self.failed = self.read(bytes).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn finish(self: Box<Self>) -> Result<Observed> {
        match self.failed.clone().or_else(|| self.missing()) {
            Some(error) => Err(error),
            None => Ok(Observed {
                fingerprint: self.tables,
                server_version: self.contents.server_version,
                tool_version: self.contents.tool_version,
                consistency: None,
            }),
        }
    }
}
