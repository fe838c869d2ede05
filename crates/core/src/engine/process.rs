//! The one place where subprocesses start.
//!
//! A child gets no shell, a cleaned environment, no standard input, a process group of its own, and
//! never a secret in its arguments or its environment: those go into files of mode 0600. Whatever
//! happens to us, the group is killed when its [`Child`] is dropped. A server stands behind a guardian besides,
//! the one shell that starts here, so that it does not outlive us.
#![expect(clippy::disallowed_methods, reason = "subprocesses start here, and nowhere else")]

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child as TokioChild, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::account::Account;
use super::observe::{Observed, Observer};
use super::pump::pump;
use super::sink::RawSink;
use super::source::JobLog;
use crate::redact::{LogTail, Redactor};
use crate::{Error, ErrorKind, Result};

/// How much of a tool's standard error is kept.
const TAIL_LINES: usize = 40;
const TAIL_BYTES: usize = 8 * 1024;
/// Longer lines do not go into the log.
const LONGEST_LINE: usize = 4 * 1024;
/// A shell that ends a server when nobody holds its standard input any more: neither a crash of ours nor a
/// `kill -9` leaves one running. It is given the signal that stops the server, and the server's words, as
/// arguments; nothing is put into its text.
const GUARDIAN: &str = r#"
signal=$1
shift
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -s "$signal" "$server"; sleep 5; kill -s KILL "$server"; } 2>/dev/null &
watcher=$!
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;
/// How long standard error is read after the tool has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A command line and an environment.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    name: String,
    guarded: bool,
}

/// How a tool ended, and the end of what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// The end of its standard error, redacted.
    pub stderr: String,
}

impl Invocation {
    /// A tool with an environment that holds nothing of ours but what it needs to run.
    pub fn new(tool: &Path, home: &Path) -> Self {
        let mut command = Command::new(tool);
        command.env_clear().env("LC_ALL", "C").env("LANG", "C").env("HOME", home);
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).current_dir(home);
        let name = tool.file_name().unwrap_or(tool.as_os_str()).to_string_lossy().into_owned();
        Self { command, name, guarded: false }
    }

    /// Adds an argument. Never a secret.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments. Never a secret.
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable. Never a secret.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    /// Gives it an input to be fed by; its standard output goes nowhere.
    pub fn fed(mut self) -> Self {
        self.command.stdin(Stdio::piped()).stdout(Stdio::null());
        self
    }

    /// Gives it an input to be fed by, and keeps its standard output to be read.
    pub fn piped(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// A server that lives no longer than we do: a guardian stops it with `signal` when its [`Child`] is
    /// dropped, and when this process dies.
    pub fn server(program: &Path, home: &Path, signal: &str) -> Self {
        let mut invocation = Self::new(Path::new("/bin/sh"), home).args(["-c", GUARDIAN, "guardian", signal]);
        invocation = invocation.arg(program).fed();
        invocation.command.kill_on_drop(false);
        invocation.guarded = true;
        invocation.name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        invocation
    }

    /// Runs it as another user, without any supplementary group (the standard library drops them where a
    /// privileged process names a user). Its home must be a folder that this user reaches.
    pub fn run_as(mut self, account: Option<&Account>) -> Self {
        if let Some(account) = account {
            self.command.gid(account.gid).uid(account.uid);
        }
        self
    }

    /// Starts it.
    pub fn start(mut self, redactor: Redactor, log: Option<JobLog>) -> Result<Child> {
        let child = self
            .command
            .spawn()
            .map_err(|e| Error::new(ErrorKind::Tool, format!("start {}", self.name), e.to_string()))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        let guarded = self.guarded;
        let mut child = Child { process: child, group, guarded, name: self.name, stderr: None };
        child.stderr = child.process.stderr.take().map(|pipe| Complaints::keep(pipe, redactor, log));
        Ok(child)
    }

    /// Runs a short command to its end: its standard output, of which at most `most` bytes are
    /// accepted.
    pub async fn output(self, redactor: Redactor, most: usize, limit: Duration) -> Result<(Ended, Vec<u8>)> {
        let name = self.name.clone();
        let mut child = self.start(redactor, None)?;
        let run = async {
            let mut output = Vec::new();
            let pipe = child.take_stdout()?;
            pipe.take(most as u64)
                .read_to_end(&mut output)
                .await
                .map_err(|e| Error::internal("read a tool", e))?;
            Ok((child.wait().await?, output))
        };
        tokio::time::timeout(limit, run).await.unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Timeout,
                format!("run {name}"),
                format!("no answer in {} s", limit.as_secs()),
            ))
        })
    }
}

/// What a tool prints when it is asked for its version; none from one that cannot even say that.
pub(super) async fn version_of(tool: &Path, home: &Path) -> Option<String> {
    let asked = Invocation::new(tool, home).arg("--version");
    let answer = asked.output(Redactor::default(), 1024, Duration::from_secs(10)).await;
    let (ended, text) = answer.ok()?;
    ended.status.success().then(|| String::from_utf8_lossy(&text).trim().to_owned())
}

/// A running tool and its process group.
#[derive(Debug)]
pub struct Child {
    process: TokioChild,
    group: Option<rustix::process::Pid>,
    guarded: bool,
    name: String,
    stderr: Option<Complaints>,
}

impl Child {
    /// Its standard output; once.
    pub fn take_stdout(&mut self) -> Result<ChildStdout> {
        let pipe = self.process.stdout.take();
        pipe.ok_or_else(|| Error::internal("read a tool", "its output was taken before"))
    }

    /// Its standard input, if it was made to be fed; once.
    pub fn take_stdin(&mut self) -> Result<OwnedFd> {
        let pipe = self.process.stdin.take();
        let pipe = pipe.ok_or_else(|| Error::internal("feed a tool", "it has no input, or it was taken"))?;
        pipe.into_owned_fd().map_err(|e| Error::internal("feed a tool", e))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Waits for its end.
    pub async fn wait(mut self) -> Result<Ended> {
        let name = format!("wait for {}", self.name);
        let status = self.process.wait().await.map_err(|e| Error::internal(&name, e))?;
        // What it left behind in its group could hold standard error open for ever.
        self.kill_group();
        let stderr = match self.stderr.take() {
            Some(complaints) => complaints.finish().await,
            None => String::new(),
        };
        Ok(Ended { status, stderr })
    }

    fn kill_group(&mut self) {
        if let Some(group) = self.group.take() {
            // Gone already is what we want; nothing else can be done about a refusal.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A server is stopped in order by its guardian, whose input ends here: killed, it would leave shared
        // memory behind.
        if !self.guarded {
            self.kill_group();
        }
    }
}

/// What reads a tool's standard error, and the end of it so far.
#[derive(Debug)]
struct Complaints {
    reader: JoinHandle<()>,
    tail: Arc<Mutex<LogTail>>,
}

impl Complaints {
    fn keep(pipe: ChildStderr, redactor: Redactor, log: Option<JobLog>) -> Self {
        let tail = Arc::new(Mutex::new(LogTail::new(redactor, TAIL_LINES, TAIL_BYTES)));
        let reader = tokio::spawn(read_complaints(pipe, Arc::clone(&tail), log));
        Self { reader, tail }
    }

    /// The end of what the tool said, once it has ended.
    async fn finish(mut self) -> String {
        // A process that left the group may hold the pipe for ever; the tool itself has ended.
        if tokio::time::timeout(LAST_WORDS, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

async fn read_complaints(mut pipe: ChildStderr, tail: Arc<Mutex<LogTail>>, log: Option<JobLog>) {
    let mut buffer = vec![0; 8 * 1024];
    let mut lines = Lines { log, line: Vec::new(), length: 0 };
    // A broken pipe ends the output as surely as its end does; the exit status tells what it meant.
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        tail.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..read]);
        lines.push(&buffer[..read]);
    }
    lines.end();
}

/// Cuts what a tool says into lines of the job's log.
struct Lines {
    log: Option<JobLog>,
    line: Vec<u8>,
    length: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.length += part.len();
            let room = LONGEST_LINE - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if parts.peek().is_some() {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let (line, length) = (std::mem::take(&mut self.line), std::mem::take(&mut self.length));
        let Some(log) = self.log.as_ref().filter(|_| length > 0) else { return };
        if length > line.len() {
            // Where it is cut it could show half a secret, which nobody recognises.
            log.warn(format!("a line of {length} bytes is not kept"));
        } else {
            log.warn(String::from_utf8_lossy(&line));
        }
    }
}

/// Streams a tool's output into a sink, past an observer that runs beside it on a thread of its own.
///
/// `Ok` means that the tool exited 0 *and* that the observer found its dump whole.
pub async fn stream(
    mut child: Child,
    observer: Box<dyn Observer>,
    sink: &mut RawSink,
    explain: impl FnOnce(Ended) -> Error,
) -> Result<Observed> {
    let pipe = child.take_stdout()?.into_owned_fd().map_err(|e| Error::internal("read a dump", e))?;
    let observed = pump(pipe, observer, sink).await;
    // Only the end of a dump that came too early is better explained by the tool. For every other failure
    // it is killed at once: it might wait for ever for somebody to read its output.
    if observed.as_ref().is_err_and(|error| error.kind() != ErrorKind::Incomplete) {
        return observed;
    }
    let ended = child.wait().await?;
    if !ended.status.success() {
        return Err(explain(ended));
    }
    observed
}
