//! Real MariaDB and MySQL servers on private ports.
//!
//! A server listens on 127.0.0.1 only, asks every connection for its password, runs as `nobody` when
//! the tests run as root, and is killed and removed with its [`Mysql`], however the test ends. Its time zone
//! is not UTC, so that a tool that leans on the server's is found out.

mod install;
mod server;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rustix::process::Signal;

pub use install::Maker;

use crate::host;
use server::Server;

/// What the engine gives the tools too, and a dump needs to be compared with another.
const DUMP: [&str; 8] = [
    "--single-transaction",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--no-tablespaces",
    "--tz-utc",
];

/// A running server with a superuser `root`.
pub struct Mysql {
    server: Server,
    maker: Maker,
    bin: PathBuf,
    password: String,
}

impl Mysql {
    /// Starts a MariaDB of its own for the caller, which takes about a second.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub fn start() -> Self {
        let bin = Maker::Mariadb.bin_dir();
        let bin = bin.expect("MariaDB is not installed: run scripts/install-test-dependencies");
        Self::start_in(Maker::Mariadb, bin)
    }

    fn start_in(maker: Maker, bin: PathBuf) -> Self {
        let password = host::random_hex(12);
        let server = Server::start(maker, &bin, &password);
        Self { server, maker, bin, password }
    }

    /// The MariaDB that all tests of this process share. Make a database of your own in it, with a name
    /// from [`host::unique`], and do not [`kill`](Self::kill) it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Mysql> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The same of MySQL; none, with a line that says so, where it is not installed.
    pub fn shared_mysql() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Mysql>> = OnceLock::new();
        let start = || {
            let bin = Maker::Mysql.bin_dir();
            if bin.is_none() {
                eprintln!("SKIPPED: MySQL's server is not here: see scripts/install-test-dependencies");
            }
            bin.map(|bin| Self::start_in(Maker::Mysql, bin))
        };
        SHARED.get_or_init(start).as_ref()
    }

    /// The address to connect to: `127.0.0.1`.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The folder that its socket lies in, under the name `s`.
    pub fn socket(&self) -> PathBuf {
        self.server.process.dir().join("s")
    }

    /// The superuser's name.
    pub fn user(&self) -> &'static str {
        "root"
    }

    /// The superuser's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The folder with its maker's clients.
    pub fn bin_dir(&self) -> &Path {
        &self.bin
    }

    /// One of its maker's tools, named as MariaDB names it (`mariadb`, `mariadb-dump`), ready to connect as the
    /// superuser. Names of databases come last, behind `--`.
    pub fn client(&self, tool: &str) -> Command {
        let name = match (self.maker, tool) {
            (Maker::Mysql, "mariadb") => "mysql",
            (Maker::Mysql, "mariadb-dump") => "mysqldump",
            _ => tool,
        };
        let mut command = host::command(self.bin.join(name));
        command.args(["--no-defaults", "--host", self.host(), "--protocol=tcp", "--user", self.user()]);
        command.arg(format!("--port={}", self.port())).env("MYSQL_PWD", &self.password);
        command
    }

    /// Runs SQL and returns what it printed: rows by line, columns by tab.
    ///
    /// # Panics
    /// At the first statement that fails, with the server's message.
    pub fn sql(&self, db: &str, sql: &str) -> String {
        let text = self.load(db, sql.as_bytes());
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// Loads a dump with its maker's client, as a person would. Comments in routines are kept.
    ///
    /// # Panics
    /// At the first statement that fails, with the server's message.
    pub fn load(&self, db: &str, sql: impl Read) -> String {
        let mut client = self.client("mariadb");
        client.args(["--batch", "--skip-column-names", "--comments", "--default-character-set=utf8mb4"]);
        client.arg(format!("--database={db}")).arg("--max-allowed-packet=1G");
        let output = host::run(client, sql);
        String::from_utf8(output.stdout).expect("the client prints UTF-8")
    }

    /// Makes an empty database, whatever its name holds.
    pub fn create_database(&self, name: &str) {
        self.sql("mysql", &format!("CREATE DATABASE {}", quoted(name)));
    }

    /// Makes an empty database whose name begins with `prefix`, and returns the name.
    pub fn fresh_database(&self, prefix: &str) -> String {
        let name = host::unique(prefix);
        self.create_database(&name);
        name
    }

    /// Removes a database.
    pub fn drop_database(&self, name: &str) {
        self.sql("mysql", &format!("DROP DATABASE {}", quoted(name)));
    }

    /// A dump by its maker's tool.
    pub fn dump(&self, db: &str, more: &[&str]) -> Vec<u8> {
        let mut dump = self.client("mariadb-dump");
        if self.maker == Maker::Mysql {
            dump.arg("--set-gtid-purged=OFF");
        }
        dump.args(DUMP).args(more).args(["--", db]);
        host::run(dump, std::io::empty()).stdout
    }

    /// The schema and every row of `db` as text, but for the comments that name it. Two databases are equal
    /// when their texts, made by the same server, are.
    pub fn dump_normalised(&self, db: &str) -> String {
        let history: &[&str] = if self.maker == Maker::Mariadb { &["--dump-history"] } else { &[] };
        let dump = String::from_utf8(self.dump(db, history)).expect("the databases are UTF-8");
        let names = |line: &&str| {
            let starts =
                ["-- Host: ", "-- Dumping events for ", "-- Dumping routines for ", "-- Dump completed on "];
            starts.iter().any(|start| line.starts_with(start))
        };
        dump.lines().filter(|line| !names(line)).collect::<Vec<_>>().join("\n")
    }

    /// Fills `db` with every kind of object and value that a dump may trip over, and 10,000 rows.
    pub fn sample_schema(&self, db: &str) {
        self.sql(db, include_str!("sample.sql"));
        self.sql(
            db,
            match self.maker {
                Maker::Mariadb => include_str!("sample_mariadb.sql"),
                Maker::Mysql => include_str!("sample_mysql.sql"),
            },
        );
    }

    /// Kills the server at once, as a crash of its machine would.
    pub fn kill(&self) {
        self.server.process.kill();
    }

    /// Stops the server where it stands; connections stay open and silent until [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.server.process.signal_all(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.server.process.signal_all(Signal::CONT);
    }
}

/// A name as SQL takes it, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
