//! The one place of the testkit that reads the environment and the clock, makes commands and sends
//! signals.

#![expect(
    clippy::disallowed_methods,
    reason = "tests need real processes, real time and the caller's settings; they get them here"
)]

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The user and group (`nobody`, `nogroup`) that servers run as when the tests run as root.
pub(crate) const UNPRIVILEGED: u32 = 65534;

/// Waits until `condition` holds, asking every few milliseconds.
///
/// # Panics
/// When it does not hold within `limit`; the message names `what` was awaited.
pub fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    assert!(holds_within(limit, &mut condition), "waited {limit:?} in vain until {what}");
}

/// Whether `condition` comes to hold within `limit`.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this process may become another user, and must for servers that refuse root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command with nothing of the caller's environment but a plain PATH and a UTF-8 locale.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command
}

/// [`command`] as the unprivileged user, where this process is root.
pub fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    let mut command = command(program);
    if is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// Gives `path` to the unprivileged user, where this process is root.
pub(crate) fn give_away(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(UNPRIVILEGED), Some(UNPRIVILEGED))
            .expect("root can change an owner");
    }
}

/// Runs `command` with `input` on its standard input.
///
/// # Panics
/// When it cannot be started, or ends with anything but 0: with its standard error.
pub fn run(mut command: Command, mut input: impl Read) -> Output {
    // Through a file: a pipe would need a thread to avoid that both sides wait for each other.
    let mut stdin = tempfile::tempfile().expect("a temporary file can be made");
    io::copy(&mut input, &mut stdin).expect("the input can be read");
    stdin.rewind().expect("a file can be rewound");
    let output = command
        .stdin(Stdio::from(stdin))
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{} ended with {}: {}",
        command.get_program().display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Where `scripts/install-test-dependencies` puts servers that no distribution package brings.
pub(crate) fn test_servers_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("RESPALDO_TEST_SERVERS").filter(|dir| !dir.is_empty()) {
        return PathBuf::from(dir);
    }
    if is_root() {
        return PathBuf::from("/var/cache/respaldo-test-servers");
    }
    let home = std::env::var_os("HOME").expect("HOME is set");
    Path::new(&home).join(".cache/respaldo/test-servers")
}

/// A program of a Python environment that `scripts/install-test-dependencies` makes.
///
/// # Panics
/// When it is not installed, with what to run.
pub fn installed_tool(environment: &str, program: &str) -> PathBuf {
    let tool = test_servers_dir().join(environment).join("bin").join(program);
    assert!(tool.exists(), "{} is not there: run scripts/install-test-dependencies", tool.display());
    tool
}

/// Where the functions' binaries for tests lie, when somebody built them for that.
pub(crate) fn given_functions_dir() -> Option<PathBuf> {
    std::env::var_os("RESPALDO_TEST_FUNCTIONS").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// The present instant, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("a time after 1970").as_millis()).expect("a time of this age")
}

/// `bytes` random bytes, in hexadecimal.
pub fn random_hex(bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut raw = vec![0; bytes];
    fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut raw)).expect("randomness");
    raw.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes every write");
        text
    })
}

/// A name that no other test uses: `prefix`, then random letters and digits.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{}", random_hex(6))
}

/// Sends `signal`; a process that is gone already is no fault.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).ok();
    }
}

/// Whether the process is there and not merely waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    matches!(stat(pid), Some((state, _)) if state != 'Z' && state != 'X')
}

/// The processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|candidate| matches!(stat(*candidate), Some((_, parent)) if parent == pid))
        .collect()
}

/// A process's state letter and its parent, from the kernel.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold anything, parentheses too.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
