//! Respaldo's product: what a backup is, and what is done with one.

pub mod engine;
pub mod error;
pub mod fingerprint;

pub use error::{Error, ErrorKind, Result};
