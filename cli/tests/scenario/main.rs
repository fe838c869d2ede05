//! The scenarios against every host: the local server on each catalog, and the functions as Lambda runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[cfg(feature = "aws")]
mod cloud;
mod local;

use std::path::Path;

/// The program under test.
fn respaldo() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_respaldo"))
}
