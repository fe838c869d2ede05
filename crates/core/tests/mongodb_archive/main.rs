//! Archives of `mongodump`: written, read, watched, and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod golden;
mod hostile;
mod metadata;
mod observed;
mod properties;
mod support;
mod written;
