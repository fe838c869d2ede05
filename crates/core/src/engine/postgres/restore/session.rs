//! Short talks with a server, by `psql`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::super::connect::Connection;
use super::super::missing;
use super::explain;
use crate::engine::process::Invocation;
use crate::engine::source::Source;
use crate::{Error, ErrorKind, Result};

/// How long the server may take for a question about its catalogs.
pub(super) const QUESTION: Duration = Duration::from_mins(1);
/// How long it may take to make or drop a database: it waits for a checkpoint.
pub(super) const DATABASE: Duration = Duration::from_mins(15);
/// How long it may take to read every table.
pub(super) const READING: Duration = Duration::from_hours(24);
/// Answers are not longer.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// What a role's or a database's settings may not change for us.
const OPTIONS: &str = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c search_path=pg_catalog -c client_min_messages=warning";
/// Databases to connect to when something is done to another one.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// Talks with one database of a server.
#[derive(Clone)]
pub(super) struct Session<'a> {
    source: &'a Source,
    connection: Connection,
    psql: PathBuf,
}

impl<'a> Session<'a> {
    /// Talks with the source's own database.
    pub(super) fn prepare(source: &'a Source) -> Result<Self> {
        let psql = source.toolbox.find_all("psql").into_iter().next().ok_or_else(|| missing("psql"))?;
        let mut connection = Connection::prepare(source)?;
        connection.set("PGOPTIONS", OPTIONS);
        connection.set("PGCLIENTENCODING", "UTF8");
        Ok(Self { source, connection, psql })
    }

    /// Talks with another database of that server.
    pub(super) fn at(&self, database: &str) -> Self {
        Self { connection: self.connection.at(database), ..self.clone() }
    }

    /// Talks with a database that nobody restores into, from which others are made, renamed and dropped.
    pub(super) async fn maintenance(&self) -> Result<Self> {
        let mut refused = None;
        for database in MAINTENANCE {
            let session = self.at(database);
            match session.run("SELECT 1", QUESTION).await {
                Ok(_) => return Ok(session),
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Denied) => {
                    refused = refused.or(Some(e));
                }
                Err(e) => return Err(e),
            }
        }
        Err(refused.unwrap_or_else(|| Error::internal("connect", "no database to connect to")))
    }

    /// A loader of that database, not started.
    pub(super) fn loader(&self, psql: &std::path::Path) -> Invocation {
        let mut connection = self.connection.clone();
        // The dump sets its own path, and functions may want the database's.
        connection.set("PGOPTIONS", &OPTIONS.replace(" -c search_path=pg_catalog", ""));
        quiet(connection.invoke(psql)).arg("--file=-").fed()
    }

    /// Another tool that is told where that database is.
    pub(super) fn tool(&self, tool: &std::path::Path) -> Invocation {
        self.connection.invoke(tool)
    }

    /// Runs SQL, a statement at a time.
    pub(super) async fn run(&self, sql: &str, limit: Duration) -> Result<String> {
        self.script(sql, false, limit).await
    }

    /// Runs SQL in one transaction.
    pub(super) async fn transact(&self, sql: &str, limit: Duration) -> Result<String> {
        self.script(sql, true, limit).await
    }

    /// Asks for one JSON value.
    pub(super) async fn ask<T: DeserializeOwned>(&self, sql: &str) -> Result<T> {
        let answer = self.run(sql, QUESTION).await?;
        serde_json::from_str(answer.trim())
            .map_err(|e| Error::internal("ask the server", format!("an answer that makes no sense: {e}")))
    }

    /// The SQL goes by a private file: a database's settings may be secret, and arguments are short.
    async fn script(&self, sql: &str, single: bool, limit: Duration) -> Result<String> {
        let told = |e: std::io::Error| Error::new(ErrorKind::Storage, "write a script", e.to_string());
        let mut file = tempfile::Builder::new()
            .prefix("script-")
            .suffix(".sql")
            .tempfile_in(&self.source.staging)
            .map_err(told)?;
        file.write_all(sql.as_bytes()).map_err(told)?;
        let mut invocation = quiet(self.connection.invoke(&self.psql))
            .args(["--tuples-only", "--no-align", "--file"])
            .arg(file.path());
        if single {
            invocation = invocation.arg("--single-transaction");
        }
        let redactor = self.source.login.redactor();
        let (ended, answer) = invocation.output(redactor, LONGEST_ANSWER, limit).await?;
        if !ended.status.success() {
            return Err(explain::session(&ended));
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn quiet(invocation: Invocation) -> Invocation {
    invocation.args(["--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"])
}
