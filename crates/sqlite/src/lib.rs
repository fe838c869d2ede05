//! The catalog on SQLite: one file, for one machine.
//!
//! A tour: [`SqliteCatalog`] implements the port by handing each method to `pool`, which runs it on
//! the one writing connection or on one of a few reading ones, off the async threads. What a method
//! asks of SQLite stands in `databases`, `jobs`, `log`, `claims`, `documents` and `leases`. `open` decides whether
//! a file is ours and brings it to the newest version (`migrations/`), `failure` turns SQLite's words
//! into the product's errors. `docs/catalog.md` lists tables, access patterns and promises.

mod catalog;
mod claims;
mod columns;
mod databases;
mod documents;
mod failure;
mod jobs;
mod leases;
mod log;
mod open;
mod pool;

#[cfg(test)]
mod plans;

pub use catalog::SqliteCatalog;
