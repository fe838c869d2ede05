//! Watches an archive of `mongodump`.

use std::collections::BTreeSet;

use sha2::Digest as _;

use super::event::Event;
use super::namespace::Namespace;
use super::parser::Parser;
use super::prelude::{Declared, Kind};
use crate::engine::observe::{Observed, Observer};
use crate::engine::wording::{invalid, one_line};
use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, RowHasher, TableFingerprint};

/// Watches what `mongodump --archive` writes, of all versions, and what [`Writer`](super::Writer) does.
///
/// # Why a cut archive cannot pass
/// The prelude declares every collection, and its end is marked. Each declared collection must end with a block
/// of its own, which tells the checksum (CRC-64) of all its documents: so no document can be missing, and
/// none be changed by accident. Nothing may follow but whole blocks of declared collections that have not
/// ended. Cut anywhere, an archive lacks the end of at least one collection; an archive that declares none
/// ends with its prelude, whose end cannot be cut off unseen either.
///
/// # Rows
/// A row is a document, byte by byte. A table is a collection by its name; in a dump of several databases
/// by `database.collection`. The documents of a time series are the server's buckets, and count under the
/// name of the series. A view has none and is no table. Users and roles count under the names that the
/// archive has for them, such as `$admin.system.users`; the oplog as `oplog`.
pub struct ArchiveObserver {
    parser: Parser,
    tables: Vec<Table>,
    hasher: Option<RowHasher>,
    /// Somebody else made the archive.
    foreign: bool,
    observed: Observed,
    failed: Option<Error>,
}

struct Table {
    namespace: Namespace,
    is_view: bool,
    rows: TableFingerprint,
}

impl ArchiveObserver {
    /// An observer at the beginning of an archive.
    pub fn new() -> Self {
        Self {
            parser: Parser::in_pieces(),
            tables: Vec::new(),
            hasher: None,
            foreign: false,
            observed: Observed::default(),
            failed: None,
        }
    }

    /// An observer at the beginning of a file that somebody uploaded. It must hold collections of one database only,
    /// as it is to become one.
    pub fn foreign() -> Self {
        Self { foreign: true, ..Self::new() }
    }

    fn read(&mut self, mut input: &[u8]) -> Result<()> {
        while let Some(event) = self.parser.next(&mut input)? {
            match event {
                Event::Header(header) => {
                    self.observed.server_version = version(&header.server_version);
                    self.observed.tool_version = version(&header.tool_version);
                }
                Event::Declared(declared) => self.tables.push(Table::of(&declared)),
                Event::Document { at, bytes } => self.tables[at].rows.add_row(bytes),
                Event::Piece { at, bytes, last } => {
                    let hasher = self.hasher.get_or_insert_with(RowHasher::new);
                    hasher.update(bytes);
                    if last && let Some(hasher) = self.hasher.take() {
                        self.tables[at].rows.add_digest(hasher.finalize().into());
                    }
                }
                Event::PreludeEnd if self.foreign => self.of_one_database()?,
                Event::PreludeEnd | Event::Block { .. } | Event::End { .. } => {}
            }
        }
        Ok(())
    }

    /// Refuses the archives of whole servers.
    fn of_one_database(&self) -> Result<()> {
        let databases = self.databases();
        if databases.len() < 2 {
            return Ok(());
        }
        let some: Vec<_> =
            databases.iter().filter(|name| !name.is_empty()).take(3).map(|name| one_line(name)).collect();
        Err(invalid(format!("it holds several databases or the oplog of a server ({}, …)", some.join(", ")))
            .with_mend("dump the one database: mongodump --db DATABASE --archive"))
    }

    /// The databases that the archive declares collections of; the oplog's has no name.
    fn databases(&self) -> BTreeSet<&str> {
        self.tables.iter().map(|table| table.namespace.database()).collect()
    }

    fn fingerprint(&self) -> Fingerprint {
        let several = self.databases().len() > 1;
        let mut fingerprint = Fingerprint::default();
        for table in self.tables.iter().filter(|table| !table.is_view || table.rows.rows > 0) {
            let namespace = &table.namespace;
            let name = if several { namespace.to_string() } else { namespace.collection().to_owned() };
            *fingerprint.table(&name) += table.rows;
        }
        fingerprint
    }
}

impl Default for ArchiveObserver {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for ArchiveObserver {
    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        if self.failed.is_none() {
            self.failed = self.read(bytes).err();
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn finish(self: Box<Self>) -> Result<Observed> {
        self.failed.clone().map_or(Ok(()), Err)?;
        self.parser.finish()?;
        let fingerprint = self.fingerprint();
        Ok(Observed { fingerprint, ..self.observed })
    }
}

impl Table {
    fn of(declared: &Declared) -> Self {
        let namespace = declared.namespace().clone();
        Self { namespace, is_view: declared.kind() == Kind::View, rows: TableFingerprint::default() }
    }
}

/// A version as a header tells it; none where the tool did not learn it.
fn version(text: &str) -> Option<String> {
    Some(one_line(text)).filter(|text| !text.is_empty() && text != "unknown")
}
