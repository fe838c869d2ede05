//! The MongoDB fixture, driven by the official driver: what it answers, refuses, and does when it is told to fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod collections;
mod cursors;
mod documents;
mod faults;
mod handshake;
mod indexes;
mod logins;
mod museum;
mod renames;
mod replica_set;
mod rights;
mod support;
mod wire;
