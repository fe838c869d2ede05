//! A data directory made once and copied for every server: `initdb` takes most of a start's time, and
//! the test runner gives every test a process of its own.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host;

/// Changes with anything that [`make`] does, so that an older template is not taken for a new one.
const RECIPE: u32 = 1;

/// Cleaners of temporary folders remove old files one by one; a template is replaced before they come.
const MAX_AGE: Duration = Duration::from_hours(24);

/// An initialised data directory and the superuser's password in it.
pub(super) struct Template {
    data: PathBuf,
    pub(super) password: String,
    pub(super) major: u32,
}

impl Template {
    /// The template for the server in `bin`, made if there is none.
    pub(super) fn for_server(bin: &Path) -> Self {
        let root = cache_root();
        let lock = File::create(root.join("lock")).expect("the cache folder is ours");
        lock.lock().expect("a file can be locked");
        let home = root.join(format!("{}-r{RECIPE}", key(bin)));
        if !is_fresh(&home) {
            fs::remove_dir_all(&home).ok();
            make(bin, &root, &home);
        }
        let major = fs::read_to_string(home.join("data/PG_VERSION")).expect("initdb writes PG_VERSION");
        Self {
            data: home.join("data"),
            password: fs::read_to_string(home.join("password")).expect("the template has its password"),
            major: major.trim().parse().expect("PG_VERSION holds a number"),
        }
    }

    /// Puts a copy at `target`.
    pub(super) fn copy_to(&self, target: &Path) {
        let mut copy = host::command("cp");
        copy.arg("-a").arg(&self.data).arg(target);
        host::run(copy, std::io::empty());
    }
}

fn is_fresh(home: &Path) -> bool {
    let age = fs::metadata(home).and_then(|metadata| metadata.modified()).map(|time| time.elapsed());
    matches!(age, Ok(Ok(age)) if age < MAX_AGE)
}

fn cache_root() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let root = std::env::temp_dir().join(format!("respaldo-testkit-{user}"));
    DirBuilder::new().recursive(true).mode(0o755).create(&root).expect("the temporary folder is writable");
    let owner = fs::symlink_metadata(&root).expect("it was just made").uid();
    assert_eq!(owner, user, "{} belongs to somebody else", root.display());
    root
}

/// The server's version in a form that can stand in a file name.
fn key(bin: &Path) -> String {
    let mut version = host::command(bin.join("postgres"));
    version.arg("--version");
    let output = host::run(version, std::io::empty());
    let text = String::from_utf8(output.stdout).expect("a version is text");
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    text.trim().chars().map(plain).collect()
}

/// Initialises aside and renames, so that nobody meets half a template.
fn make(bin: &Path, root: &Path, home: &Path) {
    let work = tempfile::Builder::new().prefix("making-").tempdir_in(root).expect("the cache folder is ours");
    host::give_away(work.path());
    let password = host::random_hex(12);
    let file = work.path().join("password");
    fs::write(&file, &password).expect("the folder was just made");
    host::give_away(&file);
    let mut initdb = host::unprivileged(bin.join("initdb"));
    initdb.current_dir(work.path()).arg("-D").arg(work.path().join("data"));
    initdb.args(["-U", "postgres", "--auth=scram-sha-256", "--pwfile=password", "--no-sync"]);
    initdb.args(["--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1"]);
    host::run(initdb, std::io::empty());
    fs::rename(work.keep(), home).expect("the lock keeps others from making it");
}
