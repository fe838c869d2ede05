//! PostgreSQL databases come back as they were, by swap and in place, from plain and from custom dumps; and
//! whatever goes wrong on the way leaves the target as it was. All of it on real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod hostile;
mod refused;
mod scratch;
mod support;
mod swap;
mod tables;
mod whole;
