//! Watches an archive of `mongodump`.

use std::collections::BTreeSet;

use sha2::Digest as _;

use super::namespace::Namespace;
use super::parser::{Event, Parser};
use super::prelude::{Declared, Kind};
use crate::engine::observe::{Observed, Observer};
use crate::engine::wording::one_line;
use crate::error::Result;
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
    observed: Observed,
}

struct Table {
    namespace: Namespace,
    is_view: bool,
    rows: TableFingerprint,
}

impl ArchiveObserver {
    /// An observer at the beginning of an archive.
    pub fn new() -> Self {
        Self { parser: Parser::in_pieces(), tables: Vec::new(), hasher: None, observed: Observed::default() }
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
                Event::PreludeEnd | Event::Block { .. } | Event::End { .. } => {}
            }
        }
        Ok(())
    }

    fn fingerprint(&self) -> Fingerprint {
        let databases: BTreeSet<_> = self.tables.iter().map(|table| table.namespace.database()).collect();
        let mut fingerprint = Fingerprint::default();
        for table in self.tables.iter().filter(|table| !table.is_view || table.rows.rows > 0) {
            let name = if databases.len() > 1 {
                table.namespace.to_string()
            } else {
                table.namespace.collection().to_owned()
            };
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
        self.read(bytes)
    }

    fn finish(self: Box<Self>) -> Result<Observed> {
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
