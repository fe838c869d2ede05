//! The cloud host's template and the images, read and held against the code and against rules. Nothing is deployed.
//!
//! Each rule is a function that answers what is wrong, so that its test can also show it a template that is.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod deeds;
mod environment;
mod events;
mod images;
mod linters;
mod permissions;
mod routes;
mod stores;
mod template;
mod watching;
