//! What the server tells of itself and of the database before a dump.

use std::time::Duration;

use super::connect::{self, CONNECT_TIMEOUT};
use super::tools::{self, ASKERS, Client, Family, Series};
use super::{explain, grants};
use crate::engine::process::Ended;
use crate::engine::source::Source;
use crate::model::EngineKind;
use crate::{Error, ErrorKind, Result};

/// Large schemas take long to be described.
const LONGEST_QUESTION: Duration = Duration::from_secs(CONNECT_TIMEOUT + 105);
/// Names of tables and grants of one database.
const LONGEST_ANSWER: usize = 8 << 20;

/// Each row begins with what it is about. An engine that is not transactional has no snapshot; a routine
/// whose database had another collation is dumped with an `ALTER DATABASE` by name. The mode is for grants'
/// quotes.
const QUESTION: &str = "\
    SET SESSION sql_mode = '';\
    SELECT 'server', VERSION(), @@version_comment, @@max_allowed_packet;\
    SHOW SESSION STATUS LIKE 'Ssl_cipher';\
    SELECT 'size', COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables \
      WHERE table_schema = DATABASE();\
    SELECT 'unsafe', table_name FROM information_schema.tables \
      WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') AND engine NOT IN \
      (SELECT engine FROM information_schema.engines WHERE transactions = 'YES') ORDER BY table_name;\
    SELECT 'versioned', table_name FROM information_schema.tables \
      WHERE table_schema = DATABASE() AND table_type = 'SYSTEM VERSIONED';\
    SELECT 'collated', routine_name FROM information_schema.routines \
      WHERE routine_schema = DATABASE() AND database_collation <> @@collation_database;\
    SELECT 'collated', trigger_name FROM information_schema.triggers \
      WHERE trigger_schema = DATABASE() AND database_collation <> @@collation_database;\
    SELECT 'collated', event_name FROM information_schema.events \
      WHERE event_schema = DATABASE() AND database_collation <> @@collation_database;\
    SHOW GRANTS;";

/// A server, and a database on it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) family: Family,
    pub(super) series: Series,
    pub(super) size_bytes: u64,
    pub(super) max_packet: u64,
    pub(super) encrypted: bool,
    /// Tables of which `--single-transaction` takes no snapshot.
    pub(super) unsafe_tables: Vec<String>,
    pub(super) versioned_tables: Vec<String>,
    /// Routines, triggers and events that are dumped with the database's name.
    pub(super) collated: Vec<String>,
    pub(super) grants: Vec<String>,
}

/// Asks with a client of the family that the database was registered as, or else with the other.
pub(super) async fn ask(source: &Source) -> Result<Server> {
    let clients = askers(source).await?;
    let first = &clients[0];
    let other = clients.iter().find(|client| client.family != first.family);
    let server = match (ask_with(source, first).await, other) {
        // An old or foreign client may lack what this account's password is checked with.
        (Err(error), Some(other)) if error.kind() == ErrorKind::Tool => ask_with(source, other).await?,
        (answer, _) => answer?,
    };
    check(source, &server)?;
    Ok(server)
}

/// The installed clients, never none: those of the family that the database was registered as come first,
/// and the newest of a family.
pub(super) async fn askers(source: &Source) -> Result<Vec<Client>> {
    let family = registered_family(source);
    let mut clients = tools::installed(source, ASKERS).await;
    clients.sort_by_key(|client| (client.family != family, std::cmp::Reverse(client.series)));
    if clients.is_empty() {
        let error =
            Error::new(ErrorKind::Tool, "look for a client", "neither mariadb nor mysql is installed");
        return Err(error.with_mend(family.install()));
    }
    Ok(clients)
}

/// The family by the word that the database was registered with.
pub(super) fn registered_family(source: &Source) -> Family {
    if source.settings.engine == EngineKind::Mariadb { Family::Mariadb } else { Family::Mysql }
}

async fn ask_with(source: &Source, client: &Client) -> Result<Server> {
    let mut database = std::ffi::OsString::from("--database=");
    database.push(&source.settings.database_name);
    let invocation = connect::invoke(source, client)?
        .args(["--batch", "--skip-column-names", "--default-character-set=utf8mb4"])
        .arg(format!("--connect-timeout={CONNECT_TIMEOUT}"))
        .arg(database)
        .arg("--execute")
        .arg(QUESTION);
    let (ended, answer) =
        invocation.output(source.login.redactor(), LONGEST_ANSWER, LONGEST_QUESTION).await?;
    if !ended.status.success() {
        return Err(refused(&ended));
    }
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, "connect", "the server's answer is not MySQL's or MariaDB's")
            .with_retryable(false)
            .with_mend("check host and port")
    })
}

fn refused(ended: &Ended) -> Error {
    explain::ended("connect", ended)
}

fn check(source: &Source, server: &Server) -> Result<()> {
    check_encryption(source, server.encrypted)?;
    grants::check(&server.grants, &source.settings.database_name)
}

/// Refuses a connection in clear where the settings forbid one.
pub(super) fn check_encryption(source: &Source, encrypted: bool) -> Result<()> {
    if encrypted || !connect::must_encrypt(&source.settings) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, "connect", "the server did not encrypt the connection")
        .with_field("tls")
        .with_mend("set up TLS on the server, or set tls to preferred or disabled"))
}

/// Reads rows of fields with tabs between.
fn read(answer: &str) -> Option<Server> {
    let mut server = None;
    let (mut size_bytes, mut encrypted) = (0, false);
    let (mut unsafe_tables, mut versioned_tables, mut collated, mut grants) =
        (vec![], vec![], vec![], vec![]);
    for line in answer.lines() {
        let (about, rest) = line.split_once('\t').unwrap_or((line, ""));
        match about {
            "server" => server = Some(rest),
            "size" => size_bytes = rest.parse().ok()?,
            "Ssl_cipher" => encrypted = !rest.is_empty(),
            "unsafe" => unsafe_tables.push(rest.to_owned()),
            "versioned" => versioned_tables.push(rest.to_owned()),
            "collated" => collated.push(rest.to_owned()),
            _ => grants.push(line.to_owned()),
        }
    }
    let mut fields = server?.split('\t');
    let (version, comment) = (fields.next()?, fields.next()?);
    Some(Server {
        version: version.to_owned(),
        family: Family::told_by(&[version, comment]),
        series: tools::series(version)?,
        size_bytes,
        max_packet: fields.next()?.parse().ok()?,
        encrypted,
        unsafe_tables,
        versioned_tables,
        collated,
        grants,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_its_answer_and_junk_is_not() {
        let answer = "server\t10.11.19-MariaDB-0+deb12u1\tDebian 12\t16777216\nSsl_cipher\t\nsize\t4096\n\
                      unsafe\ta\\tb\nGRANT USAGE ON *.* TO `x`@`%`\n";
        let server = read(answer).unwrap();
        assert_eq!((server.family, server.series, server.size_bytes), (Family::Mariadb, (10, 11), 4096));
        assert_eq!((server.max_packet, server.encrypted), (16 << 20, false));
        assert_eq!((server.unsafe_tables, server.grants.len()), (vec!["a\\tb".to_owned()], 1));
        assert!(read("HTTP/1.1 400 Bad Request").is_none());
    }
}
