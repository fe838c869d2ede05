//! Archives of `mongodump`: written, read, watched, and refused.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod round_trip;
mod support;
