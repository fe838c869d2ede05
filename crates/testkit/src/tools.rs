//! *Simulated* engine tools: shell scripts for PATH that lie, hang and die, and that record how they
//! were called.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What a simulated tool does when it is called for its work (asked for `--version`, it always answers).
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Prints the whole file and ends with 0.
    Prints(PathBuf),
    /// Prints the first half of the file and ends with 0: a liar.
    PrintsHalf(PathBuf),
    /// Prints the whole file, then a message on standard error, and ends with `code`.
    PrintsThenFails {
        /// What it prints.
        file: PathBuf,
        /// The message.
        stderr: String,
        /// The exit code.
        code: u8,
    },
    /// Prints nothing but a message on standard error and ends with `code`.
    Fails {
        /// The message.
        stderr: String,
        /// The exit code.
        code: u8,
    },
    /// Prints that many bytes of the file and then hangs, in a child process that holds the output open.
    HangsAfter {
        /// What it begins to print.
        file: PathBuf,
        /// How much of it, in bytes.
        bytes: u64,
    },
    /// Prints that many bytes of the file and is then killed by SIGKILL.
    DiesAfter {
        /// What it begins to print.
        file: PathBuf,
        /// How much of it, in bytes.
        bytes: u64,
    },
    /// Prints a valid plain dump of PostgreSQL with one table of that many MiB, as fast as a pipe takes it.
    Generates {
        /// The size of the rows, in MiB; header and end come on top.
        mebibytes: u64,
        /// Whether the rows are all alike; otherwise they are random and no compressor helps.
        compressible: bool,
    },
    /// Runs these lines of shell.
    Script(String),
}

/// A simulated tool, to be put into a [`Toolbox`].
#[derive(Debug, Clone)]
pub struct FakeTool {
    name: String,
    version: String,
    behaviour: Behaviour,
}

impl FakeTool {
    /// A tool called `name` that prints nothing and ends with 0.
    pub fn new(name: &str) -> Self {
        let version = format!("{name} (PostgreSQL) 15.8");
        Self { name: name.to_owned(), version, behaviour: Behaviour::Script(":".to_owned()) }
    }

    /// What it answers to `--version` and `-V`.
    pub fn version(mut self, line: &str) -> Self {
        line.clone_into(&mut self.version);
        self
    }

    /// What it does when called for its work.
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    fn script(&self, calls: &Path) -> String {
        let mut script = String::from("#!/bin/sh\n");
        // What the kernel shows of this process is what everybody else could see of it.
        let record = format!(
            "PATH=/usr/bin:/bin\ncalls={}\nrecord=$(mktemp -d \"$calls/$(date +%s%N).XXXXXX\")\n\
             cat /proc/$$/cmdline > \"$record/argv\"\ncat /proc/$$/environ > \"$record/env\"\n\
             echo $$ > \"$record/pid\"\nmv \"$record\" \"$record.done\"\n",
            quoted(&calls.display().to_string())
        );
        script.push_str(&record);
        let version = quoted(&self.version);
        writeln!(script, "case \"$1\" in --version|-V) printf '%s\\n' {version}; exit 0;; esac")
            .expect("a string takes every write");
        script.push_str(&self.behaviour.script());
        script.push('\n');
        script
    }
}

impl Behaviour {
    fn script(&self) -> String {
        let path = |file: &Path| quoted(&file.display().to_string());
        match self {
            Self::Prints(file) => format!("exec cat {}", path(file)),
            Self::PrintsHalf(file) => {
                let file = path(file);
                format!("exec head -c $(( $(wc -c < {file}) / 2 )) {file}")
            }
            Self::PrintsThenFails { file, stderr, code } => {
                format!("cat {}\nprintf '%s\\n' {} >&2\nexit {code}", path(file), quoted(stderr))
            }
            Self::Fails { stderr, code } => format!("printf '%s\\n' {} >&2\nexit {code}", quoted(stderr)),
            Self::HangsAfter { file, bytes } => {
                format!("head -c {bytes} {}\nsleep 86400\nexit 0", path(file))
            }
            Self::DiesAfter { file, bytes } => format!("head -c {bytes} {}\nkill -KILL $$", path(file)),
            Self::Generates { mebibytes, compressible } => generator(*mebibytes, *compressible),
            Self::Script(lines) => lines.clone(),
        }
    }
}

/// A row is a line of 128 bytes, so that a whole number of them makes a MiB.
fn generator(mebibytes: u64, compressible: bool) -> String {
    let bytes = mebibytes * 1024 * 1024;
    let line = "0123456789abcdef".repeat(8)[..127].to_owned();
    let rows = if compressible { format!("yes {line}") } else { "base64 -w 127 /dev/urandom".to_owned() };
    format!(
        "cat <<'END'\n{HEADER}END\n{rows} 2>/dev/null | head -c {bytes}\ncat <<'END'\n{FOOTER}END\nexit 0"
    )
}

const HEADER: &str = r"--
-- PostgreSQL database dump
--

\restrict SimulatedSimulatedSimulatedSimulatedSimulatedSimulatedSimulated

-- Dumped from database version 15.8
-- Dumped by pg_dump version 15.8

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);

--
-- Name: generated; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.generated (
    line text
);


ALTER TABLE public.generated OWNER TO postgres;

--
-- Data for Name: generated; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.generated (line) FROM stdin;
";

const FOOTER: &str = r"\.


--
-- PostgreSQL database dump complete
--

\unrestrict SimulatedSimulatedSimulatedSimulatedSimulatedSimulatedSimulated

";

/// One call of a simulated tool, as the kernel showed it to everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The arguments after the tool's name.
    pub args: Vec<String>,
    /// The environment, sorted.
    pub env: Vec<(String, String)>,
    /// The process.
    pub pid: u32,
}

/// A folder of simulated tools to put on PATH; removed on drop.
pub struct Toolbox {
    dir: TempDir,
}

impl Toolbox {
    /// An empty folder.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("respaldo-tools-").tempdir().expect("a folder can be made");
        fs::create_dir(dir.path().join("bin")).expect("the folder is new");
        Self { dir }
    }

    /// Puts a tool in; one of the same name is replaced.
    pub fn with(self, tool: &FakeTool) -> Self {
        self.add(tool);
        self
    }

    /// Puts a tool in; one of the same name is replaced.
    pub fn add(&self, tool: &FakeTool) {
        let calls = self.calls_dir(&tool.name);
        fs::create_dir_all(&calls).expect("the folder is ours");
        let target = self.tool(&tool.name);
        // Written aside: a script cannot be written over while it runs.
        let aside = self.dir.path().join("new-tool");
        fs::write(&aside, tool.script(&calls)).expect("the folder is ours");
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).expect("the file is ours");
        fs::rename(&aside, &target).expect("both lie in one folder");
    }

    /// What PATH must name.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// A tool's file.
    pub fn tool(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The calls of a tool so far, oldest first, those for its version too.
    pub fn calls(&self, name: &str) -> Vec<Invocation> {
        let entries = fs::read_dir(self.calls_dir(name)).expect("the tool was added");
        let mut records: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
        records.retain(|record| record.extension().is_some_and(|extension| extension == "done"));
        records.sort();
        records.iter().map(|record| Invocation::read(record)).collect()
    }

    fn calls_dir(&self, name: &str) -> PathBuf {
        self.dir.path().join("calls").join(name)
    }
}

impl Default for Toolbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Invocation {
    fn read(record: &Path) -> Self {
        let parts = |name: &str| -> Vec<String> {
            let bytes = fs::read(record.join(name)).expect("a finished record is whole");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.split_terminator('\0').map(str::to_owned).collect()
        };
        let mut env: Vec<(String, String)> = parts("env")
            .iter()
            .filter_map(|entry| entry.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect();
        env.sort();
        let pid = fs::read_to_string(record.join("pid")).expect("a finished record is whole");
        Self {
            // Before the arguments stand the interpreter and the script.
            args: parts("argv").split_off(2),
            env,
            pid: pid.trim().parse().expect("a process id is a number"),
        }
    }

    /// Whether `secret` shows anywhere in the arguments or the environment.
    pub fn shows(&self, secret: &str) -> bool {
        let in_env = |(key, value): &(String, String)| key.contains(secret) || value.contains(secret);
        self.args.iter().any(|argument| argument.contains(secret)) || self.env.iter().any(in_env)
    }
}

/// Text as one word of shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
