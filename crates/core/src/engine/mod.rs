//! Engines: one kind of database each, and how to dump it.

use std::path::PathBuf;

/// Where tools are looked for, in this order.
#[derive(Debug, Clone, Default)]
pub struct Toolbox {
    /// The folders of PATH, then those where distributions put tools.
    pub folders: Vec<PathBuf>,
}

/// What a test of a database found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The server's version, as it says it.
    pub server_version: String,
    /// The tool that would dump it, with its version; none where no tool is needed.
    pub tool: Option<String>,
    /// The database's size in bytes, where the server tells.
    pub size_bytes: Option<u64>,
}
