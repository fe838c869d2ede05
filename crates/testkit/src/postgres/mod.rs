//! Real PostgreSQL servers on private ports.
//!
//! A server listens on 127.0.0.1 only, asks every connection for its password, runs as `nobody` when
//! the tests run as root, and is stopped and removed with its [`Postgres`], however the test ends. Its
//! time zone is not UTC, so that a tool that leans on the server's is found out.

mod install;
mod normalise;
mod server;
mod template;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::Signal;

pub use install::PgVersion;

use crate::host;
use server::Server;
use template::Template;

/// A running server with a superuser `postgres`.
pub struct Postgres {
    server: Server,
    bin: PathBuf,
    password: String,
    major: u32,
}

impl Postgres {
    /// Starts a server of its own for the caller, which takes about a second.
    ///
    /// # Panics
    /// When that version is not installed, or does not start.
    pub fn start(version: PgVersion) -> Self {
        Self::start_in(install::bin_dir(version), &[])
    }

    /// Starts the server whose programs are in that folder, with more settings.
    pub(crate) fn start_in(bin: PathBuf, settings: &[&str]) -> Self {
        let template = Template::for_server(&bin);
        let server = Server::start(&bin, &template, settings);
        Self { server, bin, password: template.password, major: template.major }
    }

    /// The server of the distribution's version that all tests of this process share. Make a database
    /// of your own in it, with a name from [`host::unique`], and do not [`kill`](Self::kill) it.
    pub fn shared() -> &'static Self {
        Self::shared_at(PgVersion::Debian)
    }

    /// [`shared`](Self::shared), of another version.
    pub fn shared_at(version: PgVersion) -> &'static Self {
        static DEBIAN: OnceLock<Postgres> = OnceLock::new();
        static SIXTEEN: OnceLock<Postgres> = OnceLock::new();
        let slot = match version {
            PgVersion::Debian => &DEBIAN,
            PgVersion::Sixteen => &SIXTEEN,
        };
        slot.get_or_init(|| Self::start(version))
    }

    /// Its data directory, which ends with it.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.server.data_dir()
    }

    /// The address to connect to: `127.0.0.1`.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The superuser's name.
    pub fn user(&self) -> &'static str {
        "postgres"
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server's major version.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The folder with this version's `pg_dump`, `psql` and `pg_restore`.
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// One of this version's client tools, ready to connect to `db` as the superuser.
    pub fn client(&self, tool: &str, db: &str) -> Command {
        let mut command = host::command(self.bin.join(tool));
        command.env("PGHOST", self.host()).env("PGPORT", self.port().to_string());
        // By environment, because a name on the command line is read as a connection string when it
        // looks like one.
        command.env("PGUSER", self.user()).env("PGPASSWORD", &self.password).env("PGDATABASE", db);
        command.env("PGCLIENTENCODING", "UTF8");
        command
    }

    /// Runs SQL and returns what it printed: rows by line, columns by `|`.
    ///
    /// # Panics
    /// At the first statement that fails, with the server's message.
    pub fn psql(&self, db: &str, sql: &str) -> String {
        let text = self.load(db, sql.as_bytes());
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Loads a plain dump with `psql`.
    ///
    /// # Panics
    /// At the first statement that fails, with the server's message.
    pub fn load_plain(&self, db: &str, dump: impl Read) {
        self.load(db, dump);
    }

    fn load(&self, db: &str, sql: impl Read) -> String {
        let mut psql = self.client("psql", db);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let output = host::run(psql, sql);
        String::from_utf8(output.stdout).expect("psql prints UTF-8")
    }

    /// Makes an empty database, whatever its name holds.
    pub fn create_database(&self, name: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {} TEMPLATE template0", quoted(name)));
    }

    /// Makes an empty database whose name begins with `prefix`, and returns the name.
    pub fn fresh_database(&self, prefix: &str) -> String {
        let name = host::unique(prefix);
        self.create_database(&name);
        name
    }

    /// Removes a database, connected users or not.
    pub fn drop_database(&self, name: &str) {
        self.psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", quoted(name)));
    }

    /// The schema and every row of `db` as text. Two databases are equal when their texts, made by the
    /// same server version, are.
    pub fn dump_normalised(&self, db: &str) -> String {
        let mut dump = self.client("pg_dump", db);
        dump.env("PGTZ", "UTC");
        let output = host::run(dump, std::io::empty());
        normalise::without_restrict(&String::from_utf8(output.stdout).expect("the databases are UTF-8"))
    }

    /// Fills `db` with every kind of object that a dump may trip over, 10,000 rows and three large objects.
    pub fn sample_schema(&self, db: &str) {
        self.psql(db, include_str!("sample.sql"));
    }

    /// Adds to `db` names that try to be something else: new lines, quotes, SQL, COPY headers.
    pub fn hostile_names(&self, db: &str) {
        self.psql(db, include_str!("hostile_names.sql"));
    }

    /// Kills every process of the server at once, as a crash of its machine would.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Starts the server again after [`kill`](Self::kill), as its machine would: same port, same data.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&self) {
        self.server.start_again();
    }

    /// Stops every process of the server where it stands; connections stay open and silent until
    /// [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.server.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.server.signal_all(Signal::CONT);
    }
}

/// A name as SQL takes it, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
