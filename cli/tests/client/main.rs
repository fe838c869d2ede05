//! The command line as a client, against a running server, as people and scripts call it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backups;
mod databases;
mod download;
mod fake;
mod hostile;
mod jobs;
mod keys;
mod packages;
mod restore;
mod retention;
mod support;
mod terminal;
mod verify;
