//! `docker-compose.yml` and what it mounts, held against itself, the code and other people's rules. No container is
//! started here: that needs an engine for them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod environment;
mod file;
mod references;
mod scripts;
mod starts;
mod watching;
