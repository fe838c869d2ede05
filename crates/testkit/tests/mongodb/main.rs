//! MongoDB's engine over the fixture that is not mongod, over `DocumentDB`, which is not mongod either, and over
//! recorded tools. No real server was met.

mod crashes;
mod documentdb;
mod dumps;
mod in_place;
mod jobs;
mod refused;
mod support;
mod swap;
mod tools;
