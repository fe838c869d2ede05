//! Respaldo's product: what a backup is, and what is done with one.

pub mod error;
pub mod fingerprint;
pub mod keyring;
pub mod redact;
pub mod seal;

pub use error::{Error, ErrorKind, Result};
