//! A scratch server of MySQL or MariaDB: of the dump's own family, and not older than its server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::server::askers;
use super::tools::{Client, Family, Series, installed_at, series};
use super::{Mysql, connect, explain};
use crate::engine::process::Invocation;
use crate::engine::scratch::{
    Address, Bench, Room, Scratch, ScratchServers, Specimen, broken, no_server, ready, settings,
};
use crate::engine::source::ResolvedLogin;
use crate::model::{EngineKind, RestoreMode};
use crate::redact::Redactor;
use crate::{Error, ErrorKind, Result};

/// The users that packages make for it.
const USUAL: [&str; 1] = ["mysql"];
const SUPERUSER: &str = "root";
/// The name under which [`super::connect`] looks for a socket in a folder.
const SOCKET: &str = "mysqld.sock";
const SERVERS: [&str; 2] = ["mariadbd", "mysqld"];
const INITIALISERS: [&str; 2] = ["mariadb-install-db", "mysql_install_db"];
/// A dump's first lines name the maker of the tool and of the server, in so many bytes.
const BANNER: usize = 512;
/// Both families take minutes on a slow disk.
const LONGEST_INIT: Duration = Duration::from_mins(4);
const LONGEST_QUESTION: Duration = Duration::from_mins(1);
/// Nothing here has to survive a crash.
const SETTINGS: [&str; 8] = [
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--max-allowed-packet=1G",
    "--event-scheduler=OFF",
    "--character-set-server=utf8mb4",
    "--skip-log-bin",
];

#[async_trait]
impl ScratchServers for Mysql {
    async fn start(&self, bench: &Bench, specimen: &Specimen<'_>) -> Result<Scratch> {
        let server = choose(bench, specimen).await?;
        let room = Room::make(bench, &USUAL)?;
        let data = initialise(bench, &room, &server).await?;
        let address = room.address(SOCKET)?;
        let accounts = room.write("accounts.sql", &accounts(bench.password.expose_secret()))?;
        let temporary = room.subfolder("tmp")?;
        let socket = room.folder.join(SOCKET);
        let at = |name: &str, path: &Path| {
            let mut word = std::ffi::OsString::from(format!("--{name}="));
            word.push(path);
            word
        };
        let mut invocation = Invocation::server(&server.path, &room.folder, "TERM").arg("--no-defaults");
        invocation = invocation.arg(at("datadir", &data)).arg(at("init-file", &accounts));
        invocation = invocation.arg(at("tmpdir", &temporary)).arg(at("pid-file", &room.folder.join("pid")));
        invocation = invocation.args(SETTINGS).args(own_settings(server.family));
        invocation = match &address {
            Address::Socket(_) => invocation.arg(at("socket", &socket)).arg("--skip-networking"),
            Address::Port(port) => {
                let short = PathBuf::from("s");
                let words = ["--bind-address=127.0.0.1".to_owned(), format!("--port={port}")];
                invocation.arg(at("socket", &short)).args(words)
            }
        };
        let process = invocation.run_as(room.account.as_ref()).start(Redactor::default(), None)?;
        let answers = || match &address {
            Address::Socket(_) => std::os::unix::net::UnixStream::connect(&socket).is_ok(),
            Address::Port(port) => {
                std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, *port)).is_ok()
            }
        };
        let name = server.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = ready(process, answers, |ended| broken(&name, ended)).await?;
        let mut settings = settings(specimen.facts, specimen.facts.database_name.clone());
        match address {
            Address::Socket(folder) => settings.host = Some(folder.to_string_lossy().into_owned()),
            Address::Port(port) => {
                settings.host = Some("127.0.0.1".to_owned());
                settings.port = Some(port);
            }
        }
        let username = Some(SUPERUSER.to_owned());
        let login = ResolvedLogin { username, password: Some(bench.password.clone()) };
        // Views, triggers and routines cannot be swapped in, and an empty server has nothing to spare.
        let (mode, exists) = (RestoreMode::InPlace, false);
        Ok(Scratch { settings, login, mode, exists, server: server.version, process: Some(process) })
    }

    fn borrowed_mode(&self) -> Option<RestoreMode> {
        Some(RestoreMode::InPlace)
    }

    /// The load makes the database. A server that runs events would run the dump's.
    async fn furnish(&self, bench: &Bench, scratch: &Scratch, _: &Specimen<'_>) -> Result<()> {
        let source = scratch.source(bench);
        let mut failed = None;
        for client in askers(&source).await? {
            let question = connect::invoke(&source, &client)?
                .args(["--batch", "--skip-column-names", "--execute=SELECT @@GLOBAL.event_scheduler"])
                .arg(format!("--connect-timeout={}", connect::CONNECT_TIMEOUT));
            let (ended, answer) = question.output(scratch.login.redactor(), 4096, LONGEST_QUESTION).await?;
            match String::from_utf8_lossy(&answer).trim() {
                _ if !ended.status.success() => failed = failed.or(Some(ended)),
                "ON" => return Err(runs_events()),
                _ => return Ok(()),
            }
        }
        Err(failed.map_or_else(
            || Error::internal("make a scratch database", "nothing was tried"),
            |ended| explain::ended("make a scratch database", &ended),
        ))
    }
}

fn runs_events() -> Error {
    let message = "its event scheduler is on, so the events of dumps would run there";
    Error::new(ErrorKind::Tool, "make a scratch database", message)
        .with_mend("SET GLOBAL event_scheduler = OFF on that server, and in its configuration")
}

fn own_settings(family: Family) -> &'static [&'static str] {
    match family {
        Family::Mariadb => &[],
        Family::Mysql => &["--mysqlx=OFF", "--secure-file-priv="],
    }
}

/// The superuser asks for the password from its socket and from 127.0.0.1.
fn accounts(password: &str) -> String {
    format!(
        "ALTER USER root@localhost IDENTIFIED BY '{password}';\n\
         CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '{password}';\n\
         GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
    )
}

/// The server of the dump's family: the oldest series that is not older than the dump's.
async fn choose(bench: &Bench, specimen: &Specimen<'_>) -> Result<Client> {
    let version = specimen.facts.server_version.as_deref();
    let family = family(specimen);
    let least: Series = version.and_then(series).unwrap_or_default();
    let servers = installed_at(&bench.toolbox, &bench.folder, SERVERS).await;
    let newest = servers.iter().max_by_key(|server| server.series).map(|server| server.version.clone());
    let servers = servers.into_iter().filter(|server| server.family == family && server.series >= least);
    servers.min_by_key(|server| server.series).ok_or_else(|| {
        let name = family.name();
        let what = match least {
            (0, 0) => format!("a {name} server"),
            (major, minor) => format!("a {name} server of series {major}.{minor} or newer"),
        };
        no_server(
            &what,
            newest.as_deref(),
            format!("install the server: apt-get install {}-server", family.as_str()),
        )
    })
}

/// The server tells it in its version, the dump in its first line; people call both MySQL.
fn family(specimen: &Specimen<'_>) -> Family {
    let told = specimen.facts.server_version.as_deref().unwrap_or_default();
    let first = &specimen.head[..specimen.head.len().min(BANNER)];
    let line = memchr::memmem::find(first, b"MariaDB").is_some();
    if told.contains("MariaDB") || line || told.is_empty() && specimen.facts.engine == EngineKind::Mariadb {
        Family::Mariadb
    } else {
        Family::Mysql
    }
}

async fn initialise(bench: &Bench, room: &Room, server: &Client) -> Result<PathBuf> {
    let data = room.subfolder("data")?;
    let mut folder = std::ffi::OsString::from("--datadir=");
    folder.push(&data);
    let invocation = match server.family {
        Family::Mysql => Invocation::new(&server.path, &room.folder)
            .arg("--no-defaults")
            .arg(folder)
            .args(["--initialize-insecure", "--innodb-use-native-aio=0"]),
        Family::Mariadb => {
            let tool = INITIALISERS.iter().flat_map(|name| bench.toolbox.find_all(name)).next();
            let tool = tool.ok_or_else(|| {
                Error::new(ErrorKind::Tool, "look for a server", "mariadb-install-db is not installed")
                    .with_mend("apt-get install mariadb-server")
            })?;
            Invocation::new(&tool, &room.folder)
                .arg("--no-defaults")
                .arg(folder)
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"])
                .arg("--innodb-use-native-aio=0")
        }
    };
    let invocation = invocation.run_as(room.account.as_ref());
    let (ended, _) = invocation.output(Redactor::default(), 1 << 20, LONGEST_INIT).await?;
    if ended.status.success() { Ok(data) } else { Err(broken("making its data folder", &ended)) }
}
