//! Which client is of which family, and which of them fits a server.
//!
//! The families have grown apart, so a dump is made by the tool of the server's own, or not at all:
//! `mariadb-dump` gives values to MySQL's generated columns, which MySQL refuses when they are loaded, and begins
//! with a command that MySQL's client does not know; `mysqldump` of Oracle knows no sequences and no
//! system versioning. Names tell nothing (Debian's `mysqldump` is MariaDB's), what `--version` prints does.

use std::path::{Path, PathBuf};

use super::server::Server;
use crate::engine::process;
use crate::engine::source::Source;
use crate::engine::toolbox::Toolbox;
use crate::{Error, ErrorKind, Result};

/// The names under which the tools that dump are installed.
pub(super) const DUMPERS: [&str; 2] = ["mariadb-dump", "mysqldump"];
/// The names under which the clients that ask are installed.
pub(super) const ASKERS: [&str; 2] = ["mariadb", "mysql"];

/// Whose server or tool it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Mysql,
    Mariadb,
}

/// The first two numbers of a version.
pub(super) type Series = (u32, u32);

/// An installed client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) path: PathBuf,
    /// As it prints it.
    pub(super) version: String,
    pub(super) family: Family,
    pub(super) series: Series,
}

impl Family {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    /// As its maker writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mysql => "MySQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// Whose it is by what a server or a dump tells of itself.
    pub(super) fn told_by(texts: &[&str]) -> Self {
        let named = texts.iter().any(|text| text.to_ascii_lowercase().contains("mariadb"));
        if named { Self::Mariadb } else { Self::Mysql }
    }

    /// Its client, as it is called today.
    pub(super) fn client(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Mariadb => "mariadb",
        }
    }

    fn dumper(self) -> &'static str {
        match self {
            Self::Mysql => "mysqldump",
            Self::Mariadb => "mariadb-dump",
        }
    }

    /// What brings its tools.
    pub(super) fn install(self) -> &'static str {
        match self {
            Self::Mysql => {
                "install MySQL's own client tools: apt-get install mysql-client on Ubuntu or from MySQL's APT \
                 repository (Debian's default-mysql-client is MariaDB's)"
            }
            Self::Mariadb => "install MariaDB's client tools: apt-get install mariadb-client",
        }
    }
}

/// Every installed client of these names.
pub(super) async fn installed(source: &Source, names: [&str; 2]) -> Vec<Client> {
    installed_at(&source.toolbox, &source.staging, names).await
}

/// The same, with a folder to start them in.
pub(super) async fn installed_at(toolbox: &Toolbox, home: &Path, names: [&str; 2]) -> Vec<Client> {
    let mut clients = Vec::new();
    for path in names.iter().flat_map(|name| toolbox.find_all(name)) {
        let Some(version) = process::version_of(&path, home).await else { continue };
        if let Some((family, series)) = read_version(&version) {
            clients.push(Client { path, version, family, series });
        }
    }
    clients
}

/// The tool of the server's family: the oldest series that is not older than the server's, else the newest.
pub(super) async fn choose(source: &Source, server: &Server) -> Result<Client> {
    let tools = installed(source, DUMPERS).await;
    let other = tools.iter().find(|tool| tool.family != server.family).map(|tool| tool.version.clone());
    let tools: Vec<Client> = tools.into_iter().filter(|tool| tool.family == server.family).collect();
    let fit = tools.iter().filter(|tool| tool.series >= server.series).min_by_key(|tool| tool.series);
    let newest = tools.iter().max_by_key(|tool| tool.series);
    let tool = match (fit, newest) {
        (Some(fit), _) => fit,
        (None, Some(newest)) if is_near(newest, server) => newest,
        (None, Some(newest)) => return Err(too_old(newest, server)),
        (None, None) => return Err(none_of_family(server, other)),
    };
    Ok(tool.clone())
}

/// MariaDB's tools keep working with newer servers. MySQL's do within a major: 5, 8 or 9.
fn is_near(tool: &Client, server: &Server) -> bool {
    server.family == Family::Mariadb || tool.series.0 >= server.series.0
}

fn too_old(newest: &Client, server: &Server) -> Error {
    let message = format!(
        "the server is {} {} and the newest tool here is {}",
        server.family.name(),
        server.version,
        newest.version
    );
    Error::new(ErrorKind::Tool, "choose mysqldump", message).with_mend(server.family.install())
}

fn none_of_family(server: &Server, other: Option<String>) -> Error {
    let tool = server.family.dumper();
    let mut message =
        format!("the server is {} {} and {tool} is not installed", server.family.name(), server.version);
    if let Some(other) = other {
        message.push_str(&format!("; what is installed cannot dump it whole: {other}"));
    }
    Error::new(ErrorKind::Tool, format!("look for {tool}"), message).with_mend(server.family.install())
}

/// Family and series in what a client prints of itself.
fn read_version(text: &str) -> Option<(Family, Series)> {
    let family = if text.contains("MariaDB") { Family::Mariadb } else { Family::Mysql };
    let number = ["Distrib ", " from ", " Ver "].iter().find_map(|word| text.split_once(word))?.1;
    series(number.trim_start()).map(|series| (family, series))
}

/// The first two numbers of `10.11.19-MariaDB` or `8.0.mysql_aurora.3.05.2`.
pub(super) fn series(version: &str) -> Option<Series> {
    let mut numbers = version.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_s_family_and_series_are_read_from_what_it_prints() {
        for (text, family, series) in [
            (
                "mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
                Family::Mariadb,
                (10, 11),
            ),
            ("mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)", Family::Mariadb, (11, 4)),
            ("mysqldump  Ver 9.7.4-2 for Linux on x86_64 ((Debian))", Family::Mysql, (9, 7)),
            (
                "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)",
                Family::Mysql,
                (8, 0),
            ),
            ("mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", Family::Mysql, (5, 7)),
        ] {
            assert_eq!(read_version(text), Some((family, series)), "{text}");
        }
        assert_eq!(read_version("something else"), None);
    }
}
