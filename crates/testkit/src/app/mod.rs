//! An installation inside the test's process: a real SQLite catalog and real local disk, a clock that
//! can be moved, and one [`FaultPlan`] that counts every call to storage *and* to the catalog, so that
//! a test can fail each step of a job in turn.

mod catalog;
mod ports;
mod promises;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use opendal::Operator;
use opendal::services::Fs;
use respaldo_core::backup;
use respaldo_core::databases::{self, Registration};
use respaldo_core::engine::Toolbox;
use respaldo_core::jobs::{self, Ran, Worker};
use respaldo_core::keyring::MasterKey;
use respaldo_core::model::{Database, Job, JobId};
use respaldo_core::ports::Catalog;
use respaldo_core::storage::Storage;
use respaldo_core::{App, Limits};
use respaldo_sqlite::SqliteCatalog;
use serde_json::Value;
use tempfile::TempDir;

pub use self::ports::{CountingIds, MapSecrets, RecordedEvents, SilentDoorbell, TestClock};
use crate::catalog::MemoryCatalog;
use crate::faults::FaultPlan;

/// How long a lease lasts here.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// An installation, and the handles by which a test holds its surroundings.
pub struct TestApp {
    /// What the use cases are given.
    pub app: App,
    /// Its clock.
    pub clock: Arc<TestClock>,
    /// What happened.
    pub events: Arc<RecordedEvents>,
    /// Its variables.
    pub secrets: Arc<MapSecrets>,
    /// Counts and fails the calls to storage and catalog.
    pub faults: FaultPlan,
    /// The catalog itself, past the faults.
    pub catalog: Arc<dyn Catalog>,
    folder: TempDir,
}

impl TestApp {
    /// An installation on local disk that finds its tools where the machine has them.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with other limits.
    pub fn with(adjust: impl FnOnce(&mut Limits)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("backups");
        std::fs::create_dir_all(&root).expect("a folder for backups");
        let faults = FaultPlan::default();
        let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).expect("local disk");
        let storage = Storage::on_local_disk(operator.layer(faults.layer()), root);
        let catalog = sqlite_catalog(&folder);
        Self::assemble(folder, catalog, storage, faults, adjust)
    }

    /// An installation whose catalog is in memory: for tests that look at nothing but records.
    pub fn in_memory() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("backups");
        std::fs::create_dir_all(&root).expect("a folder for backups");
        let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).expect("local disk");
        let storage = Storage::on_local_disk(operator, root);
        Self::assemble(folder, Arc::<MemoryCatalog>::default(), storage, FaultPlan::default(), |_| {})
    }

    /// An installation on local disk whose records are in this catalog.
    pub fn over(catalog: Arc<dyn Catalog>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("backups");
        std::fs::create_dir_all(&root).expect("a folder for backups");
        let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).expect("local disk");
        let storage = Storage::on_local_disk(operator, root);
        Self::assemble(folder, catalog, storage, FaultPlan::default(), |_| {})
    }

    /// The same on other storage.
    pub fn on(storage: Storage, adjust: impl FnOnce(&mut Limits)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let catalog = sqlite_catalog(&folder);
        Self::assemble(folder, catalog, storage, FaultPlan::default(), adjust)
    }

    fn assemble(
        folder: TempDir,
        catalog: Arc<dyn Catalog>,
        storage: Storage,
        faults: FaultPlan,
        adjust: impl FnOnce(&mut Limits),
    ) -> Self {
        let (clock, events) = (Arc::new(TestClock::default()), Arc::new(RecordedEvents::default()));
        let secrets = Arc::new(MapSecrets::default());
        let mut limits = Limits {
            max_parallel_jobs: 4,
            memory_budget: 64 << 20,
            threads: 2,
            lease: LEASE,
            stall: SignedDuration::from_secs(60),
            job_timeout: SignedDuration::from_hours(1),
            attempts: 3,
            staging: folder.path().join("staging"),
            sqlite_roots: vec![folder.path().to_owned()],
            retention: None,
            verify: None,
            test_servers: Vec::new(),
            allow_superuser: false,
            safety_days: 7,
            run_as: None,
            uploads: respaldo_core::limits::Uploads::default(),
            package: respaldo_core::package::Policy::default(),
            incoming_turn: respaldo_core::package::Hourly::default(),
            host: respaldo_core::limits::HostLimits::default(),
            object_lock: None,
            defaults: serde_json::Map::new(),
        };
        adjust(&mut limits);
        let app = App {
            catalog: Arc::new(catalog::FaultyCatalog::new(Arc::clone(&catalog), faults.clone())),
            storage,
            secrets: Arc::clone(&secrets) as _,
            clock: Arc::clone(&clock) as _,
            ids: Arc::new(CountingIds::default()),
            doorbell: Arc::new(SilentDoorbell),
            events: Arc::clone(&events) as _,
            key: Arc::new(MasterKey::generate([7; 32])),
            toolbox: Arc::new(Toolbox::default().with_distribution_folders()),
            identities: Arc::new([]),
            limits: Arc::new(limits),
        };
        Self { app, clock, events, secrets, faults, catalog, folder }
    }

    /// An installation with a copy of everything that this one has in catalog and storage, and its clock: to
    /// go on from one state in many ways. Nothing may be at work meanwhile.
    pub fn copy(&self) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        copy_below(self.folder(), folder.path(), &mut HashMap::new());
        let root = folder.path().join("backups");
        let faults = FaultPlan::default();
        let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).expect("local disk");
        let storage = Storage::on_local_disk(operator.layer(faults.layer()), root);
        let catalog = sqlite_catalog(&folder);
        let copy = Self::assemble(folder, catalog, storage, faults, |limits| {
            let staging = std::mem::take(&mut limits.staging);
            *limits = Limits { staging, ..(*self.app.limits).clone() };
        });
        copy.clock.advance(self.app.now().duration_since(copy.app.now()));
        Self { app: App { ids: Arc::clone(&self.app.ids), ..copy.app.clone() }, ..copy }
    }

    /// The same installation as another process sees it: its calls to storage and catalog follow a plan
    /// of their own.
    pub fn another_process(&self) -> (App, FaultPlan) {
        let plan = FaultPlan::default();
        let root = self.backups();
        let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).expect("local disk");
        let app = App {
            catalog: Arc::new(catalog::FaultyCatalog::new(Arc::clone(&self.catalog), plan.clone())),
            storage: Storage::on_local_disk(operator.layer(plan.layer()), root),
            ..self.app.clone()
        };
        (app, plan)
    }

    /// Looks for engines' tools in this folder only.
    pub fn with_tools(mut self, folder: PathBuf) -> Self {
        self.app.toolbox = Arc::new(Toolbox::new([folder]));
        self
    }

    /// A folder of the test's own; SQLite databases may lie in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where artifacts lie.
    pub fn backups(&self) -> PathBuf {
        self.folder().join("backups")
    }

    /// Every file below the folder of artifacts and below staging, by its path from there.
    pub fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        for root in [self.backups(), self.folder().join("staging")] {
            collect(&root, &root, &mut files);
        }
        files.sort();
        files
    }

    /// Registers a database by its fields.
    pub async fn register(&self, fields: Value) -> Database {
        let Value::Object(fields) = fields else { panic!("fields are an object") };
        let registration = Registration { fields, ..Registration::default() };
        Box::pin(databases::register(&self.app, registration)).await.expect("the database is registered")
    }

    /// Makes the sample SQLite database and registers it.
    pub async fn register_sample(&self) -> Database {
        let path = self.folder().join("sample.db");
        crate::sqlite::sample(&path);
        let fields = serde_json::json!({
            "name": "sample", "engine": "sqlite", "database_name": path, "compression": "gzip",
        });
        self.register(fields).await
    }

    /// Runs a job once, as a worker would.
    pub async fn run(&self, id: JobId) -> respaldo_core::Result<Ran> {
        Box::pin(jobs::run(&self.app, id, &Worker::new("test"))).await
    }

    /// Backs a database up and answers the job's record when it has ended.
    pub async fn back_up(&self, database: &Database) -> Job {
        let job = Box::pin(backup::request(&self.app, database.id, None)).await.expect("a backup is queued");
        self.run_to_end(job.id).await
    }

    /// Runs a job, past its retries, until it has ended.
    pub async fn run_to_end(&self, id: JobId) -> Job {
        for _ in 0..20 {
            let job = self.job(id).await;
            if job.status.is_terminal() {
                return job;
            }
            self.clock.advance(SignedDuration::from_mins(20));
            Box::pin(self.run(id)).await.expect("the outcome is recorded");
        }
        panic!("job {id} does not end");
    }

    /// A job's record, past the faults.
    pub async fn job(&self, id: JobId) -> Job {
        self.catalog.job(id).await.expect("the catalog answers").expect("the job is there")
    }

    /// The stored bytes of a succeeded backup, or package.
    pub fn stored(&self, job: &Job) -> Vec<u8> {
        let artifact = job.artifact().expect("it is stored");
        let read = |key: &String| std::fs::read(self.backups().join(key)).expect("a volume is readable");
        artifact.volumes.iter().flat_map(|volume| read(&volume.key)).collect()
    }
}

impl Default for TestApp {
    fn default() -> Self {
        Self::new()
    }
}

fn sqlite_catalog(folder: &TempDir) -> Arc<dyn Catalog> {
    Arc::new(SqliteCatalog::open(&folder.path().join("catalog.db")).expect("a catalog"))
}

/// Copies a folder's content; files that are links of one another are so in the copy too.
fn copy_below(from: &Path, to: &Path, copied: &mut HashMap<u64, PathBuf>) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        if path.is_dir() {
            copy_below(&path, &target, copied);
            continue;
        }
        match copied.entry(path.metadata().expect("a readable file").ino()) {
            Entry::Occupied(first) => std::fs::hard_link(first.get(), target).expect("a link"),
            Entry::Vacant(first) => {
                std::fs::copy(&path, &target).expect("a readable file");
                first.insert(target);
            }
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).expect("below its root").to_string_lossy().into_owned());
        }
    }
}
