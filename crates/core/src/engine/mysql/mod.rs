//! MySQL and MariaDB: `mysqldump` and `mariadb-dump` in one transaction, watched as they stream.
//!
//! The two are one engine under two names: people call both MySQL. The server is asked first what it is,
//! and is dumped by its own family's tool (`tools.rs` says why), whichever word it was registered with.
//!
//! # What the options are for
//! - `--single-transaction`, no locks: one snapshot of all transactional tables while others write.
//! - `--hex-blob`: binary values as digits. They then hold no byte that a character set, an editor or a
//!   client in text mode could change, and look alike in every version, so that fingerprints compare. The price is
//!   twice the bytes before compression, and that a server must accept a packet of that size to load them,
//!   which the job's log says where this server would not.
//! - `--default-character-set=utf8mb4`, `--tz-utc`: text and times alike on every machine.
//! - `--set-gtid-purged=OFF`: a dump is loaded beside its source too, where its GTIDs are taken.
//! - `--no-tablespaces`, no column statistics: no privilege and no server is needed that only they need.
//! - `--dump-history` where there are system-versioned tables: they come back with their history.

mod connect;
mod explain;
mod grants;
mod lexer;
mod observer;
mod restore;
mod rows;
mod scratch;
mod server;
mod tools;

use std::sync::atomic::Ordering;

use async_trait::async_trait;

pub use self::observer::DumpObserver;
use self::server::Server;
use self::tools::{Client, Family};
use super::observe::{Observed, Observer};
use super::process;
use super::scratch::ScratchServers;
use super::sink::RawSink;
use super::source::Source;
use super::wording::{grouped, one_line};
use super::{DumpFacts, Engine, Probe, Restorer};
use crate::limits::Limits;
use crate::model::{Consistency, DumpFormat, EngineKind, Settings};
use crate::{Error, Result};

const OPTIONS: [&str; 12] = [
    "--single-transaction",
    "--skip-lock-tables",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--no-tablespaces",
    "--tz-utc",
    "--comments",
    // The largest that the protocol knows: memory is taken as rows need it.
    "--max-allowed-packet=1G",
];
/// Rows are grouped into statements of about this many bytes.
const STATEMENT: &str = "--net-buffer-length=1000000";
/// The first of MariaDB's series that dumps history.
const HISTORY: (u32, u32) = (10, 11);
/// The longest name of a database, in characters.
const LONGEST_NAME: usize = 64;
/// So many names stand in a line of the log.
const NAMES: usize = 5;

/// The engine for MySQL and for MariaDB.
pub struct Mysql;

#[async_trait]
impl Engine for Mysql {
    fn validate(&self, settings: &Settings, _limits: &Limits) -> Result<()> {
        if settings.database_name.chars().count() > LONGEST_NAME {
            return Err(Error::invalid(
                "database_name",
                format!("it is longer than {LONGEST_NAME} characters"),
            ));
        }
        match &settings.tls {
            Some(mode) if !connect::TLS_MODES.contains(&mode.as_str()) => {
                let allowed = connect::TLS_MODES.join(", ");
                Err(Error::invalid("tls", format!("{mode:?} is no mode of MySQL's; allowed are {allowed}")))
            }
            _ => Ok(()),
        }
    }

    fn tls_modes(&self) -> &'static [&'static str] {
        &connect::TLS_MODES
    }

    async fn probe(&self, source: &Source) -> Result<Probe> {
        let server = server::ask(source).await?;
        let tool = tools::choose(source, &server).await?;
        Ok(Probe {
            server_version: server.version,
            tool: Some(tool.version),
            size_bytes: Some(server.size_bytes),
        })
    }

    async fn dump(&self, source: &Source, sink: &mut RawSink) -> Result<Observed> {
        let server = server::ask(source).await?;
        let tool = tools::choose(source, &server).await?;
        tell(source, &server, &tool);
        let invocation = connect::invoke(source, &tool)?
            .args(OPTIONS)
            .arg(STATEMENT)
            .args(family_options(&server, &tool))
            .args(["--", &source.settings.database_name]);
        let observer = DumpObserver::new();
        let longest = observer.longest_statement();
        let child = invocation.start(source.login.redactor(), Some(source.log.clone()))?;
        let name = tool.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let observed =
            process::stream(child, Box::new(observer), sink, |ended| explain::ended(&name, &ended)).await?;
        tell_longest(source, &server, longest.load(Ordering::Relaxed));
        let whole = server.unsafe_tables.is_empty();
        let consistency = Some(if whole { Consistency::Snapshot } else { Consistency::PerCollection });
        Ok(Observed { consistency, ..observed })
    }

    fn restorer(&self) -> Option<&dyn Restorer> {
        Some(self)
    }

    fn scratch(&self) -> Option<&dyn ScratchServers> {
        Some(self)
    }

    fn observer(&self, _format: DumpFormat) -> Box<dyn Observer> {
        Box::new(DumpObserver::new())
    }

    fn upload_observer(&self, _format: DumpFormat) -> Box<dyn Observer> {
        Box::new(DumpObserver::foreign())
    }
}

fn family_options(server: &Server, tool: &Client) -> Vec<&'static str> {
    match tool.family {
        Family::Mariadb if dumps_history(server, tool) => vec!["--dump-history"],
        Family::Mariadb => vec![],
        Family::Mysql if tool.series.0 >= 8 => vec!["--set-gtid-purged=OFF", "--column-statistics=0"],
        Family::Mysql => vec!["--set-gtid-purged=OFF"],
    }
}

/// A server of an older series could not load it.
fn dumps_history(server: &Server, tool: &Client) -> bool {
    !server.versioned_tables.is_empty() && tool.series >= HISTORY && server.series >= HISTORY
}

/// Writes into the job's log what a reader of this backup should know.
fn tell(source: &Source, server: &Server, tool: &Client) {
    let log = &source.log;
    log.info(format!("server {} {}, tool {}", server.family.name(), server.version, tool.version));
    let registered = server::registered_family(source);
    if registered != server.family {
        log.info(format!("registered as {}, the server is {}", registered.as_str(), server.family.name()));
    }
    if tool.series < server.series {
        log.warn(
            "the tool is older than the server: kinds of objects that it does not know would be missing",
        );
    }
    if !server.unsafe_tables.is_empty() {
        log.warn(format!(
            "no snapshot can be taken of tables that are not transactional: {}; what is written to them during \
             the dump may be in it in part",
            names(&server.unsafe_tables)
        ));
    }
    if !server.versioned_tables.is_empty() && !dumps_history(server, tool) {
        log.warn(format!(
            "the history of system-versioned tables is not in the dump, which takes MariaDB 10.11: {}",
            names(&server.versioned_tables)
        ));
    }
    if !server.collated.is_empty() {
        log.warn(format!(
            "the dump names its database in ALTER DATABASE and is loaded under that name only, because the \
             database had another collation when these were made: {}",
            names(&server.collated)
        ));
    }
    if !grants::shows_routines(&server.grants, &source.settings.database_name) {
        log.warn("the user may not see routines of others, so the dump has none of them: GRANT EXECUTE");
    }
}

fn tell_longest(source: &Source, server: &Server, longest: u64) {
    if longest >= server.max_packet {
        source.log.warn(format!(
            "the longest statement has {} bytes, and this server accepts {}: raise max_allowed_packet where the \
             dump is loaded",
            grouped(longest),
            grouped(server.max_packet)
        ));
    }
}

/// The family and the version of the server that a dump comes from. The version tells, where it is known:
/// people register either as either.
fn server_of(dump: &DumpFacts) -> (Family, Option<&str>) {
    let version = dump.server_version.as_deref();
    let family = match (version, dump.engine) {
        (Some(version), _) => Family::told_by(&[version]),
        (None, EngineKind::Mariadb) => Family::Mariadb,
        (None, _) => Family::Mysql,
    };
    (family, version)
}

/// Some of the names, and how many there are.
fn names(all: &[String]) -> String {
    let shown: Vec<String> = all.iter().take(NAMES).map(|name| one_line(name)).collect();
    let more = if all.len() > NAMES { format!(" and {} more", all.len() - NAMES) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
