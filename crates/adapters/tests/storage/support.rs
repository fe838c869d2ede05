//! Stores to test, and what is asked of all of them.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::SignedDuration;
use respaldo_adapters::storage::{AccessKey, Options, Tuning, open, open_with};
use respaldo_core::Limits;
use respaldo_core::Result;
use respaldo_core::keys;
use respaldo_core::model::{Artifact, Database, Job, Manifest, Status, Volume};
use respaldo_core::seal::Digester;
use respaldo_core::storage::Storage;
use respaldo_core::tick::tick;
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::s3::S3Server;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::json;
use tempfile::TempDir;

pub(crate) const MIB: usize = 1024 * 1024;
/// With this budget a part has 5 MiB, and one goes up at a time.
pub(crate) const SMALL: usize = 32 * MIB;
/// With this one it has 8 MiB, and two go up at a time.
pub(crate) const USUAL: usize = 64 * MIB;
/// What the stores of S3's tests are opened below.
pub(crate) const ROOT: &str = "some/prefix/";

/// A store under test, with all that keeps it alive.
pub(crate) struct Store {
    pub(crate) name: &'static str,
    pub(crate) storage: Storage,
    pub(crate) server: Option<S3Server>,
    /// Whether artifacts are cut into volumes: not on local disk.
    pub(crate) has_volumes: bool,
    _folder: Option<TempDir>,
}

/// Name further stores for the tests of what holds on every store, by their URLs, with credentials from
/// the usual chain: `s3://BUCKET/PREFIX?endpoint=…`. Those of Azure and Google need their features.
const FURTHER: [(&str, &str); 3] = [
    ("the further s3", "RESPALDO_TEST_S3_URL"),
    ("the further azblob", "RESPALDO_TEST_AZBLOB_URL"),
    ("the further gs", "RESPALDO_TEST_GS_URL"),
];

/// Every kind of store; those that have a limit of parts take two of them.
pub(crate) fn stores() -> Vec<Store> {
    let store = |name, storage, server| Store {
        name,
        storage,
        server,
        has_volumes: name != "local disk",
        _folder: None,
    };
    let server = S3Server::start();
    let remote = s3(&server, "&max_parts=2");
    let careless = S3Server::start();
    let read_back = s3(&careless, "&max_parts=2&confirm=read_back");
    let root = tempfile::tempdir().unwrap();
    // A folder with a space and more, so that nobody takes it for a URL.
    let folder = root.path().join("a b ñ%41");
    let local = open(&format!("file://{}", folder.display())).unwrap();
    let mut stores = vec![
        Store { _folder: Some(root), ..store("local disk", local, None) },
        store("memory", open("memory://").unwrap().with_most_parts(2), None),
        store("s3", remote, Some(server)),
        store("s3, read back", read_back, Some(careless)),
    ];
    stores.extend(further().into_iter().map(|(name, storage)| store(name, storage, None)));
    stores
}

/// The stores that [`FURTHER`] names, each below a folder that no other test has.
pub(crate) fn further() -> Vec<(&'static str, Storage)> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static TOLD: Once = Once::new();
    let given = |(name, variable): (&'static str, &'static str)| {
        Some((name, respaldo_adapters::environment::variable(variable).unwrap()?))
    };
    let given: Vec<_> = FURTHER.into_iter().filter_map(given).collect();
    TOLD.call_once(|| {
        for (name, variable) in FURTHER {
            if !given.iter().any(|(given, _)| *given == name) {
                // Written past the test runner, which would keep it to itself.
                let line = format!("*** SKIPPED: {variable} is not set, so {name} was not tested\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
            }
        }
    });
    let opened = given.into_iter().map(|(name, url)| {
        let (place, parameters) = url.split_once('?').expect("it names its endpoint, region or account");
        let mine = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let url = format!("{}/respaldo-test/{mine}?{parameters}", place.trim_end_matches('/'));
        (name, open_with(&url, &Options { tuning: PATIENT, key: None }).unwrap().with_most_parts(2))
    });
    opened.collect()
}

impl Store {
    /// That nothing is left that no listing shows.
    pub(crate) fn assert_no_parts(&self) {
        if let Some(server) = &self.server {
            assert_eq!((server.open_uploads(), server.leftover_parts()), (0, 0), "{}", self.name);
        }
    }
}

/// Short enough for a test, long enough for a busy machine.
pub(crate) const PATIENT: Tuning = Tuning {
    timeout: Duration::from_secs(10),
    io_timeout: Duration::from_secs(20),
    retries: 2,
    first_delay: Duration::from_millis(5),
};

/// For servers that never answer.
pub(crate) const IMPATIENT: Tuning =
    Tuning { timeout: Duration::from_millis(1_500), io_timeout: Duration::from_secs(2), ..PATIENT };

pub(crate) fn s3(server: &S3Server, parameters: &str) -> Storage {
    s3_tuned(server, parameters, PATIENT)
}

pub(crate) fn s3_tuned(server: &S3Server, parameters: &str, tuning: Tuning) -> Storage {
    open_with(&url(server, parameters), &options(tuning)).unwrap()
}

pub(crate) fn url(server: &S3Server, parameters: &str) -> String {
    format!(
        "s3://{}/{ROOT}?endpoint={}&region={}{parameters}",
        S3Server::BUCKET,
        server.endpoint(),
        S3Server::REGION
    )
}

pub(crate) fn options(tuning: Tuning) -> Options {
    let key = AccessKey { id: S3Server::ACCESS_KEY.to_owned(), secret: S3Server::SECRET_KEY.into() };
    Options { tuning, key: Some(key) }
}

/// Bytes of which no two stretches are alike.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Uploads in pieces that fit no boundary; aborts when something fails.
pub(crate) async fn upload(
    storage: &Storage,
    folder: &str,
    bytes: &Bytes,
    budget: usize,
) -> Result<Artifact> {
    let folder = folder.to_owned();
    let mut upload = storage.upload(budget, move |number| format!("{folder}artifact.{number:03}"));
    let mut rest = bytes.clone();
    let mut outcome = Ok(());
    while outcome.is_ok() && !rest.is_empty() {
        outcome = upload.write(rest.split_to(rest.len().min(700_001))).await;
    }
    let finished = match outcome {
        Ok(()) => upload.finish().await,
        Err(e) => Err(e),
    };
    match finished {
        Ok(volumes) => Ok(artifact(volumes)),
        Err(e) => {
            upload.abort().await?;
            Err(e)
        }
    }
}

pub(crate) fn artifact(volumes: Vec<Volume>) -> Artifact {
    Artifact {
        attempt: 1,
        size_bytes: volumes.iter().map(|volume| volume.size_bytes).sum(),
        volumes,
        raw_bytes: 0,
        md5: String::new(),
        sha256: String::new(),
    }
}

pub(crate) async fn read(storage: &Storage, artifact: &Artifact, range: std::ops::Range<u64>) -> Vec<u8> {
    let chunks: Vec<Bytes> = storage.read(artifact, range).try_collect().await.unwrap();
    chunks.concat()
}

/// An installation on S3, and a database whose simulated `pg_dump` prints so many MiB of noise.
pub(crate) struct Installation {
    pub(crate) test: TestApp,
    pub(crate) database: Database,
    _tools: Toolbox,
}

impl Installation {
    pub(crate) async fn on(storage: Storage, mebibytes: u64, adjust: impl FnOnce(&mut Limits)) -> Self {
        let answers = Behaviour::Script("echo '150008|7777777|15.8'".to_owned());
        let dump = Behaviour::Generates { mebibytes, compressible: false };
        let tools = Toolbox::new()
            .with(&FakeTool::new("psql").behaviour(answers))
            .with(&FakeTool::new("pg_dump").behaviour(dump));
        let test = TestApp::on(storage, |limits| {
            limits.memory_budget = SMALL;
            adjust(limits);
        })
        .with_tools(tools.path());
        let fields = json!({
            "name": "big", "engine": "postgres", "host": "127.0.0.1", "database_name": "big", "compression": "none",
        });
        let database = test.register(fields).await;
        Self { test, database, _tools: tools }
    }

    /// Whoever held a lease counts as dead; one tick, and whatever waits is run to its end.
    pub(crate) async fn settle(&self) {
        self.test.clock.advance(LEASE + LEASE);
        tick(&self.test.app).await.unwrap();
        for job in self.test.jobs().await {
            self.test.run_to_end(job.id).await;
        }
        self.test.clock.advance(SignedDuration::from_mins(5));
        tick(&self.test.app).await.unwrap();
    }

    /// Promise 1 on S3: succeeded backups are readable and digest-true, and beside them, their
    /// manifests and the definitions there is nothing: no object, no open upload, no part.
    pub(crate) async fn assert_promises(&self, server: &S3Server) {
        let mut expected: BTreeSet<String> = BTreeSet::from([keys::definition(self.database.uid)]);
        for job in self.test.jobs().await {
            assert!(job.status.is_terminal(), "{:?}", job.status);
            if job.status == Status::Succeeded {
                expected.extend(self.assert_readable(&job).await);
            }
        }
        let root = |key: &String| format!("{ROOT}{key}");
        assert_eq!(server.keys(), expected.iter().map(root).collect::<Vec<_>>());
        assert_eq!((server.open_keys(), server.leftover_parts()), (Vec::new(), 0));
    }

    /// Answers the keys of a backup that has its digests and its manifest.
    pub(crate) async fn assert_readable(&self, job: &Job) -> Vec<String> {
        let (storage, artifact) = (&self.test.app.storage, job.backup().unwrap().artifact.as_ref().unwrap());
        let mut digester = Digester::new();
        digester.update(&read(storage, artifact, 0..artifact.size_bytes).await);
        let digests = digester.finish();
        assert_eq!((digests.length, digests.sha256_hex()), (artifact.size_bytes, artifact.sha256.clone()));
        let key = keys::manifest(job.owner().unwrap().uid, job.id, artifact.attempt);
        let manifest = storage.get(&key, MIB).await.unwrap().expect("the manifest is there");
        let (manifest, ours) = Manifest::decode(&manifest, &self.test.app.key).unwrap();
        assert!(ours && manifest.artifact == *artifact);
        artifact.volumes.iter().map(|volume| volume.key.clone()).chain([key]).collect()
    }
}
