//! The catalog on DynamoDB, on the two emulators that there are: moto, and dynalite, which judges requests strictly.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod contract;
mod crowd;
mod faults;
mod lag;
mod large;
mod moving;
mod quirks;
mod requests;
mod stand_in;
mod support;
mod table;
