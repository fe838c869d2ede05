//! Promise 1 on a store that confirms no checksum: what it was sent is read back before it counts.
//!
//! The store is OpenDAL's memory. It stops at every read of an object, and what it holds is changed
//! meanwhile behind everybody's back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use jiff::SignedDuration;
use opendal::{Operator, services};
use respaldo_core::backup;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, JobId, Status};
use respaldo_core::storage::Storage;
use respaldo_core::{ErrorKind, Limits, Result, jobs, keys};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{Call, FaultPlan};
use serde_json::json;
use tokio::task::JoinHandle;

const VOLUMES: usize = 4;

/// An installation, and the way past it to what the store holds.
struct Installation {
    test: TestApp,
    database: Database,
    reads: FaultPlan,
    held: Operator,
}

impl Installation {
    async fn new(adjust: impl FnOnce(&mut Limits)) -> Self {
        Self::on(Storage::with_read_back, adjust).await
    }

    /// With a database of four volumes.
    async fn on(confirmed: impl FnOnce(Storage) -> Storage, adjust: impl FnOnce(&mut Limits)) -> Self {
        let (held, reads) = (Operator::new(services::Memory::default()).unwrap(), FaultPlan::default());
        let storage = Storage::new(held.clone().layer(reads.layer()), "memory://").with_most_parts(1);
        let test = TestApp::on(confirmed(storage), |limits| {
            limits.memory_budget = 32 << 20;
            adjust(limits);
        });
        let path = test.folder().join("large.db");
        respaldo_testkit::sqlite::open(&path)
            .execute_batch("CREATE TABLE t (filler BLOB); INSERT INTO t VALUES (randomblob(18000000))")
            .unwrap();
        let database = test
            .register(
                json!({"name": "large", "engine": "sqlite", "database_name": path, "compression": "none"}),
            )
            .await;
        Self { test, database, reads, held }
    }

    /// Begins a backup, and stops it before its first volume is read.
    async fn start(&self) -> (JobId, JoinHandle<Result<Ran>>) {
        let job = backup::request(&self.test.app, self.database.id, None).await.unwrap();
        let before = self.reads.count(Call::Read);
        self.reads.freeze_call(Call::Read);
        let (app, id) = (self.test.app.clone(), job.id);
        let running = tokio::spawn(async move { backup::run(&app, id, &Worker::new("test")).await });
        self.frozen_at(before + 1).await;
        (job.id, running)
    }

    async fn frozen_at(&self, read: usize) {
        let waiting = async {
            while self.reads.count(Call::Read) < read || self.reads.frozen() == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("a read waits");
    }

    /// Lets the read go on that waits, and stops the next one.
    async fn next(&self) {
        let before = self.reads.count(Call::Read);
        self.reads.thaw();
        self.reads.freeze_call(Call::Read);
        self.frozen_at(before + 1).await;
    }

    async fn artifacts(&self) -> Vec<String> {
        let mut keys = self.test.app.storage.list("backups/").await.unwrap();
        keys.sort();
        keys
    }

    /// It was whole in the end, and nothing else is there.
    async fn assert_succeeds(&self, id: JobId) {
        self.reads.thaw();
        let job = self.test.run_to_end(id).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
        let artifact = job.backup().unwrap().artifact.as_ref().unwrap();
        let mut digester = respaldo_core::seal::Digester::new();
        for volume in &artifact.volumes {
            digester.update(&self.held.read(&volume.key).await.unwrap().to_bytes());
        }
        assert_eq!(digester.finish().sha256_hex(), artifact.sha256);
        let volumes = artifact.volumes.iter().map(|volume| volume.key.clone());
        let mut expected: Vec<String> = volumes.chain([manifest(&job, artifact.attempt)]).collect();
        expected.sort();
        assert_eq!(self.artifacts().await, expected);
    }

    async fn assert_found_out(&self, id: JobId, running: JoinHandle<Result<Ran>>, what: &str) {
        self.reads.thaw();
        assert_eq!(running.await.unwrap().unwrap(), Ran::Queued, "{what}");
        let error = self.test.job(id).await.error.expect("it failed");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Corrupt, true), "{what}: {error}");
        assert!(error.message().contains("gave back something else"), "{what}: {error}");
    }
}

fn manifest(job: &Job, attempt: u32) -> String {
    keys::manifest(job.owner().unwrap().uid, job.id, attempt)
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip,
    Cut,
    Lengthen,
    Empty,
    Lose,
}

async fn damage(held: &Operator, key: &str, damage: Damage) {
    let mut bytes = held.read(key).await.unwrap().to_vec();
    match damage {
        Damage::Flip => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Damage::Cut => drop(bytes.pop()),
        Damage::Lengthen => bytes.push(0),
        Damage::Empty => bytes.clear(),
        Damage::Lose => return held.delete(key).await.unwrap(),
    }
    held.write(key, bytes).await.unwrap();
}

#[tokio::test]
async fn a_volume_that_the_store_changed_is_found_out_and_the_next_attempt_succeeds() {
    let every = [Damage::Flip, Damage::Cut, Damage::Lengthen, Damage::Empty, Damage::Lose];
    for (harm, volume) in every.into_iter().zip([0, VOLUMES - 1, 1, 2, 0]) {
        let installation = Installation::new(|_| {}).await;
        let (id, running) = installation.start().await;
        let volumes = installation.artifacts().await;
        assert_eq!(volumes.len(), VOLUMES, "no manifest yet: {volumes:?}");
        damage(&installation.held, &volumes[volume], harm).await;
        installation.assert_found_out(id, running, &format!("{harm:?} of volume {volume}")).await;
        assert_eq!(installation.artifacts().await, Vec::<String>::new(), "{harm:?} of volume {volume}");
        installation.assert_succeeds(id).await;
    }
}

#[tokio::test]
async fn a_manifest_that_the_store_changed_is_found_out_and_the_next_attempt_succeeds() {
    for harm in [Damage::Flip, Damage::Cut, Damage::Lose] {
        let installation = Installation::new(|_| {}).await;
        let (id, running) = installation.start().await;
        for _ in 0..VOLUMES {
            installation.next().await;
        }
        damage(&installation.held, &manifest(&installation.test.job(id).await, 1), harm).await;
        installation.assert_found_out(id, running, &format!("{harm:?} of the manifest")).await;
        // Whoever takes the job next removes what is there, or adopts it: the manifest ends with a line
        // end, without which it says all the same.
        installation.assert_succeeds(id).await;
    }
}

#[tokio::test]
async fn a_small_object_is_confirmed_only_as_it_was_sent() {
    let (held, reads) = (Operator::new(services::Memory::default()).unwrap(), FaultPlan::default());
    let storage = Storage::new(held.clone().layer(reads.layer()), "memory://").with_read_back();
    for harm in [Damage::Flip, Damage::Cut, Damage::Lengthen, Damage::Lose] {
        reads.freeze_call(Call::Read);
        let putting = tokio::spawn({
            let storage = storage.clone();
            async move { storage.put("databases/a.json", "{\"name\": \"a\"}").await }
        });
        while reads.frozen() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        damage(&held, "databases/a.json", harm).await;
        reads.thaw();
        let error = putting.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Corrupt, true), "{harm:?}: {error}");
        storage.put("databases/a.json", "{}").await.unwrap();
    }
}

#[tokio::test]
async fn a_backup_that_is_cancelled_while_it_is_read_back_leaves_nothing() {
    let installation = Installation::new(|limits| limits.lease = SignedDuration::from_secs(2)).await;
    let (id, running) = installation.start().await;
    jobs::cancel(&installation.test.app, id).await.unwrap();
    assert_eq!(running.await.unwrap().unwrap(), Ran::Ended);
    assert_eq!(installation.test.job(id).await.status, Status::Cancelled);
    assert_eq!(installation.artifacts().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_gives_nothing_back_is_not_waited_for_for_ever() {
    let short = |limits: &mut Limits| {
        limits.stall = SignedDuration::from_millis(600);
        limits.lease = SignedDuration::from_secs(2);
    };
    let installation = Installation::new(short).await;
    let (id, running) = installation.start().await;
    assert_eq!(running.await.unwrap().unwrap(), Ran::Queued);
    let error = installation.test.job(id).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("storage gave back no byte for"), "{error}");
    installation.assert_succeeds(id).await;
}

#[tokio::test]
async fn a_store_that_gives_back_slowly_is_waited_for() {
    let short = |limits: &mut Limits| {
        limits.stall = SignedDuration::from_millis(1_500);
        limits.lease = SignedDuration::from_secs(2);
    };
    let installation = Installation::new(short).await;
    let (id, running) = installation.start().await;
    for _ in 1..VOLUMES {
        tokio::time::sleep(Duration::from_millis(600)).await;
        installation.next().await;
    }
    installation.reads.thaw();
    assert_eq!(running.await.unwrap().unwrap(), Ran::Ended);
    let job = installation.test.job(id).await;
    assert_eq!((job.status, job.attempts.failures), (Status::Succeeded, 0), "{:?}", job.error);
    installation.assert_succeeds(id).await;
}

#[tokio::test]
async fn a_store_that_confirms_checksums_is_not_read() {
    let installation = Installation::on(|storage| storage, |_| {}).await;
    let job = installation.test.back_up(&installation.database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert_eq!(installation.reads.count(Call::Read), 0);
}
