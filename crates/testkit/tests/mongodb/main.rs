//! MongoDB's engine over the fixture that is not mongod, over `DocumentDB`, which is not mongod either, and over
//! recorded tools. No real server was met.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod crashes;
mod documentdb;
mod dumps;
mod in_place;
mod jobs;
mod refused;
mod support;
mod swap;
mod tools;
