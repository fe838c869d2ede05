//! Restores, driven from the request to the record, on SQLite: promise 4.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod faults;
mod plan;
mod support;
mod whole;
