//! A user's own file becomes a backup that is as good as any, or is refused with a reason and leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod accepted;
mod broken_off;
mod faults;
mod refused;
mod support;
