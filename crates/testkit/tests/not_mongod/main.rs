//! The MongoDB fixture, driven by the official driver: what it answers, refuses, and does when it is told to fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod documents;
mod museum;
mod support;
