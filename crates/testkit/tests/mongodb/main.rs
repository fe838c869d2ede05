//! MongoDB's engine over the fixture that is not mongod, and over recorded tools. No real server was met.

mod crashes;
mod dumps;
mod in_place;
mod jobs;
mod refused;
mod support;
mod swap;
mod tools;
