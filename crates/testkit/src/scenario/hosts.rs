//! The hosts: the local server's process, and the functions' binaries in an emulated cloud.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;

use super::{ADMIN_KEY, Capabilities, DELETE_KEY, Host, MASTER_KEY, RESTORE_KEY};
use crate::aws::{Bucket, Moto, Proxy};
use crate::clock_shift::ShiftedClock;
use crate::host;
use crate::lambda::{Cloud, Delivery, Plan, Worker};
use crate::respaldo::Respaldo;

/// Nothing but where SQLite files may lie.
const CONFIG: &str = "server:\n  sqlite_roots: [/tmp]\n";
/// As long as Lambda lets a function work.
const LONGEST_EVENT: Duration = Duration::from_mins(15);

/// What a local server keeps its records and artifacts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catalog {
    /// A file, and artifacts on the disk.
    Sqlite,
    /// A table of moto's, and artifacts in a bucket of it.
    Dynamodb,
}

/// `respaldo serve`.
pub struct LocalHost {
    server: Respaldo,
    bucket: Option<Bucket>,
    clock: ShiftedClock,
    folder: TempDir,
}

impl LocalHost {
    /// Starts the program on a new catalog and new storage.
    pub async fn start(respaldo: &Path, catalog: Catalog) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ShiftedClock::new(folder.path());
        let mut server = Respaldo::new(respaldo, folder.path(), CONFIG);
        let mut variables = keys();
        variables.extend(clock.variables());
        let mut bucket = None;
        if catalog == Catalog::Dynamodb {
            let moto = Moto::shared();
            let made = moto.bucket().await;
            variables.extend(moto.environment());
            variables.push(("CATALOG_URL".to_owned(), moto.catalog().await));
            variables.push(("STORAGE_URL".to_owned(), made.url("r")));
            bucket = Some(made);
        }
        for (name, value) in variables {
            server = server.env(&name, &value);
        }
        Self { server: server.start().await, bucket, clock, folder }
    }

    fn backups(&self) -> PathBuf {
        self.folder.path().join("data/backups")
    }
}

#[async_trait]
impl Host for LocalHost {
    fn endpoint(&self) -> String {
        self.server.url("")
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::LOCAL
    }

    fn clock(&self) -> &ShiftedClock {
        &self.clock
    }

    async fn tick(&self) {}

    async fn corrupt(&self, location: &str) {
        if let Some(bucket) = &self.bucket {
            return corrupt_object(bucket, location).await;
        }
        let file = location.strip_prefix("file://").unwrap();
        let mut bytes = fs::read(file).unwrap();
        turn_a_bit(&mut bytes);
        // In place: the file has a second name.
        fs::write(file, bytes).unwrap();
    }

    async fn stored(&self) -> Vec<String> {
        if let Some(bucket) = &self.bucket {
            return bucket.keys().await;
        }
        let mut files = Vec::new();
        collect(&self.backups(), &self.backups(), &mut files);
        files.sort();
        files
    }

    async fn open_uploads(&self) -> Vec<String> {
        match &self.bucket {
            Some(bucket) => bucket.open_uploads().await,
            None => Vec::new(),
        }
    }

    fn reaches_files(&self) -> bool {
        true
    }

    fn log(&self) -> String {
        self.server.log()
    }

    async fn restart(&mut self) {
        assert!(self.server.terminate(), "{}", self.server.log());
        self.server.restart().await;
    }
}

/// The functions' binaries, and a `respaldo worker` for what takes long.
pub struct CloudHost {
    /// The functions and what calls them.
    pub cloud: Cloud,
    worker: Worker,
    respaldo: PathBuf,
    clock: ShiftedClock,
    folder: TempDir,
}

impl CloudHost {
    /// Deploys the binaries of a folder.
    pub async fn start(functions: PathBuf, respaldo: &Path, variables: Vec<(String, String)>) -> Self {
        Self::start_within(functions, respaldo, variables, LONGEST_EVENT).await
    }

    /// The same with another time for each event.
    pub async fn start_within(
        functions: PathBuf,
        respaldo: &Path,
        variables: Vec<(String, String)>,
        timeout: Duration,
    ) -> Self {
        Self::deploy(functions, respaldo, variables, timeout, None).await
    }

    /// The same with a proxy between all its processes and the services.
    pub async fn start_behind(functions: PathBuf, respaldo: &Path) -> (Proxy, Self) {
        let proxy = Proxy::before(&Moto::shared().endpoint()).await;
        let through = Some(proxy.endpoint.clone());
        let host = Self::deploy(functions, respaldo, Vec::new(), LONGEST_EVENT, through).await;
        (proxy, host)
    }

    async fn deploy(
        functions: PathBuf,
        respaldo: &Path,
        variables: Vec<(String, String)>,
        timeout: Duration,
        through: Option<String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = ShiftedClock::new(folder.path());
        let moto = Moto::shared();
        let mut all = keys();
        all.extend(clock.variables());
        all.push(("CATALOG_URL".to_owned(), moto.catalog().await));
        all.retain(|(name, _)| variables.iter().all(|(other, _)| other != name));
        all.extend(variables);
        let cloud = Cloud::start(Plan {
            binaries: functions,
            folder: folder.path().join("functions"),
            moto,
            through,
            variables: all,
            timeout,
        });
        let cloud = cloud.await;
        let worker = worker(respaldo, folder.path(), &cloud);
        Self { cloud, worker, respaldo: respaldo.to_owned(), clock, folder }
    }
}

fn worker(respaldo: &Path, folder: &Path, cloud: &Cloud) -> Worker {
    Worker::start(respaldo, &folder.join("worker"), cloud.variables(), &[])
}

#[async_trait]
impl Host for CloudHost {
    fn endpoint(&self) -> String {
        self.cloud.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::LAMBDA
    }

    fn clock(&self) -> &ShiftedClock {
        &self.clock
    }

    async fn tick(&self) {
        for (function, ticked) in self.cloud.tick().await {
            assert!(ticked.is_ok(), "{function}: {ticked:?}\n{}", self.log());
        }
    }

    fn deliver_twice(&self) {
        self.cloud.deliver(Delivery::TwiceAndShuffled);
    }

    async fn corrupt(&self, location: &str) {
        corrupt_object(&self.cloud.bucket, location).await;
    }

    async fn stored(&self) -> Vec<String> {
        self.cloud.bucket.keys().await
    }

    async fn open_uploads(&self) -> Vec<String> {
        self.cloud.bucket.open_uploads().await
    }

    fn reaches_files(&self) -> bool {
        false
    }

    fn log(&self) -> String {
        format!("{}== worker\n{}", self.cloud.log(), self.worker.log())
    }

    async fn restart(&mut self) {
        self.cloud.forget();
        self.worker.kill();
        self.worker = worker(&self.respaldo, self.folder.path(), &self.cloud);
    }
}

/// The folder of the functions' binaries: the one that `RESPALDO_TEST_FUNCTIONS` names, else that of
/// `respaldo` itself, where they were built beside it. None, with a line that says so, when there are none.
///
/// # Panics
/// When the named folder does not hold them.
pub fn functions_folder(respaldo: &Path) -> Option<PathBuf> {
    let is_whole =
        |folder: &Path| folder.join("respaldo-dump").exists() && folder.join("respaldo-register").exists();
    if let Some(folder) = host::given_functions_dir() {
        assert!(is_whole(&folder), "RESPALDO_TEST_FUNCTIONS holds no respaldo-dump: {}", folder.display());
        return Some(folder);
    }
    let beside = respaldo.parent().unwrap();
    if is_whole(beside) {
        eprintln!("the functions are those of {}, as they were last built there", beside.display());
        return Some(beside.to_owned());
    }
    eprintln!("SKIPPED: the functions' binaries are not built: see scripts/run-tests");
    None
}

/// The keys of a host of the scenarios.
pub fn keys() -> Vec<(String, String)> {
    [
        ("ADMIN_API_KEY", ADMIN_KEY),
        ("BACKUP_RESTORE_API_KEY", RESTORE_KEY),
        ("BACKUP_DELETE_API_KEY", DELETE_KEY),
        ("RESPALDO_MASTER_KEY", MASTER_KEY),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

async fn corrupt_object(bucket: &Bucket, location: &str) {
    let key = location.strip_prefix(&format!("s3://{}/", bucket.name)).unwrap();
    let mut bytes = bucket.read(key).await.unwrap();
    turn_a_bit(&mut bytes);
    bucket.write(key, bytes).await;
}

fn turn_a_bit(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
        }
    }
}
