//! Promise 2: a package stays within its memory budget, whatever its length.
//!
//! Only the store is simulated: it gives as many bytes as it is asked for, and counts those that it is given, so
//! that 5 GB need no disk. Catalog, archive and digests are real. Each package is made in a process of its own
//! (this test's binary, started anew), because a process's peak is the peak of everything in it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use opendal::raw::{
    Layer, OpList, OpPresign, OpRead, OpRename, OpRestore, OpStat, OpWrite, RpPresign, RpRead, RpRename,
    RpRestore, RpStat, Service, ServiceInfo, Servicer, oio,
};
use opendal::raw::{OpCompose, OpCopy, OpCreateDir, RpCreateDir};
use opendal::{
    Buffer, BytesRange, Capability, Metadata, MetadataBuilder, OperationContext, Operator, Result, services,
};
use respaldo_core::keys;
use respaldo_core::model::{Job, Manifest, PackageFormat, Status};
use respaldo_core::seal::Digester;
use respaldo_core::storage::Storage;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use serde_json::{Value, json};

use crate::support::{packaged, request, sqlite};

/// Names the file that tells the other process what to do.
const CASE: &str = "RESPALDO_PACKAGE_MEMORY_CASE";
const MIB: u64 = 1 << 20;
/// A part of an upload under a budget of 32 MiB.
const PART: u64 = 8 * MIB;
/// What the simulated store gives at once.
const PIECE: usize = 256 * 1024;

static NOISE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 1u64;
    let next = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    });
    next.take(PIECE / 8).flatten().collect()
});

/// Starts the other process and waits for what it measured: by how many bytes its peak lies above idle.
fn peak(format: PackageFormat, mebibytes: u64, budget_mib: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (file, answer) = (folder.path().join("case.json"), folder.path().join("answer"));
    let case = json!({
        "format": format, "bytes": mebibytes * MIB, "budget": budget_mib * MIB, "answer": answer,
    });
    fs::write(&file, case.to_string()).unwrap();
    let mut child = command(std::env::current_exe().unwrap());
    let test = "memory::a_package_in_a_process_of_its_own";
    child.args(["--exact", test, "--ignored", "--nocapture"]).env(CASE, &file);
    run(child, std::io::empty());
    let peak: u64 = fs::read_to_string(&answer).expect("the other process measured").parse().unwrap();
    println!("{format} of {mebibytes} MiB, budget {budget_mib} MiB: peak {} KiB above idle", peak / 1024);
    assert!(peak < budget_mib * MIB, "{} KiB are above {budget_mib} MiB", peak / 1024);
    peak
}

#[test]
fn a_package_takes_no_more_memory_the_larger_it_is() {
    for format in [PackageFormat::Zip, PackageFormat::TarGz] {
        let small = peak(format, 50, 32);
        let large = peak(format, 500, 32);
        // How many parts are on their way at the peak is the machine's affair; ten times the bytes are not.
        assert!(large < small + 2 * PART, "{format}: {} and {} KiB", small / 1024, large / 1024);
    }
}

#[test]
fn a_package_of_5_gb_stays_within_the_memory_budget() {
    peak(PackageFormat::Zip, 5_000, 64);
}

/// The other process.
#[test]
#[ignore = "it is started by the tests above"]
fn a_package_in_a_process_of_its_own() {
    let case = std::env::var_os(CASE).expect("started by another test");
    let case: Value = serde_json::from_slice(&fs::read(case).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let peak = runtime.block_on(measure(&case));
    fs::write(case["answer"].as_str().unwrap(), peak.to_string()).unwrap();
}

async fn measure(case: &Value) -> u64 {
    let bytes = case["bytes"].as_u64().unwrap();
    let budget = usize::try_from(case["budget"].as_u64().unwrap()).unwrap();
    let simulated = Simulated::default();
    let operator = Operator::new(services::Memory::default()).unwrap().layer(simulated.clone());
    let storage = Storage::new(operator, "simulated");
    let test = TestApp::on(storage, |limits| limits.memory_budget = budget);
    // Two members, of which the first is nearly all.
    for (name, length) in [("large", bytes), ("small", 3 * MIB)] {
        let database = sqlite(&test, name, json!({})).await;
        let backup = test.back_up(&database).await;
        inflate(&test, &backup, length).await;
    }
    let format = serde_json::from_value(case["format"].clone()).unwrap();
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = status_bytes("VmRSS");
    let job = packaged(&test, &request(format)).await;
    let peak = status_bytes("VmHWM");
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let stored = job.artifact().unwrap().size_bytes;
    assert!(stored > bytes, "{stored} bytes were packed");
    assert_eq!(simulated.swallowed.load(Ordering::SeqCst), stored);
    peak - idle
}

/// Makes a backup's artifact as long as is wanted: its bytes are the simulated store's.
async fn inflate(test: &TestApp, backup: &Job, length: u64) {
    let mut digester = Digester::new();
    let mut left = length;
    while left > 0 {
        let piece = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        digester.update(&NOISE[..piece]);
        left -= piece as u64;
    }
    let digests = digester.finish();
    let mut record = test.job(backup.id).await;
    let uid = record.owner().unwrap().uid;
    let artifact = record.backup_mut().unwrap().artifact.as_mut().unwrap();
    artifact.size_bytes = length;
    (artifact.md5, artifact.sha256) = (digests.md5_hex(), digests.sha256_hex());
    let volume = &mut artifact.volumes[0];
    volume.key = format!("{SIMULATED}{length}");
    (volume.size_bytes, volume.sha256) = (length, digests.sha256_hex());
    let artifact = artifact.clone();
    let key = keys::manifest(uid, record.id, artifact.attempt);
    let bytes = test.app.storage.get(&key, 1 << 20).await.unwrap().unwrap();
    let (mut manifest, _) = Manifest::decode(&bytes, &test.app.key).unwrap();
    manifest.artifact = artifact;
    test.app.storage.put(&key, manifest.encode(&test.app.key).unwrap()).await.unwrap();
    test.catalog.update_job(&record).await.unwrap();
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// What the keys of artifacts begin with that are made up as they are read; their length follows.
const SIMULATED: &str = "simulated/";

/// A store that makes artifacts up and swallows archives, over a real one for all else.
#[derive(Debug, Clone, Default)]
struct Simulated {
    swallowed: Arc<AtomicU64>,
}

impl Simulated {
    /// The length of an object that is simulated.
    fn length(&self, path: &str) -> Option<u64> {
        match path.strip_prefix(SIMULATED) {
            Some(length) => length.parse().ok(),
            None => is_archive(path).then(|| self.swallowed.load(Ordering::SeqCst)),
        }
    }
}

fn is_archive(path: &str) -> bool {
    path.starts_with("packages/") && !path.ends_with("manifest.json")
}

impl Layer for Simulated {
    fn apply_service(&self, inner: Servicer) -> Servicer {
        Arc::new(SimulatedService { inner, simulated: self.clone() })
    }
}

#[derive(Debug)]
struct SimulatedService {
    inner: Servicer,
    simulated: Simulated,
}

impl Service for SimulatedService {
    type Reader = oio::Reader;
    type Writer = oio::Writer;
    type Lister = oio::Lister;
    type Deleter = oio::Deleter;
    type Copier = oio::Copier;
    type Composer = oio::Composer;

    fn info(&self) -> ServiceInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        Capability { write_can_multi: true, ..self.inner.capability() }
    }

    async fn create_dir(&self, ctx: &OperationContext, path: &str, args: OpCreateDir) -> Result<RpCreateDir> {
        self.inner.create_dir(ctx, path, args).await
    }

    async fn stat(&self, ctx: &OperationContext, path: &str, args: OpStat) -> Result<RpStat> {
        match self.simulated.length(path) {
            Some(length) => Ok(RpStat::new(MetadataBuilder::file(length).build())),
            None => self.inner.stat(ctx, path, args).await,
        }
    }

    fn read(&self, ctx: &OperationContext, path: &str, args: OpRead) -> Result<Self::Reader> {
        match path.strip_prefix(SIMULATED) {
            Some(_) => Ok(Box::new(Made)),
            None => self.inner.read(ctx, path, args),
        }
    }

    fn write(&self, ctx: &OperationContext, path: &str, args: OpWrite) -> Result<Self::Writer> {
        if is_archive(path) {
            return Ok(Box::new(Swallow(Arc::clone(&self.simulated.swallowed))));
        }
        self.inner.write(ctx, path, args)
    }

    fn delete(&self, ctx: &OperationContext) -> Result<Self::Deleter> {
        self.inner.delete(ctx)
    }

    fn list(&self, ctx: &OperationContext, path: &str, args: OpList) -> Result<Self::Lister> {
        self.inner.list(ctx, path, args)
    }

    fn copy(&self, ctx: &OperationContext, from: &str, to: &str, args: OpCopy) -> Result<Self::Copier> {
        self.inner.copy(ctx, from, to, args)
    }

    fn compose(&self, ctx: &OperationContext, to: &str, args: OpCompose) -> Result<Self::Composer> {
        self.inner.compose(ctx, to, args)
    }

    async fn rename(&self, ctx: &OperationContext, from: &str, to: &str, args: OpRename) -> Result<RpRename> {
        self.inner.rename(ctx, from, to, args).await
    }

    async fn restore(&self, ctx: &OperationContext, path: &str, args: OpRestore) -> Result<RpRestore> {
        self.inner.restore(ctx, path, args).await
    }

    async fn presign(&self, ctx: &OperationContext, path: &str, args: OpPresign) -> Result<RpPresign> {
        self.inner.presign(ctx, path, args).await
    }
}

/// An artifact that is made up as it is read.
struct Made;

impl oio::Read for Made {
    async fn open(&self, range: BytesRange) -> Result<(RpRead, Box<dyn oio::ReadStreamDyn>)> {
        assert_eq!(range.offset(), 0, "packages read artifacts from their beginning");
        Ok((RpRead::default(), Box::new(MadeStream(range.size().expect("a length")))))
    }

    async fn read(&self, _range: BytesRange) -> Result<(RpRead, Buffer)> {
        panic!("an artifact is never read at once")
    }
}

/// So many bytes are left.
struct MadeStream(u64);

impl oio::ReadStream for MadeStream {
    async fn read(&mut self) -> Result<Buffer> {
        let piece = usize::try_from(self.0).unwrap_or(PIECE).min(PIECE);
        self.0 -= piece as u64;
        Ok(Buffer::from(NOISE.slice(..piece)))
    }
}

/// Counts what it is given.
struct Swallow(Arc<AtomicU64>);

impl oio::Write for Swallow {
    async fn write(&mut self, bytes: Buffer) -> Result<()> {
        self.0.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    async fn copy_from(&mut self, _path: &str, _args: OpRead, _range: BytesRange) -> Result<()> {
        panic!("archives are not copied")
    }

    async fn close(&mut self) -> Result<Metadata> {
        Ok(MetadataBuilder::file(self.0.load(Ordering::SeqCst)).build())
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
