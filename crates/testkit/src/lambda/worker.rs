//! `respaldo worker`, the long runner, as a process of its own.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::Process;
use crate::host;

/// A worker; killed on drop.
pub struct Worker {
    process: Process,
    folder: PathBuf,
}

impl Worker {
    /// Starts `respaldo worker` with these arguments in a folder of its own.
    pub fn start(respaldo: &Path, folder: &Path, variables: &[(String, String)], arguments: &[&str]) -> Self {
        fs::create_dir_all(folder).expect("a folder can be made");
        let mut command = host::command(respaldo);
        command.arg("worker").args(arguments).envs(variables.iter().map(|(name, value)| (name, value)));
        Self { process: Process::start(command, folder), folder: folder.to_owned() }
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) {
        self.process.gone().await;
    }

    /// Kills it with all that it has started.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}
