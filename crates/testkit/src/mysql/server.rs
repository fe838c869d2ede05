//! One server process, from a data directory made once and copied for every server: making it takes most
//! of a start's time, and the test runner gives every test a process of its own.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::install::{self, Maker};
use crate::guardian::{Guarded, free_port};
use crate::host;

/// Changes with anything that [`make`] does, so that an older template is not taken for a new one.
const RECIPE: u32 = 1;

/// Cleaners of temporary folders remove old files one by one; a template is replaced before they come.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Nothing that survives a crash is needed here, and no time zone of the server may show in a dump.
const SETTINGS: [&str; 9] = [
    "--bind-address=127.0.0.1",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-use-native-aio=0",
    "--max-allowed-packet=256M",
    "--event-scheduler=OFF",
    "--default-time-zone=+05:30",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
];

/// A running server; stopped and removed on drop.
pub(super) struct Server {
    pub(super) process: Guarded,
    pub(super) port: u16,
}

impl Server {
    /// Copies the template and starts on a free port, with a superuser `root` of this password.
    pub(super) fn start(maker: Maker, bin: &Path, password: &str) -> Self {
        let template = template(maker, bin);
        let mut log = String::new();
        // Another process can take the port between its choice and the server's bind.
        for _ in 0..5 {
            let server = Self::launch(maker, bin, &template, password);
            if server.becomes_ready() {
                return server;
            }
            log = server.process.log();
            if !log.contains("in use") {
                break;
            }
        }
        panic!("the server in {} did not start: {log}", bin.display());
    }

    fn launch(maker: Maker, bin: &Path, template: &Path, password: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("respaldo-my-").tempdir().expect("a folder can be made");
        host::give_away(dir.path());
        let (data, init) = (dir.path().join("data"), dir.path().join("init.sql"));
        let mut copy = host::command("cp");
        copy.arg("-a").arg(template).arg(&data);
        host::run(copy, std::io::empty());
        let account = format!(
            "DROP USER IF EXISTS root@'127.0.0.1';\n\
             CREATE USER root@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
        );
        fs::write(&init, account).expect("the folder is ours");
        let port = free_port();
        let mut words = maker.server(bin);
        let at = |name: &str, path: &Path| format!("--{name}={}", path.display());
        words.extend([at("datadir", &data), at("init-file", &init), at("tmpdir", dir.path())]);
        words.extend([at("socket", &dir.path().join("s")), at("pid-file", &dir.path().join("server.pid"))]);
        words.push(format!("--port={port}"));
        words.extend(SETTINGS.map(str::to_owned));
        Self { process: Guarded::start(dir, "KILL", &words), port }
    }

    /// Waits until connections are taken; false when the server has died instead.
    fn becomes_ready(&self) -> bool {
        // MySQL says it first of another listener, with a port of 0.
        let ready = || {
            self.process.log().lines().any(|line| {
                line.contains("ready for connections") && !line.contains("X Plugin")
                    || line.contains(&format!("port: {}", self.port))
            })
        };
        host::holds_within(Duration::from_mins(1), || ready() || !host::is_alive(self.process.pid()))
            && ready()
    }
}

/// A fresh data directory, made if there is none.
fn template(maker: Maker, bin: &Path) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("respaldo-testkit-{user}"));
    DirBuilder::new().recursive(true).mode(0o755).create(&root).expect("the temporary folder is writable");
    let lock = File::create(root.join("lock-mysql")).expect("the cache folder is ours");
    lock.lock().expect("a file can be locked");
    let home = root.join(format!("{}-r{RECIPE}", install::version_key(maker, bin)));
    let age = fs::metadata(&home).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
    if !matches!(age, Ok(Ok(age)) if age < MAX_AGE) {
        fs::remove_dir_all(&home).ok();
        make(maker, bin, &root, &home);
    }
    home.join("data")
}

/// Initialises aside and renames, so that nobody meets half a template.
fn make(maker: Maker, bin: &Path, root: &Path, home: &Path) {
    let work = tempfile::Builder::new().prefix("making-").tempdir_in(root).expect("the cache folder is ours");
    host::give_away(work.path());
    let words = maker.initialise(bin, &work.path().join("data"));
    let mut command = host::unprivileged(&words[0]);
    command.args(&words[1..]).current_dir(work.path());
    host::run(command, std::io::empty());
    fs::rename(work.keep(), home).expect("the lock keeps others from making it");
}
