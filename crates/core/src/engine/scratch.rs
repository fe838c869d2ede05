//! Scratch servers: where a dump is restored to see whether it can be.
//!
//! A scratch server is private to one attempt of one job. Its data lies in the attempt's own staging folder; it
//! listens on a socket in there that only its user reaches (where the path is too long for a socket, on
//! 127.0.0.1), and asks for a password that nobody else was told. It ends with the [`Scratch`] that it was
//! answered in, and with this process, however that ends; its folder goes with the attempt's.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::process::{Child, Ended};
use super::restore::DumpFacts;
use super::source::{JobLog, ResolvedLogin, Source};
use super::toolbox::Toolbox;
use crate::model::{RestoreMode, Settings};
use crate::ports::SecretString;
use crate::{Error, ErrorKind, Result};

/// How long a server may take to answer for the first time.
const LONGEST_START: Duration = Duration::from_mins(2);
/// How long it may take to stop before it is killed.
const LONGEST_STOP: Duration = Duration::from_secs(8);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// What the kernel takes as a socket's path, in bytes.
const LONGEST_SOCKET: usize = 107;
/// Others may pass through a folder to one whose name they know, and see nothing of what is in it.
const PASSABLE: u32 = 0o711;

/// What a scratch server is made with.
pub struct Bench {
    /// The attempt's own staging folder.
    pub folder: PathBuf,
    /// Where servers' programs are found.
    pub toolbox: Arc<Toolbox>,
    /// The system user that it shall run as, where this process is root.
    pub run_as: Option<String>,
    /// The password that it shall ask for.
    pub password: SecretString,
    /// The job's log.
    pub log: JobLog,
}

/// A dump that shall be restored there.
pub struct Specimen<'a> {
    /// What is known of it.
    pub facts: &'a DumpFacts,
    /// Its beginning, as its tool wrote it.
    pub head: &'a [u8],
}

/// Makes scratch servers of one kind.
#[async_trait]
pub trait ScratchServers: Send + Sync {
    /// Makes and starts one that takes this dump.
    ///
    /// # Errors
    /// `Tool`, not retryable, when no server that could take it is installed here.
    async fn start(&self, bench: &Bench, specimen: &Specimen<'_>) -> Result<Scratch>;

    /// How a dump is loaded into a database of a server that others have started.
    fn borrowed_mode(&self) -> Option<RestoreMode> {
        None
    }

    /// Makes that database, where the load does not.
    ///
    /// # Errors
    /// `Tool`, not retryable, when that server is not fit for test restores.
    async fn furnish(&self, bench: &Bench, scratch: &Scratch, specimen: &Specimen<'_>) -> Result<()> {
        let _the_load_makes_it = (bench, scratch, specimen);
        Ok(())
    }
}

/// A database on a scratch server that a dump is loaded into. Dropping it ends the server at once.
pub struct Scratch {
    /// How the database is reached.
    pub settings: Settings,
    /// How to log in.
    pub login: ResolvedLogin,
    /// The mode in which a dump is loaded into it.
    pub mode: RestoreMode,
    /// Whether the database is there already, empty.
    pub exists: bool,
    /// What runs, for people to read.
    pub server: String,
    /// The server's process; none where files are all.
    pub process: Option<Child>,
}

impl Scratch {
    /// Whether its server runs. One that died in the middle is our trouble, not the dump's.
    pub fn is_alive(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| !process.has_ended())
    }

    /// How its database is reached, by tools that `bench` has.
    pub(crate) fn source(&self, bench: &Bench) -> Source {
        Source {
            settings: self.settings.clone(),
            login: self.login.clone(),
            toolbox: Arc::clone(&bench.toolbox),
            staging: bench.folder.clone(),
            sqlite_roots: Vec::new(),
            log: bench.log.clone(),
        }
    }

    /// Stops the server in order, so that its folder can be removed.
    pub async fn stop(self) {
        if let Some(process) = self.process {
            // Waiting closes its input, which is how its guardian is told; what is late is killed.
            let _late = tokio::time::timeout(LONGEST_STOP, process.wait()).await;
        }
    }
}

/// Settings of a database that is registered nowhere.
pub(crate) fn settings(facts: &DumpFacts, database_name: String) -> Settings {
    Settings { format: facts.format, ..Settings::bare("scratch", facts.engine, database_name) }
}

/// The refusal of a machine that has no server for a dump.
pub(crate) fn no_server(what: &str, found: Option<&str>, mend: impl Into<String>) -> Error {
    let found = found.map_or_else(|| "none is".to_owned(), |found| format!("the newest here is {found}"));
    Error::new(ErrorKind::Tool, "look for a server", format!("it takes {what}, and {found} installed"))
        .with_mend(mend)
}

/// The folder of one server, and the user that it runs as.
pub(crate) struct Room {
    pub(crate) folder: PathBuf,
    pub(crate) account: Option<Account>,
}

impl Room {
    /// Makes the folder, which only the server's user (and root) may enter.
    pub(crate) fn make(bench: &Bench, usual: &[&str]) -> Result<Self> {
        let account = super::account::choose(bench.run_as.as_deref(), usual)?;
        let folder = bench.folder.join("server");
        DirBuilder::new().mode(0o700).create(&folder).map_err(|e| told(&folder, &e))?;
        if let Some(account) = &account {
            let staging = bench.folder.parent().unwrap_or(&bench.folder);
            for passed in [staging, &bench.folder] {
                std::fs::set_permissions(passed, Permissions::from_mode(PASSABLE))
                    .map_err(|e| told(passed, &e))?;
            }
            give(&folder, account)?;
            account.reaches(&folder)?;
        }
        Ok(Self { folder, account })
    }

    /// Writes a file that only the server's user may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| told(&path, &e))?;
        if let Some(account) = &self.account {
            give(&path, account)?;
        }
        Ok(path)
    }

    /// Makes a further folder of the server's.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|e| told(&path, &e))?;
        if let Some(account) = &self.account {
            give(&path, account)?;
        }
        Ok(path)
    }

    /// Where a server that calls its socket so listens: a socket in the folder, or, where its path would be
    /// too long, a port of 127.0.0.1.
    pub(crate) fn address(&self, socket: &str) -> Result<Address> {
        if self.folder.join(socket).as_os_str().len() <= LONGEST_SOCKET {
            return Ok(Address::Socket(self.folder.clone()));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let port = listener.and_then(|listener| listener.local_addr());
        Ok(Address::Port(port.map_err(|e| Error::internal("choose a port", e))?.port()))
    }
}

/// Where a scratch server listens.
pub(crate) enum Address {
    /// On a socket in this folder.
    Socket(PathBuf),
    /// On this port of 127.0.0.1.
    Port(u16),
}

/// Waits until a server answers.
pub(crate) async fn ready(
    mut process: Child,
    answers: impl Fn() -> bool,
    explain: impl FnOnce(&Ended) -> Error,
) -> Result<Child> {
    let deadline = Instant::now() + LONGEST_START;
    loop {
        if answers() {
            return Ok(process);
        }
        if process.has_ended() {
            return Err(explain(&process.wait().await?));
        }
        if Instant::now() >= deadline {
            let message = format!("it did not answer within {} s", LONGEST_START.as_secs());
            return Err(Error::new(ErrorKind::Timeout, "start a scratch server", message));
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// A scratch server, or what makes its data, that failed: our trouble, and worth another try.
pub(crate) fn broken(program: &str, ended: &Ended) -> Error {
    let last: Vec<&str> = ended.stderr.lines().rev().take(3).collect();
    let said: Vec<&str> = last.into_iter().rev().collect();
    let message = format!("{program}: {} ({})", said.join(" / "), ended.status);
    Error::new(ErrorKind::Internal, "start a scratch server", message)
        .with_retryable(true)
        .with_mend("see whether this machine has room and memory for a second server")
}

fn give(path: &Path, account: &Account) -> Result<()> {
    chown(path, Some(account.uid), Some(account.gid)).map_err(|e| told(path, &e))
}

fn told(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "make a scratch server", format!("{}: {error}", path.display()))
        .with_mend("check that server.staging has room and may be written")
}
