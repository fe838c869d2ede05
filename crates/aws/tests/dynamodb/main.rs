//! The catalog on DynamoDB, on the two emulators that there are: moto, and dynalite, which judges requests strictly.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod contract;
mod crowd;
mod faults;
mod large;
mod requests;
mod support;
mod table;
