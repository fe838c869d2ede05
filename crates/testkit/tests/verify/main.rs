//! Test restores on real servers: a healthy backup is `ok`, one that does not hold what was backed up is
//! `failed` and names the table, and what this machine cannot try is `not_verified`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod borrowed;
mod crashes;
mod mariadb;
mod policy;
mod postgres;
mod races;
mod servers;
mod sqlite;
mod support;
mod verdicts;
