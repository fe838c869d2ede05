//! What the product asks of its surroundings: the ports.
//!
//! Each is a small trait with several implementations, all held to one contract suite in
//! `respaldo-testkit`. Storage is not among them: OpenDAL already is that trait, and
//! [`crate::storage::Storage`] is the struct around it that speaks our words.

mod catalog;
mod doorbell;
mod events;
mod secrets;
mod time;

pub use catalog::{Catalog, Claim, Cursor, Document, JobFilter, LogEntry, LogLevel, NewDatabase, Totals};
pub use doorbell::Doorbell;
pub use events::{Event, Events};
pub use secrets::{ExposeSecret, SecretName, SecretString, Secrets};
pub use time::{Clock, Ids};
