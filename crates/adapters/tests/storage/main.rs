//! Storage as every host opens it, on local disk, in memory and on an S3 server in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod backups;
mod contract;
mod crash;
mod credentials;
mod cut_off;
mod kept;
mod outages;
mod parts;
mod presigned;
mod read_back;
mod support;
