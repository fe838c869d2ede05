//! Packages: what is in them, how they fail, and that stock tools are all it takes to use one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod broken;
mod faults;
mod held;
mod memory;
mod mongodb;
mod retention;
mod schedule;
mod stock;
mod support;
mod whole;
