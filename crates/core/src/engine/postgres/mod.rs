//! PostgreSQL: `pg_dump`, plain or custom, watched as it streams.
//!
//! The tool must be at least as new as the server, and the smallest such major is chosen, so that the
//! dump is as portable as it can be. That is found out before the dump, by `psql`, which logs in just
//! as `pg_dump` will.

mod clues;
mod connect;
mod contents;
mod custom;
mod explain;
mod large_object;
mod lexer;
mod name;
mod plain;
mod restore;
mod rows;
mod scanner;
mod scratch;
mod statement;
mod words;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use self::connect::{CONNECT_TIMEOUT, Connection};
pub use self::custom::CustomObserver;
pub use self::name::LARGE_OBJECTS;
pub use self::plain::PlainObserver;
pub use self::restore::MISSING_EXTENSION;
use super::observe::{Observed, Observer};
use super::process;
use super::scratch::ScratchServers;
use super::sink::RawSink;
use super::source::Source;
use super::toolbox::{Tool, Toolbox};
use super::{Engine, Probe, Restorer};
use crate::limits::Limits;
use crate::model::{Consistency, DumpFormat, Settings};
use crate::{Error, ErrorKind, Result};

/// The modes that libpq knows.
const TLS_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const INSTALL: &str =
    "install the client tools: apt-get install postgresql-client (or -NN for a given major)";

/// The engine for PostgreSQL.
pub struct Postgres;

#[async_trait]
impl Engine for Postgres {
    fn validate(&self, settings: &Settings, _limits: &Limits) -> Result<()> {
        match &settings.tls {
            Some(mode) if !TLS_MODES.contains(&mode.as_str()) => {
                let allowed = TLS_MODES.join(", ");
                Err(Error::invalid("tls", format!("{mode:?} is no sslmode; allowed are {allowed}")))
            }
            _ => Ok(()),
        }
    }

    fn tls_modes(&self) -> &'static [&'static str] {
        &TLS_MODES
    }

    async fn probe(&self, source: &Source) -> Result<Probe> {
        let server = ask_server(source).await?;
        let tool = choose_tool(source, server.major).await?;
        Ok(Probe {
            server_version: server.version,
            tool: Some(tool.version),
            size_bytes: Some(server.size_bytes),
        })
    }

    async fn dump(&self, source: &Source, sink: &mut RawSink) -> Result<Observed> {
        let server = ask_server(source).await?;
        let tool = choose_tool(source, server.major).await?;
        source.log.info(format!("server {}, tool {}", server.version, tool.version));
        let connection = Connection::prepare(source)?;
        let invocation = connection.invoke(&tool.path).arg("--no-password");
        let invocation = match source.settings.format {
            DumpFormat::Plain => invocation.arg("--format=plain"),
            // Compression is ours: it is faster, and the stream stays readable to the observer.
            DumpFormat::Custom => invocation.arg("--format=custom").arg("--compress=0"),
        };
        let child = invocation.start(source.login.redactor(), Some(source.log.clone()))?;
        let observer = self.observer(source.settings.format);
        let observed =
            process::stream(child, observer, sink, |ended| explain::ended("pg_dump", &ended)).await?;
        Ok(Observed { consistency: Some(Consistency::Snapshot), ..observed })
    }

    fn restorer(&self) -> Option<&dyn Restorer> {
        Some(self)
    }

    fn scratch(&self) -> Option<&dyn ScratchServers> {
        Some(self)
    }

    fn observer(&self, format: DumpFormat) -> Box<dyn Observer> {
        match format {
            DumpFormat::Plain => Box::new(PlainObserver::new()),
            DumpFormat::Custom => Box::new(CustomObserver::new()),
        }
    }

    fn upload_observer(&self, format: DumpFormat) -> Box<dyn Observer> {
        match format {
            DumpFormat::Plain => Box::new(PlainObserver::foreign()),
            DumpFormat::Custom => Box::new(CustomObserver::foreign()),
        }
    }
}

struct Server {
    version: String,
    major: u32,
    size_bytes: u64,
}

async fn ask_server(source: &Source) -> Result<Server> {
    const QUERY: &str = "SELECT current_setting('server_version_num'), \
        pg_catalog.pg_database_size(current_database()), current_setting('server_version')";
    let psql = source.toolbox.find_all("psql").into_iter().next();
    let psql = psql.ok_or_else(|| missing("psql"))?;
    let connection = Connection::prepare(source)?;
    let invocation = connection
        .invoke(&psql)
        .args([
            "--no-psqlrc",
            "--no-password",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--field-separator=|",
        ])
        .args(["--set=ON_ERROR_STOP=1", "--command"])
        .arg(QUERY);
    let limit = Duration::from_secs(CONNECT_TIMEOUT) + Duration::from_secs(15);
    let (ended, answer) = invocation.output(source.login.redactor(), 4096, limit).await?;
    if !ended.status.success() {
        return Err(explain::ended("connect", &ended));
    }
    let answer = String::from_utf8_lossy(&answer);
    parse_server(answer.trim()).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "connect", "the server's answer is not PostgreSQL's")
            .with_retryable(false)
            .with_mend("check host and port")
    })
}

fn parse_server(answer: &str) -> Option<Server> {
    let mut fields = answer.splitn(3, '|');
    let number: u32 = fields.next()?.parse().ok()?;
    let size_bytes = fields.next()?.parse().ok()?;
    Some(Server { version: fields.next()?.to_owned(), major: number / 10_000, size_bytes })
}

async fn choose_tool(source: &Source, server_major: u32) -> Result<Tool> {
    smallest(source, "pg_dump", server_major).await
}

/// The smallest installed major of a tool that is not older than this one.
async fn smallest(source: &Source, name: &str, least: u32) -> Result<Tool> {
    let tools = installed(source, name).await;
    if tools.is_empty() {
        return Err(missing(name));
    }
    let newest = tools.iter().map(|tool| tool.major).max().unwrap_or_default();
    let fit = tools.into_iter().filter(|tool| tool.major >= least).min_by_key(|tool| tool.major);
    fit.ok_or_else(|| {
        Error::new(
            ErrorKind::Tool,
            format!("choose {name}"),
            format!("it takes one of PostgreSQL {least} and the newest {name} here is {newest}"),
        )
        .with_mend(format!("apt-get install postgresql-client-{least}"))
    })
}

/// Every installed tool of that name, with its version.
async fn installed(source: &Source, name: &str) -> Vec<Tool> {
    installed_at(&source.toolbox, &source.staging, name).await
}

async fn installed_at(toolbox: &Toolbox, home: &Path, name: &str) -> Vec<Tool> {
    let mut tools = Vec::new();
    for path in toolbox.find_all(name) {
        let Some(version) = process::version_of(&path, home).await else { continue };
        if let Some(major) = major_of(&version) {
            tools.push(Tool { path, version, major });
        }
    }
    tools
}

/// `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` gives 15, and `… 18beta1` gives 18.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split(')').nth(1)?.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `15.18 (Debian 15.18-0+deb12u1)`, as a dump tells of its server, gives 15.
fn major_of_version(version: &str) -> Option<u32> {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn missing(tool: &str) -> Error {
    Error::new(ErrorKind::Tool, format!("look for {tool}"), format!("{tool} is not installed"))
        .with_mend(INSTALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_s_major_is_read_from_what_it_prints() {
        assert_eq!(major_of("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_of("pg_dump (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of("pg_dump (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn a_server_is_read_from_its_answer_and_junk_is_not() {
        let server = parse_server("150018|7777777|15.18 (Debian 15.18-0+deb12u1)").unwrap();
        assert_eq!((server.major, server.size_bytes), (15, 7_777_777));
        assert!(parse_server("HTTP/1.1 400 Bad Request").is_none());
    }
}
