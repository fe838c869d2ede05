//! `PostgreSQL`.

mod contents;
mod custom;
mod large_object;
mod lexer;
mod name;
mod plain;
mod rows;
mod scanner;
mod statement;
mod words;

pub use custom::CustomObserver;
pub use name::LARGE_OBJECTS;
pub use plain::PlainObserver;
