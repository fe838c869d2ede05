//! Workers with a deadline: what they begin, what they hand over, and how they end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod placed;
mod support;
mod walls;
