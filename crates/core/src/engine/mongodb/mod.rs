//! MongoDB.

pub mod archive;
