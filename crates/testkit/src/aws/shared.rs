//! An emulator that all tests of one user share, also those in processes of their own.
//!
//! The first to ask for it starts it; each user holds a shared lock on the file `users` for as long as its
//! process lives, however it ends. The guardian stops the server and removes its folder once it gets that
//! lock for itself: nobody uses it any more.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::host;

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

const GUARDIAN: &str = r#"
dir=$1
shift
cd "$dir"
echo "$$" > guardian
exec 9< users
"$@" > log 2>&1 < /dev/null 9<&- &
server=$!
echo "$server" > server
while sleep 2; do
    flock -n -x 9 && break
done
kill -TERM "$server"
wait "$server"
cd /
rm -rf "$dir"
"#;

/// A server that is used; it goes on at least until this is dropped.
pub(super) struct Shared {
    pub(super) port: u16,
    dir: PathBuf,
    _use: File,
}

impl Shared {
    /// Joins the users of the server of this name, and starts it where there is none: `words` are a program
    /// and its arguments, which writes its port into the file `port` of the folder that it is started in;
    /// `files` are put there before.
    pub(super) fn join(name: &str, files: &[(&str, &str)], words: &[String]) -> Self {
        let root = root();
        let gate = File::create(root.join(format!("{name}.gate"))).expect("the folder is ours");
        // Whoever starts it makes the others wait until it listens.
        flock(&gate, FlockOperation::LockExclusive).expect("a file can be locked");
        let dir = root.join(name);
        if let Some(joined) = Self::joined(&dir) {
            return joined;
        }
        clear(&dir);
        DirBuilder::new().mode(0o700).create(&dir).expect("the folder is new");
        for (file, text) in files {
            fs::write(dir.join(file), text).expect("the folder is ours");
        }
        let using = File::create(dir.join("users")).expect("the folder is ours");
        flock(&using, FlockOperation::LockShared).expect("a file can be locked");
        let mut command = host::command("sh");
        command.args(["-c", GUARDIAN, "guardian"]).arg(&dir).args(words);
        // A group of its own, so that a signal to the test's group leaves it time to clean up.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guardian = command.spawn().expect("sh can be started");
        // It outlives this process as a rule; where it does not, somebody has to take its status.
        std::thread::spawn(move || guardian.wait());
        Self { port: awaited(&dir), dir, _use: using }
    }

    /// What it has printed.
    pub(super) fn log(&self) -> String {
        log(&self.dir)
    }

    /// Becomes a user of a server that is there, unless its guardian is just stopping it or gone.
    fn joined(dir: &Path) -> Option<Self> {
        let using = File::open(dir.join("users")).ok()?;
        // The guardian holds it for as long as it takes to stop the server.
        flock(&using, FlockOperation::LockShared).expect("a file can be locked");
        let same = fs::metadata(dir.join("users")).ok()?.ino() == using.metadata().ok()?.ino();
        let alive = |file: &str| pid(dir, file).is_some_and(host::is_alive);
        if !(same && alive("guardian") && alive("server")) {
            return None;
        }
        let port = fs::read_to_string(dir.join("port")).ok()?.parse().ok()?;
        Some(Self { port, dir: dir.to_owned(), _use: using })
    }
}

/// Removes what a guardian left that was killed.
fn clear(dir: &Path) {
    for file in ["guardian", "server"] {
        if let Some(pid) = pid(dir, file).filter(|pid| belongs_to(*pid, dir)) {
            host::signal(pid, Signal::KILL);
        }
    }
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{}: {error}", dir.display()),
        _ => {}
    }
}

/// Whether a process works in that folder: its number may be another's by now.
fn belongs_to(pid: u32, dir: &Path) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == dir)
}

fn pid(dir: &Path, file: &str) -> Option<u32> {
    fs::read_to_string(dir.join(file)).ok()?.trim().parse().ok()
}

fn log(dir: &Path) -> String {
    fs::read(dir.join("log")).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
}

fn awaited(dir: &Path) -> u16 {
    let mut port = None;
    let listens = host::holds_within(PATIENCE, || {
        port = fs::read_to_string(dir.join("port")).ok().and_then(|text| text.parse().ok());
        port.is_some() || pid(dir, "server").is_some_and(|pid| !host::is_alive(pid))
    });
    match port {
        Some(port) if listens => port,
        _ => panic!("{} does not start: {}", dir.display(), log(dir)),
    }
}

/// A folder that only this user can write.
fn root() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("respaldo-emulators-{user}"));
    match DirBuilder::new().mode(0o700).create(&root) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            panic!("{}: {error}", root.display())
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&root).expect("it was just made");
    assert!(found.is_dir() && found.uid() == user, "{} is not this user's", root.display());
    root
}
