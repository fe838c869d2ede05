//! The beginning of a custom-format archive: its header, and its table of contents.
//!
//! The layout by archive version, from `PostgreSQL` 9.0 (1.12) to 18 (1.16): the header's compression
//! is a level until 1.15 made it the number of an algorithm; an entry has a table access method since
//! 1.14, a kind of relation since 1.16.

use std::collections::BTreeMap;

use super::name::{identifier, invalid, one_line, qualified, quoted, readable};
use super::scanner::{Offset, Scanner, Text};
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"PGDMP";
/// Magic, version (3 bytes), sizes of integers and offsets, format.
const PREAMBLE: usize = MAGIC.len() + 6;
const OLDEST: u8 = 12;
const NEWEST: u8 = 16;
const CUSTOM: u8 = 1;
/// So much of an entry's text is kept where it matters.
const KEPT: usize = 4096;
const COPY: &[u8] = b"COPY ";
/// No entry's number has more digits.
const NUMBER: usize = 20;

/// An entry of the table of contents whose data follow.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) offset: Offset,
    /// The table's name, or what else the entry calls itself, for messages.
    pub(super) name: String,
}

/// What an entry's data are.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Rows as `COPY` takes them.
    Rows,
    /// SQL; names without a schema lie in this one.
    Statements(Option<String>),
    /// Large objects.
    Objects,
}

/// Header and table of contents, as far as they were read.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    stage: Stage,
    scanner: Option<Scanner>,
    preamble: Vec<u8>,
    minor: u8,
    header: usize,
    field: usize,
    draft: Draft,
    counted: u64,
    expected: u64,
    pub(super) server_version: Option<String>,
    pub(super) tool_version: Option<String>,
    /// Whether ordinary quotes in the archive's SQL take backslashes literally.
    pub(super) standard_strings: bool,
    /// Whether data are compressed inside.
    pub(super) compressed: bool,
    /// The entries whose data are still to come, by the number that their block will bear.
    pub(super) awaited: BTreeMap<i64, Entry>,
    /// Every entry, where somebody asked for them.
    listed: Option<Vec<Listed>>,
}

/// An entry of the table of contents, with or without data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// The number by which the archive's tools know it.
    pub(super) id: i64,
    /// What it makes: `TABLE`, `FK CONSTRAINT`, `TABLE DATA`.
    pub(super) kind: String,
    /// Its name; with its table's in front where it lives in one.
    pub(super) tag: String,
    /// The schema it lies in; empty: none.
    pub(super) schema: String,
    /// The numbers of the entries that it needs.
    pub(super) needs: Vec<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preamble,
    Header,
    Count,
    Entries,
    Read,
}

/// The values after the preamble, in their order.
#[derive(Debug, Clone, Copy)]
enum Head {
    Compression,
    /// A part of the date.
    Number,
    Database,
    ServerVersion,
    ToolVersion,
}

const HEADER: [Head; 11] = [
    Head::Compression,
    Head::Number,
    Head::Number,
    Head::Number,
    Head::Number,
    Head::Number,
    Head::Number,
    Head::Number,
    Head::Database,
    Head::ServerVersion,
    Head::ToolVersion,
];

/// An entry's values, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    HasData,
    Tag,
    Description,
    Definition,
    CopyStatement,
    Namespace,
    Dependencies,
    Offset,
    /// A number that does not matter here.
    Number,
    /// A text that does not matter here.
    Skipped,
    /// A text that archives before this minor version do not have.
    SkippedSince(u8),
    /// A number that archives before this minor version do not have.
    NumberSince(u8),
}

const ENTRY: [Field; 18] = [
    Field::Id,
    Field::HasData,
    Field::Skipped, // the catalog's object id
    Field::Skipped, // the object's id
    Field::Tag,
    Field::Description,
    Field::Number, // section
    Field::Definition,
    Field::Skipped, // drop statement
    Field::CopyStatement,
    Field::Namespace,
    Field::Skipped, // tablespace
    Field::SkippedSince(14),
    Field::NumberSince(16),
    Field::Skipped, // owner
    Field::Skipped, // with OIDs
    Field::Dependencies,
    Field::Offset,
];

/// The entry that is being read.
#[derive(Debug, Clone, Default)]
struct Draft {
    id: i64,
    has_data: bool,
    tag: Text,
    description: Text,
    copy: Text,
    namespace: Text,
    needs: Vec<i64>,
}

impl Contents {
    /// One that keeps every entry.
    pub(super) fn listing() -> Self {
        Self { listed: Some(Vec::new()), ..Self::new() }
    }

    /// The entries that were read so far.
    pub(super) fn listed(self) -> Vec<Listed> {
        self.listed.unwrap_or_default()
    }

    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Preamble,
            scanner: None,
            preamble: Vec::with_capacity(PREAMBLE),
            minor: 0,
            header: 0,
            field: 0,
            draft: Draft::default(),
            counted: 0,
            expected: 0,
            server_version: None,
            tool_version: None,
            standard_strings: true,
            compressed: false,
            awaited: BTreeMap::new(),
            listed: None,
        }
    }

    /// Reads on, and answers the scanner when the last entry was read; what follows is left in `input`.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Scanner>> {
        if self.stage == Stage::Preamble && !self.preamble(input)? {
            return Ok(None);
        }
        let Some(mut scanner) = self.scanner.take() else { return Ok(None) };
        while self.stage != Stage::Read {
            let whole = match self.stage {
                Stage::Header => self.header(&mut scanner, input)?,
                Stage::Count => self.count(&mut scanner, input)?,
                _ => self.field(&mut scanner, input)?,
            };
            if !whole {
                self.scanner = Some(scanner);
                return Ok(None);
            }
        }
        Ok(Some(scanner))
    }

    /// Where the archive ends, when it ends before the last entry.
    pub(super) fn place(&self) -> String {
        match self.stage {
            Stage::Preamble | Stage::Header => "inside its header".to_owned(),
            _ => format!("inside its table of contents, after {} of {} entries", self.counted, self.expected),
        }
    }

    fn preamble(&mut self, input: &mut &[u8]) -> Result<bool> {
        let here = input.len().min(PREAMBLE - self.preamble.len());
        let (bytes, rest) = input.split_at(here);
        *input = rest;
        self.preamble.extend_from_slice(bytes);
        let known = self.preamble.len().min(MAGIC.len());
        if self.preamble[..known] != MAGIC[..known] {
            return Err(invalid("this is no archive of pg_dump in custom format"));
        }
        let &[major, minor, _, int_size, offset_size, format] = &self.preamble[known..] else {
            return Ok(false);
        };
        if major != 1 || !(OLDEST..=NEWEST).contains(&minor) {
            return Err(invalid(format!(
                "an archive of version {major}.{minor}, while 1.{OLDEST} to 1.{NEWEST} are known"
            )));
        }
        if format != CUSTOM {
            return Err(invalid("an archive of pg_dump in another format than custom"));
        }
        self.minor = minor;
        self.scanner = Some(Scanner::new(int_size, offset_size)?);
        self.stage = Stage::Header;
        Ok(true)
    }

    fn header(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let whole = match HEADER[self.header] {
            Head::Compression => self.compression(scanner, input)?,
            Head::Number => scanner.int(input)?.is_some(),
            Head::Database => scanner.text(input, 0)?.is_some(),
            Head::ServerVersion => version(scanner, input, &mut self.server_version)?,
            Head::ToolVersion => version(scanner, input, &mut self.tool_version)?,
        };
        self.header += usize::from(whole);
        if self.header == HEADER.len() {
            self.stage = Stage::Count;
        }
        Ok(whole)
    }

    fn compression(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let compression =
            if self.minor >= 15 { Scanner::byte(input).map(i64::from) } else { scanner.int(input)? };
        self.compressed = compression.is_some_and(|compression| compression != 0);
        Ok(compression.is_some())
    }

    fn count(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let Some(count) = scanner.int(input)? else { return Ok(false) };
        self.expected =
            u64::try_from(count).map_err(|_| invalid(format!("the archive tells of {count} entries")))?;
        self.stage = if self.expected == 0 { Stage::Read } else { Stage::Entries };
        Ok(true)
    }

    fn field(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let whole = match ENTRY[self.field] {
            Field::Id => into(&mut self.draft.id, scanner.int(input)?),
            Field::HasData => into(&mut self.draft.has_data, scanner.int(input)?.map(|value| value != 0)),
            Field::Tag => into(&mut self.draft.tag, scanner.text(input, KEPT)?),
            Field::Description => into(&mut self.draft.description, scanner.text(input, KEPT)?),
            Field::CopyStatement => into(&mut self.draft.copy, scanner.text(input, KEPT)?),
            Field::Namespace => into(&mut self.draft.namespace, scanner.text(input, KEPT)?),
            Field::Definition => self.definition(scanner, input)?,
            Field::Dependencies => return self.dependency(scanner, input),
            Field::Offset => return self.offset(scanner, input),
            Field::SkippedSince(minor) if self.minor < minor => true,
            Field::NumberSince(minor) if self.minor < minor => true,
            Field::Skipped | Field::SkippedSince(_) => scanner.text(input, 0)?.is_some(),
            Field::Number | Field::NumberSince(_) => scanner.int(input)?.is_some(),
        };
        self.field += usize::from(whole);
        Ok(whole)
    }

    fn definition(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let Some(text) = scanner.text(input, KEPT)? else { return Ok(false) };
        if self.draft.description.bytes() == b"STDSTRINGS" {
            self.standard_strings = memchr::memmem::find(text.bytes(), b"'off'").is_none();
        }
        Ok(true)
    }

    /// One of the entries that this one depends on; the list ends with a null.
    fn dependency(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let kept = if self.listed.is_some() { NUMBER } else { 0 };
        let Some(text) = scanner.text(input, kept)? else { return Ok(false) };
        let number = std::str::from_utf8(text.bytes()).ok().and_then(|digits| digits.parse::<i64>().ok());
        self.draft.needs.extend(number);
        self.field += usize::from(text.0.is_none());
        Ok(true)
    }

    fn offset(&mut self, scanner: &mut Scanner, input: &mut &[u8]) -> Result<bool> {
        let Some(offset) = scanner.offset(input)? else { return Ok(false) };
        let draft = std::mem::take(&mut self.draft);
        if draft.id <= 0 || draft.has_data == (offset == Offset::NoData) {
            return Err(invalid(format!("entry {} of the archive contradicts itself", draft.id)));
        }
        if draft.has_data && self.awaited.insert(draft.id, draft.entry(offset)?).is_some() {
            return Err(invalid("two entries of the archive have the same number"));
        }
        if let Some(listed) = &mut self.listed {
            listed.push(draft.listed());
        }
        self.field = 0;
        self.counted += 1;
        if self.counted == self.expected {
            self.stage = Stage::Read;
        }
        Ok(true)
    }
}

impl Draft {
    fn listed(self) -> Listed {
        let [kind, tag, schema] =
            [&self.description, &self.tag, &self.namespace].map(|text| readable(text.bytes()));
        Listed { id: self.id, kind, tag, schema, needs: self.needs }
    }

    fn entry(&self, offset: Offset) -> Result<Entry> {
        let schema = self.namespace.0.as_deref().filter(|name| !name.is_empty()).map(quoted);
        let (kind, name) = if self.description.bytes() == b"BLOBS" {
            (Kind::Objects, "the large objects".to_owned())
        } else if let Some(table) = self.copy.bytes().strip_prefix(COPY) {
            let name = identifier(table).and_then(|_| qualified(table, schema.as_deref()));
            (Kind::Rows, name.ok_or_else(|| self.nameless())?)
        } else {
            let name = quoted(self.tag.bytes());
            let name = schema.as_ref().map_or(name.clone(), |schema| format!("{schema}.{name}"));
            (Kind::Statements(schema), name)
        };
        Ok(Entry { kind, offset, name })
    }

    fn nameless(&self) -> Error {
        invalid(format!("entry {} of the archive copies into a table without a name", self.id))
    }
}

fn version(scanner: &mut Scanner, input: &mut &[u8], place: &mut Option<String>) -> Result<bool> {
    let Some(text) = scanner.text(input, KEPT)? else { return Ok(false) };
    *place = text.0.map(|text| one_line(&readable(&text)));
    Ok(true)
}

/// Puts a value that was read in its place, and answers whether there was one.
fn into<T>(place: &mut T, value: Option<T>) -> bool {
    value.map(|value| *place = value).is_some()
}
