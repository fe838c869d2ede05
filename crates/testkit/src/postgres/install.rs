//! Where the servers' programs are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::host;

/// Which PostgreSQL to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PgVersion {
    /// The newest that the distribution has installed (15 on Debian 12).
    Debian,
    /// PostgreSQL 16 from the Python wheel, with its own client tools.
    Sixteen,
}

impl PgVersion {
    /// The folder with this version's tools, without starting a server.
    pub fn bin_dir(self) -> PathBuf {
        bin_dir(self)
    }
}

/// The folder with the programs of `version`.
///
/// # Panics
/// When it is not installed, with what to run.
pub(super) fn bin_dir(version: PgVersion) -> PathBuf {
    let dir = match version {
        PgVersion::Debian => newest_of_distribution(Path::new("/usr/lib/postgresql")),
        PgVersion::Sixteen => Some(host::test_servers_dir().join("pg16/bin")),
    };
    let complete = |dir: &PathBuf| ["postgres", "initdb", "psql"].iter().all(|name| dir.join(name).exists());
    let dir = dir.filter(complete).unwrap_or_else(|| {
        panic!("PostgreSQL ({version:?}) is not installed: run scripts/install-test-dependencies")
    });
    dir.canonicalize().expect("the folder was just seen")
}

fn newest_of_distribution(root: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(root).ok()?;
    versions
        .filter_map(|entry| {
            let dir = entry.ok()?.path();
            let major: u32 = dir.file_name()?.to_str()?.parse().ok()?;
            dir.join("bin/postgres").exists().then(|| (major, dir.join("bin")))
        })
        .max()
        .map(|(_, dir)| dir)
}
