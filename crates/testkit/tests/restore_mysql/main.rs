//! What a restore does to real servers: MariaDB always, MySQL where one can be had.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod hostile;
mod in_place;
mod refused;
mod support;
mod swap;
