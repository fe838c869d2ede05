//! A way to a server's ear: questions by argument, orders by standard input.

use std::time::Duration;

use super::explain;
use super::state::{self, State};
use crate::engine::Target;
use crate::engine::mysql::connect::{self, CONNECT_TIMEOUT};
use crate::engine::mysql::server;
use crate::engine::mysql::tools::Client;
use crate::engine::process::Invocation;
use crate::engine::source::Source;
use crate::{Error, ErrorKind, Result};

const LONGEST_QUESTION: Duration = Duration::from_secs(CONNECT_TIMEOUT + 105);
/// Names of everything in three databases.
const LONGEST_ANSWER: usize = 64 << 20;
/// Seconds that an order waits for others to let go of a table.
const LOCK_WAIT: u32 = 30;

/// A server that answered, and the clients that reach it.
pub(super) struct Session<'a> {
    pub(super) target: &'a Target,
    /// What the server was when it was last asked.
    pub(super) state: State,
    asker: Client,
    loader: Option<Client>,
}

impl<'a> Session<'a> {
    /// Asks with the clients that are here, those of the registered family first.
    pub(super) async fn open(target: &'a Target) -> Result<Self> {
        let clients = server::askers(&target.at).await?;
        let first = &clients[0];
        let other = clients.iter().find(|client| client.family != first.family);
        let (state, asker) = match (ask(target, first).await, other) {
            // An old or foreign client may lack what this account's password is checked with.
            (Err(error), Some(other)) if error.kind() == ErrorKind::Tool => {
                (ask(target, other).await?, other)
            }
            (answer, _) => (answer?, first),
        };
        server::check_encryption(&target.at, state.encrypted)?;
        let loader = clients.iter().find(|client| client.family == state.family).cloned();
        let asker = loader.clone().unwrap_or_else(|| asker.clone());
        Ok(Self { target, state, asker, loader })
    }

    /// Asks again.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        self.state = ask(self.target, &self.asker).await?;
        Ok(())
    }

    /// The client that loads: one of the server's own family.
    pub(super) fn loader(&self) -> Result<&Client> {
        self.loader.as_ref().ok_or_else(|| {
            let family = self.state.family;
            let message = format!(
                "the server is {} {} and its family's client {} is not installed",
                family.name(),
                self.state.version,
                family.client()
            );
            Error::new(ErrorKind::Tool, "look for a client", message).with_mend(family.install())
        })
    }

    /// Whether the loader can be kept from files and programs by an option.
    pub(super) async fn loader_has_sandbox(&self) -> Result<bool> {
        let help = Invocation::new(&self.loader()?.path, &self.target.at.staging).arg("--help");
        let (_, text) = help.output(self.target.at.login.redactor(), 1 << 20, LONGEST_QUESTION).await?;
        Ok(memchr::memmem::find(&text, b"--sandbox").is_some())
    }

    /// Gives orders, one after another, up to the first that fails. They may hold secrets, and be as long
    /// as they like.
    pub(super) async fn order(&self, operation: &str, statements: &[String]) -> Result<()> {
        self.give(operation, statements, &[]).await
    }

    async fn give(&self, operation: &str, statements: &[String], options: &[&str]) -> Result<()> {
        if statements.is_empty() {
            return Ok(());
        }
        let source = &self.target.at;
        let child = client(source, &self.asker)?
            .args(["--binary-mode"])
            .args(options)
            .fed()
            .start(source.login.redactor(), None)?;
        let mut text = format!("SET SESSION sql_mode = '', SESSION lock_wait_timeout = {LOCK_WAIT};\n");
        for statement in statements {
            text.push_str(statement);
            text.push_str(";\n");
        }
        // Renaming and dropping give no bytes to count, whatever they take.
        let _silent = self.target.meter.hold();
        let ended = super::write_all(child, text).await?;
        if ended.status.success() { Ok(()) } else { Err(explain::ended(operation, &ended, false)) }
    }

    /// Ends the connections to the target. One that has ended by itself is no error, and one that may not be
    /// ended shows in what waits for it.
    pub(super) async fn end_connections(&self) -> Result<()> {
        let kill = |(id, _): &(u64, String)| format!("KILL {id}");
        let kills: Vec<String> = self.state.connections.iter().map(kill).collect();
        self.give("end connections", &kills, &["--force"]).await
    }
}

/// A client that is about to connect there.
pub(super) fn client(source: &Source, client: &Client) -> Result<Invocation> {
    Ok(connect::invoke(source, client)?
        .args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4", "--local-infile=0"])
        .arg(format!("--connect-timeout={CONNECT_TIMEOUT}")))
}

async fn ask(target: &Target, asker: &Client) -> Result<State> {
    let source = &target.at;
    let names = [target.database_name(), &target.aside, &target.kept];
    let invocation = client(source, asker)?.arg("--execute").arg(state::question(names));
    let (ended, answer) =
        invocation.output(source.login.redactor(), LONGEST_ANSWER, LONGEST_QUESTION).await?;
    if !ended.status.success() {
        return Err(explain::ended("connect", &ended, false));
    }
    state::read(&String::from_utf8_lossy(&answer), names).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "connect", "the server's answer is not MySQL's or MariaDB's")
            .with_retryable(false)
            .with_mend("check host and port")
    })
}
