//! Whole restores of real servers' databases, from the request to the undo: what comes back, what a worker that
//! dies at any step leaves to the next one, what a server that dies in the middle means, and files that somebody
//! uploaded.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod crashes;
mod mariadb;
mod postgres;
mod support;
mod uploads;
