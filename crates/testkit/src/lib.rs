//! Development only: the real servers, simulated tools and faults that Respaldo's tests run against.
//!
//! - [`app`]: an installation in this process whose clock, storage and surroundings a test holds;
//! - [`aws`]: moto and dynalite, emulators of Amazon's services that tests share;
//! - [`catalog`]: the contract suite that every catalog passes;
//! - [`lambda`]: the functions' binaries as Lambda runs them, and the cloud around them;
//! - [`postgres`]: PostgreSQL servers of two major versions on private ports, and a sample database
//!   that holds everything awkward;
//! - [`mysql`]: the same for MariaDB and, where it can be had, MySQL;
//! - [`not_mongod`]: a server of our own that speaks MongoDB's wire protocol and is not mongod;
//! - [`documentdb`]: the same wire over Microsoft's `DocumentDB`, which is not mongod either;
//! - [`sqlite`]: the same for SQLite, with a writer that never stops;
//! - [`prometheus`]: a Prometheus that scrapes, `promtool`, and a strict reader of what is scraped;
//! - [`respaldo`]: the real server as a process that can be killed;
//! - [`s3`]: an S3 server in this process that can be told to fail, and what it was asked;
//! - [`clock_changes`]: every change of clocks of every zone, from 2020 to 2035;
//! - [`clock_shift`]: a wall clock that a test moves under real processes;
//! - [`cron`]: a second reading of crontabs, by the minute, to compare the product with;
//! - [`crowd`]: many databases that are due at once, on any catalog;
//! - [`faults`]: an OpenDAL layer that counts storage calls and fails the one you name;
//! - [`scenario`]: what users do, written once and run against every host;
//! - [`tools`]: simulated engine tools for PATH that lie, hang and die, and record how they were called.
//!
//! Everything here reports by panicking in the test that uses it: a missing server is a failed test
//! with the mend in its message, never a test that passed by doing nothing.

#![expect(clippy::expect_used, reason = "a panic is how a test's tool reports to the test")]
#![allow(clippy::missing_panics_doc, reason = "everything here panics when it cannot do its work")]

pub mod app;
pub mod aws;
pub mod catalog;
pub mod clock_changes;
pub mod clock_shift;
pub mod cron;
pub mod crowd;
pub mod documentdb;
pub mod faults;
mod guardian;
pub mod host;
pub mod lambda;
pub mod mysql;
pub mod not_mongod;
pub mod postgres;
pub mod prometheus;
pub mod respaldo;
pub mod s3;
pub mod scenario;
pub mod sqlite;
pub mod tools;
