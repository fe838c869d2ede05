//! Moving a catalog: everything that it knows, into a file and out of it, between catalogs of any kind.
//!
//! [`export`] writes the file, [`inspect`] proves one whole without touching a catalog, [`import`] fills an
//! empty catalog with it. Each streams: no more than a page of records is in memory. The file is described in
//! `docs/moving.md`.
//!
//! Leases are not moved: they say who is at work on this host now. A job's own lease is part of its record,
//! and runs out on the new host as it would have on the old one.

mod export;
mod import;
mod lines;

pub use export::{Export, Exported, export};
pub use import::{Import, Imported, Outcome, import, refuse_unfinished};
pub use lines::{Counts, Inspected, inspect};

/// The documents that belong to a catalog's content.
pub const DOCUMENTS: [&str; 1] = [crate::config::stored::NAME];

/// The document that says which file a catalog was filled from.
pub const MARKER: &str = "import";
