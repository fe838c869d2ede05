//! A process of the product that ends with this one, however this one ends.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::host;

/// Kills the process once the pipe from this one closes: a stopped process would stay for ever.
const GUARDIAN: &str = "read -r _; kill -KILL \"$1\"";

/// A process and its guardian.
pub(super) struct Process {
    child: Child,
    guardian: Child,
    ended: bool,
}

impl Process {
    /// Starts it with its output in `folder/log`.
    pub(super) fn start(mut command: Command, folder: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
        let log = log.expect("the folder is ours");
        command.current_dir(folder).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let mut guardian = host::command("sh");
        guardian.args(["-c", GUARDIAN, "guardian", &child.id().to_string()]).process_group(0);
        guardian.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child, guardian: guardian.spawn().expect("sh can be started"), ended: false }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn lives(&self) -> bool {
        !self.ended
    }

    pub(super) fn signal(&self, signal: Signal) {
        if self.lives() {
            host::signal(self.pid(), signal);
        }
    }

    /// Waits until it has ended by itself.
    pub(super) async fn gone(&mut self) {
        while self.child.try_wait().expect("a child can be asked").is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Kills it with all that it has started.
    pub(super) fn kill(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if self.child.try_wait().expect("a child can be asked").is_none() {
            kill_tree(self.pid());
        }
        self.child.wait().expect("a child can be waited for");
        // It must not come to kill whoever gets that number next.
        self.guardian.kill().ok();
        self.guardian.wait().expect("a child can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a process and all that it has started, also what lives in groups of its own.
pub(super) fn kill_tree(pid: u32) {
    // Stopped first, so that it starts none that would be missed.
    host::signal(pid, Signal::STOP);
    for child in host::children(pid) {
        kill_tree(child);
    }
    host::signal(pid, Signal::KILL);
}
