//! MySQL and MariaDB databases come back whole from their artifacts by the stock tools, and what lies,
//! hangs or dies never counts as a backup. What says so runs against a real MySQL where one can be had;
//! everything else runs against a real MariaDB.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod liars;
mod refused;
mod support;
mod whole;
