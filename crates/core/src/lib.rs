//! Respaldo's product: what a backup is, and what is done with one.

pub mod config;
pub mod error;
pub mod fingerprint;
pub mod keyring;
pub mod keys;
pub mod model;
pub mod ports;
pub mod schedule;
pub mod seal;

pub use error::{Error, ErrorKind, Result};
