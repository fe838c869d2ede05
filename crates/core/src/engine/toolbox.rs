//! Where engines' tools are found.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where tools are looked for.
#[derive(Debug, Clone, Default)]
pub struct Toolbox {
    folders: Vec<PathBuf>,
}

/// An installed tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// The executable.
    pub path: PathBuf,
    /// Its version, as it prints it.
    pub version: String,
    /// The version's first number.
    pub major: u32,
}

impl Toolbox {
    /// Looks in these folders, in this order: those of PATH, as the host read it, then where
    /// distributions put tools (see [`Self::with_distribution_folders`]).
    pub fn new(path: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { folders: path.into_iter().filter(|folder| folder.is_absolute()).collect() }
    }

    /// Adds the folders where distributions install tools that are not on PATH.
    pub fn with_distribution_folders(mut self) -> Self {
        for root in ["/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt"] {
            self.folders.push(Path::new(root).join("bin"));
            let Ok(entries) = std::fs::read_dir(root) else { continue };
            let mut versions: Vec<PathBuf> =
                entries.filter_map(Result::ok).map(|entry| entry.path().join("bin")).collect();
            versions.sort();
            self.folders.extend(versions);
        }
        let others = [
            "/usr/pgsql/bin",
            "/usr/local/mysql/bin",
            "/usr/local/bin",
            "/usr/bin",
            // Servers, which test restores start.
            "/usr/local/sbin",
            "/usr/sbin",
            "/usr/libexec",
        ];
        self.folders.extend(others.map(PathBuf::from));
        self
    }

    /// Every executable of that name, in order, each file once.
    pub fn find_all(&self, name: &str) -> Vec<PathBuf> {
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for folder in &self.folders {
            let path = folder.join(name);
            let Ok(real) = path.canonicalize() else { continue };
            // Debian's wrapper chooses a version by clusters of this machine, not by our server.
            let wrapper = real.file_name().is_some_and(|file| file == "pg_wrapper");
            if wrapper || seen.contains(&real) || !is_executable(&real) {
                continue;
            }
            seen.push(real);
            found.push(path);
        }
        found
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
