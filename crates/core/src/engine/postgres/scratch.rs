//! A scratch server of PostgreSQL: the smallest installed major that is not older than the dump's server.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::clues::Clues;
use super::connect::Connection;
use super::{Postgres, explain, installed_at, major_of_version};
use crate::engine::process::{Ended, Invocation};
use crate::engine::scratch::{
    Address, Bench, Room, Scratch, ScratchServers, Specimen, broken, no_server, ready, settings,
};
use crate::engine::source::ResolvedLogin;
use crate::engine::toolbox::Tool;
use crate::model::RestoreMode;
use crate::{Error, ErrorKind, Result};

/// The users that packages make for it.
const USUAL: [&str; 1] = ["postgres"];
const SUPERUSER: &str = "postgres";
/// The database from which others are made.
const MAINTENANCE: &str = "postgres";
const DATABASE: &str = "scratch";
const PORT: u16 = 5432;
/// `initdb` on a slow disk.
const LONGEST_INIT: Duration = Duration::from_mins(2);
const LONGEST_ORDER: Duration = Duration::from_mins(1);
/// Where the machine has no such locale, the dump's own is tried and this one is used.
const LOCALE: &str = "C.UTF-8";
/// Nothing here has to survive a crash. Locks are for dumps with many tables, which one transaction loads.
const SETTINGS: [&str; 14] = [
    "dynamic_shared_memory_type=mmap",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "autovacuum=off",
    "jit=off",
    "shared_buffers=32MB",
    "maintenance_work_mem=32MB",
    "max_connections=20",
    "max_locks_per_transaction=1024",
    "timezone=UTC",
];

#[async_trait]
impl ScratchServers for Postgres {
    async fn start(&self, bench: &Bench, specimen: &Specimen<'_>) -> Result<Scratch> {
        let server = choose(bench, specimen.facts.server_version.as_deref()).await?;
        let room = Room::make(bench, &USUAL)?;
        let data = initialise(bench, &room, &server).await?;
        let address = room.address(&format!(".s.PGSQL.{PORT}"))?;
        let mut invocation = Invocation::server(&server.path, &room.folder, "QUIT");
        let (socket, listen, port) = match &address {
            Address::Socket(folder) => (folder.display().to_string(), "", PORT),
            Address::Port(port) => (String::new(), "127.0.0.1", *port),
        };
        invocation = invocation.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in SETTINGS.map(str::to_owned).into_iter().chain([
            format!("listen_addresses={listen}"),
            format!("unix_socket_directories={socket}"),
            "unix_socket_permissions=0700".to_owned(),
        ]) {
            invocation = invocation.arg("-c").arg(setting);
        }
        let process =
            invocation.run_as(room.account.as_ref()).start(crate::redact::Redactor::default(), None)?;
        let status = data.join("postmaster.pid");
        let answers = || {
            std::fs::read_to_string(&status).is_ok_and(|text| text.lines().any(|line| line.trim() == "ready"))
        };
        let process = ready(process, answers, |ended| broken("postgres", ended)).await?;
        let mut settings = settings(specimen.facts, DATABASE.to_owned());
        settings.host = Some(if socket.is_empty() { listen.to_owned() } else { socket });
        settings.port = Some(port);
        let login =
            ResolvedLogin { username: Some(SUPERUSER.to_owned()), password: Some(bench.password.clone()) };
        let scratch = Scratch {
            settings,
            login,
            mode: RestoreMode::Swap,
            exists: true,
            server: server.version,
            process: Some(process),
        };
        make_database(bench, &scratch, specimen.head).await?;
        Ok(scratch)
    }

    fn borrowed_mode(&self) -> Option<RestoreMode> {
        Some(RestoreMode::Swap)
    }

    async fn furnish(&self, bench: &Bench, scratch: &Scratch, specimen: &Specimen<'_>) -> Result<()> {
        make_database(bench, scratch, specimen.head).await
    }
}

/// The server, with `initdb` beside it.
async fn choose(bench: &Bench, dumped: Option<&str>) -> Result<Tool> {
    let servers = installed_at(&bench.toolbox, &bench.folder, "postgres").await;
    let servers: Vec<Tool> =
        servers.into_iter().filter(|server| server.path.with_file_name("initdb").exists()).collect();
    let newest = servers.iter().max_by_key(|server| server.major).map(|server| server.version.clone());
    let least = dumped.and_then(major_of_version).unwrap_or_default();
    let fit = servers.into_iter().filter(|server| server.major >= least).min_by_key(|server| server.major);
    fit.ok_or_else(|| {
        let (what, package) = match least {
            0 => ("a PostgreSQL server".to_owned(), "postgresql".to_owned()),
            major => {
                (format!("a PostgreSQL server of major {major} or newer"), format!("postgresql-{major}"))
            }
        };
        no_server(&what, newest.as_deref(), format!("apt-get install {package}"))
    })
}

/// Makes the data folder: with [`LOCALE`], or, where the system lacks it, with `C`.
async fn initialise(bench: &Bench, room: &Room, server: &Tool) -> Result<PathBuf> {
    let data = room.subfolder("data")?;
    let password = room.write("password", bench.password.expose_secret())?;
    let mut failed = None;
    for locale in [LOCALE, "C"] {
        let init = Invocation::new(&server.path.with_file_name("initdb"), &room.folder)
            .arg("-D")
            .arg(&data)
            .args(["-U", SUPERUSER, "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"])
            .args(["--pwfile".as_ref(), password.as_os_str()])
            .arg(format!("--locale={locale}"))
            .run_as(room.account.as_ref());
        let (ended, _) = init.output(crate::redact::Redactor::default(), 1 << 20, LONGEST_INIT).await?;
        if ended.status.success() {
            std::fs::remove_file(&password)
                .map_err(|e| Error::new(ErrorKind::Storage, "make a scratch server", e.to_string()))?;
            return Ok(data);
        }
        failed = Some(ended);
    }
    Err(failed.map_or_else(
        || Error::internal("make a scratch server", "nothing was tried"),
        |e| broken("initdb", &e),
    ))
}

/// Makes the database with the dump's encoding and locale, as far as the dump tells them and the system has
/// them.
async fn make_database(bench: &Bench, scratch: &Scratch, head: &[u8]) -> Result<()> {
    let (clues, database) = (Clues::of(head), &scratch.settings.database_name);
    if let Some(locale) = &clues.locale {
        let ended = order(bench, scratch, &clues.create(database, Some(locale))).await?;
        if ended.status.success() {
            return Ok(());
        }
        bench.log.warn(format!("the dump's locale {locale} is not to be had here; {LOCALE} is used instead"));
    } else {
        bench.log.info(format!("the dump does not tell its locale; {LOCALE} is used"));
    }
    // Every encoding goes with C, and only UTF8 with the other.
    let mut last = None;
    for locale in [LOCALE, "C"] {
        let plain = Clues { provider: None, icu: None, ..clues.clone() };
        let ended = order(bench, scratch, &plain.create(database, Some(locale))).await?;
        if ended.status.success() {
            return Ok(());
        }
        last = Some(ended);
    }
    Err(last.map_or_else(
        || Error::internal("make a scratch database", "nothing was tried"),
        |e| explain::ended("make a scratch database", &e),
    ))
}

async fn order(bench: &Bench, scratch: &Scratch, sql: &str) -> Result<Ended> {
    let psql = bench.toolbox.find_all("psql").into_iter().next().ok_or_else(|| super::missing("psql"))?;
    let mut source = scratch.source(bench);
    MAINTENANCE.clone_into(&mut source.settings.database_name);
    let invocation = Connection::prepare(&source)?.invoke(&psql).args([
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        "--command",
        sql,
    ]);
    let (ended, _) = invocation.output(scratch.login.redactor(), 4096, LONGEST_ORDER).await?;
    Ok(ended)
}
