//! Respaldo's product: what a backup is, and what is done with one.

pub mod app;
pub mod backup;
pub mod databases;
pub mod engine;
pub mod error;
pub mod fingerprint;
pub mod jobs;
pub mod keyring;
pub mod keys;
pub mod model;
pub mod ports;
pub mod redact;
pub mod schedule;
pub mod seal;
pub mod storage;
pub mod tick;

pub use app::{App, Limits};
pub use error::{Error, ErrorKind, Result};
