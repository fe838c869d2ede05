//! The archive that `mongodump --archive` writes and `mongorestore --archive` reads.
//!
//! `docs/mongodb-archive.md` specifies it byte by byte. In short: a magic number; the *prelude*, which is a
//! [`Header`] and a [`Declared`] namespace for each collection; then *blocks*, each with the namespace that its
//! documents belong to. A namespace ends with a block of its own that tells the checksum of all its
//! documents. Blocks of several namespaces may alternate.
//!
//! [`Parser`] is fed bytes cut anywhere and gives [`Event`]s; it holds all the rules, so that whoever reads
//! through it (the [`ArchiveObserver`], the [`Reader`] for restores) reads nothing that is broken. [`Writer`]
//! makes archives by the same rules.

mod block;
mod directory;
mod event;
mod json;
mod ledger;
mod metadata;
mod namespace;
mod observer;
mod parser;
mod prelude;
mod reader;
mod writer;

pub use self::directory::{LaidOut, lay_out};
pub use self::event::Event;
pub use self::metadata::Metadata;
pub use self::namespace::Namespace;
pub use self::observer::ArchiveObserver;
pub use self::parser::Parser;
pub use self::prelude::{Declared, Header, Kind};
pub use self::reader::{Entry, Reader};
pub use self::writer::Writer;

/// What an archive begins with.
pub const MAGIC: [u8; 4] = 0x8199_e26d_u32.to_le_bytes();

/// The version of the format that this module knows; `mongodump` has never written another.
pub const FORMAT_VERSION: &str = "0.1";

/// The longest document in bytes that is read: the server's limit for its own documents, such as the oplog's.
pub const READ_LIMIT: usize = 16 * 1024 * 1024 + 16 * 1024;

/// The longest document in bytes that is written, and the longest of a prelude: the server's limit for
/// documents of users, and all that `mongorestore` reads.
pub const WRITE_LIMIT: usize = 16 * 1024 * 1024;

/// So many namespaces an archive may declare. What is known of each is kept in memory.
pub const MAX_NAMESPACES: usize = 100_000;

/// So many bytes a prelude may have in all: a restore keeps it in memory.
pub const MAX_PRELUDE: usize = 64 * 1024 * 1024;

/// So many bytes the metadata of one collection may have, as text: reading it takes several times as much memory.
pub const MAX_METADATA: usize = 4 * 1024 * 1024;

const TERMINATOR: u32 = 0xffff_ffff;
/// The shortest document: its length and its end.
const EMPTY_DOCUMENT: usize = 5;
