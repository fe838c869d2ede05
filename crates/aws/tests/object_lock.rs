//! Object locks, on the S3 of moto: it enforces them, checks no rights, and takes dates that have passed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::config::Credentials;
use jiff::{SignedDuration, Timestamp};
use respaldo_adapters::storage::{AccessKey, Options, bucket, open_with};
use respaldo_aws::object_lock::S3Locks;
use respaldo_aws::sdk;
use respaldo_core::model::{BackupKind, Database, Job, LockMode, ObjectLock, Status};
use respaldo_core::ports::Event;
use respaldo_core::retention::{self, Action, Reason};
use respaldo_core::storage::{Locks, Version};
use respaldo_core::tick::tick;
use respaldo_core::{Error, ErrorKind, Result, backup, databases};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::aws::{self, Moto};
use serde_json::json;

const DAYS: u32 = 10;

async fn locks_of(url: &str) -> S3Locks {
    let bucket = bucket(url).unwrap().unwrap();
    let key = Credentials::new(aws::ACCESS_KEY, aws::SECRET_KEY, None, None, "test");
    let loader = sdk::loader(bucket.endpoint.as_deref(), Some(&bucket.region));
    S3Locks::with(&loader.credentials_provider(key).load().await, bucket)
}

/// An installation that locks its backups in a bucket that can, and the same locks beside it.
struct Scene {
    test: TestApp,
    locks: S3Locks,
}

impl Scene {
    async fn new(mode: LockMode) -> Self {
        Self::with(mode, |locks| Arc::new(locks) as _).await
    }

    async fn with(mode: LockMode, around: impl FnOnce(S3Locks) -> Arc<dyn Locks>) -> Self {
        let bucket = Moto::shared().locking_bucket().await;
        let url = bucket.url("some/prefix");
        let key = AccessKey { id: aws::ACCESS_KEY.to_owned(), secret: aws::SECRET_KEY.into() };
        let storage = open_with(&url, &Options { key: Some(key), ..Options::default() }).unwrap();
        let locks = locks_of(&url).await;
        let storage = storage.with_locks(around(locks.clone()));
        let test = TestApp::on(storage, |limits| limits.object_lock = Some(ObjectLock { mode, days: DAYS }));
        Self { test, locks }
    }

    async fn versions(&self, job: &Job) -> Vec<Version> {
        let folder = respaldo_core::keys::backup_prefix(job.owner().unwrap().uid, job.id);
        self.locks.versions(&folder).await.unwrap()
    }

    async fn database(&self, retention_days: Option<u32>) -> Database {
        let path = self.test.folder().join("sample.db");
        respaldo_testkit::sqlite::sample(&path);
        let mut fields = json!({"name": "sample", "engine": "sqlite", "database_name": path});
        fields["retention_days"] = json!(retention_days);
        self.test.register(fields).await
    }

    /// Moves into a time so long ago that locks of then have ended now.
    fn long_ago(&self) -> Timestamp {
        let now = self.test.app.now();
        self.test.clock.stop_at(now - SignedDuration::from_hours(24 * 30));
        now
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_backup_is_locked_manifest_and_all_and_nobody_removes_it() {
    let scene = Scene::new(LockMode::Compliance).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    let ended = job.finished_at.unwrap();
    let until = ended + SignedDuration::from_hours(24 * i64::from(DAYS));
    assert_eq!(job.lock().unwrap().held_until(), Some(until));
    let versions = scene.versions(&job).await;
    assert_eq!(versions.len(), 2, "an artifact and a manifest: {versions:?}");
    for version in &versions {
        let (mode, held) = scene.locks.locked(&version.key).await.unwrap().unwrap();
        assert!(mode == LockMode::Compliance && held >= until, "{held} {until}");
        assert!(held.duration_since(until) <= SignedDuration::from_secs(1));
        let refused = scene.locks.remove(version).await.unwrap_err();
        assert_eq!((refused.kind(), refused.is_retryable()), (ErrorKind::Denied, false), "{refused}");
    }
    let refused = backup::delete(&scene.test.app, job.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.message().contains(&format!("locked until {until}")), "{refused}");
    let all = databases::remove(&scene.test.app, database.id, Some(databases::BackupsFate::Delete)).await;
    assert_eq!(all.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(scene.test.job(job.id).await.status, Status::Succeeded, "nothing is half done");
    assert_eq!(scene.versions(&job).await, versions);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_shows_the_lock_and_when_it_has_ended_no_version_stays_behind() {
    let scene = Scene::new(LockMode::Governance).await;
    let now = scene.long_ago();
    let database = scene.database(Some(1)).await;
    let old = scene.test.back_up(&database).await;
    scene.test.clock.advance(SignedDuration::from_hours(24 * 5));
    let newer = scene.test.back_up(&database).await;
    let plan = retention::show(&scene.test.app, &database).await.unwrap();
    // Manual backups have no rule.
    assert!(plan.decisions.iter().all(|decision| decision.action == Action::Keep));
    let until = old.lock().unwrap().until;
    let scheduled = scene.as_scheduled(&old).await;
    let plan = retention::show(&scene.test.app, &database).await.unwrap();
    let decision = plan.decisions.iter().find(|decision| decision.job.id == scheduled.id).unwrap();
    assert_eq!((decision.action, decision.reason), (Action::Locked, Reason::LockedUntil(until)));
    assert_eq!(decision.reason.to_string(), format!("locked until {until}"));
    let applied = retention::apply(&scene.test.app, database.id, None).await.unwrap();
    assert!(applied.fates.is_empty());

    scene.test.clock.stop_at(now);
    let applied = retention::apply(&scene.test.app, database.id, None).await.unwrap();
    assert_eq!(applied.fates.len(), 1, "{applied:?}");
    assert_eq!(scene.versions(&old).await, [], "neither a version nor a mark");
    assert_eq!(scene.versions(&newer).await.len(), 2);
    assert!(backup::delete(&scene.test.app, newer.id).await.unwrap());
    assert_eq!(scene.versions(&newer).await, []);
}

impl Scene {
    /// The record as if its backup had been due.
    async fn as_scheduled(&self, job: &Job) -> Job {
        let mut job = self.test.job(job.id).await;
        job.backup_mut().unwrap().kind = BackupKind::Scheduled;
        self.test.catalog.update_job(&job).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_only_the_store_knows_of_holds_and_is_written_down() {
    let scene = Scene::new(LockMode::Governance).await;
    let database = scene.database(Some(1)).await;
    let job = scene.test.back_up(&database).await;
    let until = job.lock().unwrap().until;
    let mut forgotten = scene.test.job(job.id).await;
    forgotten.backup_mut().unwrap().lock = None;
    scene.test.catalog.update_job(&forgotten).await.unwrap();
    let refused = backup::delete(&scene.test.app, job.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    let known = scene.test.job(job.id).await.lock().unwrap();
    assert!(known.held_until().unwrap() >= until && known.mode == LockMode::Governance);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_never_shortened() {
    let scene = Scene::new(LockMode::Governance).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    let key = &job.artifact().unwrap().volumes[0].key;
    let (_, held) = scene.locks.locked(key).await.unwrap().unwrap();
    scene.locks.lock(key, LockMode::Governance, scene.test.app.now()).await.unwrap();
    assert_eq!(scene.locks.locked(key).await.unwrap(), Some((LockMode::Governance, held)));
    let longer = held + SignedDuration::from_hours(24);
    scene.locks.lock(key, LockMode::Compliance, longer).await.unwrap();
    assert_eq!(scene.locks.locked(key).await.unwrap(), Some((LockMode::Compliance, longer)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_lock_that_can_be_lifted_does_not_stand_in_for_one_that_cannot() {
    let scene = Scene::new(LockMode::Governance).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    let key = &job.artifact().unwrap().volumes[0].key;
    let (_, held) = scene.locks.locked(key).await.unwrap().unwrap();
    let sooner = held - SignedDuration::from_hours(24);
    scene.locks.lock(key, LockMode::Compliance, sooner).await.unwrap();
    assert_eq!(scene.locks.locked(key).await.unwrap(), Some((LockMode::Compliance, held)));
    scene.locks.lock(key, LockMode::Governance, sooner).await.unwrap();
    assert_eq!(scene.locks.locked(key).await.unwrap(), Some((LockMode::Compliance, held)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_or_overwritten_lies_below_and_comes_back_by_removing_what_is_above() {
    let scene = Scene::new(LockMode::Compliance).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    let locked = scene.versions(&job).await;
    let storage = &scene.test.app.storage;
    let artifact = job.artifact().unwrap().volumes[0].key.clone();
    let manifest = locked.iter().map(|version| &version.key).find(|key| **key != artifact).unwrap().clone();
    storage.delete(&artifact).await.unwrap();
    storage.put(&manifest, "a thief's").await.unwrap();
    assert_eq!(storage.length(&artifact).await.unwrap(), None);
    let refused = backup::delete(&scene.test.app, job.id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "its record knows the lock");
    for above in scene.versions(&job).await.iter().filter(|version| !locked.contains(version)) {
        scene.locks.remove(above).await.unwrap();
    }
    assert_eq!(scene.versions(&job).await, locked);
    assert_eq!(storage.length(&artifact).await.unwrap(), Some(job.artifact().unwrap().size_bytes));
    assert!(storage.get(&manifest, 1 << 20).await.unwrap().is_some_and(|text| text.starts_with(b"{")));
}

/// Locks that refuse so many times, for a reason that only a person mends.
#[derive(Debug)]
struct Refusing(S3Locks, AtomicU32);

#[async_trait]
impl Locks for Refusing {
    async fn check(&self) -> Result<()> {
        self.0.check().await
    }

    async fn lock(&self, key: &str, mode: LockMode, until: Timestamp) -> Result<()> {
        if self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Denied, "lock an object", "no"));
        }
        self.0.lock(key, mode, until).await
    }

    async fn locked(&self, key: &str) -> Result<Option<(LockMode, Timestamp)>> {
        self.0.locked(key).await
    }

    async fn versions(&self, prefix: &str) -> Result<Vec<Version>> {
        self.0.versions(prefix).await
    }

    async fn remove(&self, version: &Version) -> Result<()> {
        self.0.remove(version).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_lock_is_told_and_made_by_a_later_tick_and_the_backup_is_good_meanwhile() {
    let scene = Scene::with(LockMode::Governance, |locks| Arc::new(Refusing(locks, 2.into())) as _).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    assert_eq!((job.status, job.untold), (Status::Succeeded, false), "its end is told all the same");
    assert_eq!(job.lock().unwrap().held_until(), None, "the record shows no lock");
    let refusals = || {
        let told =
            |event: &Event| matches!(event, Event::StorageRefused(e) if e.to_string().contains("not locked"));
        scene.test.events.all().iter().filter(|event| told(event)).count()
    };
    assert_eq!(refusals(), 1);
    tick(&scene.test.app).await.unwrap();
    assert_eq!(refusals(), 1, "not at once again");
    scene.test.clock.advance(SignedDuration::from_mins(11));
    tick(&scene.test.app).await.unwrap();
    assert_eq!((refusals(), scene.test.job(job.id).await.lock().unwrap().held_until()), (2, None));
    scene.test.clock.advance(SignedDuration::from_mins(11));
    tick(&scene.test.app).await.unwrap();
    let job = scene.test.job(job.id).await;
    assert_eq!(job.lock().unwrap().held_until(), Some(job.lock().unwrap().until));
    assert_eq!(job.attention_at(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn safety_backups_failed_attempts_and_packages_are_not_locked() {
    let scene = Scene::new(LockMode::Governance).await;
    let database = scene.database(None).await;
    let job = scene.test.back_up(&database).await;
    let package =
        respaldo_core::package::Request { databases: Some(vec![database.id]), ..Default::default() };
    let id = respaldo_core::model::JobId(scene.test.app.ids.ulid(scene.test.app.now()));
    respaldo_core::package::request(&scene.test.app, &package, id).await.unwrap();
    let package = scene.test.run_to_end(id).await;
    assert_eq!(package.status, Status::Succeeded, "{:?}", package.error);
    let archive = &package.artifact().unwrap().volumes[0].key;
    assert_eq!(scene.locks.locked(archive).await.unwrap(), None);
    assert!(respaldo_core::package::delete(&scene.test.app, id).await.unwrap());
    let left = scene.locks.versions(&respaldo_core::keys::package_prefix(id)).await.unwrap();
    assert_eq!(left, [], "what was never locked goes with its versions too");
    assert!(scene.test.job(job.id).await.lock().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_lock_or_is_not_there_is_told_in_one_line_with_what_to_do() {
    let moto = Moto::shared();
    let plain = moto.bucket().await;
    let locks = locks_of(&plain.url("")).await;
    let error = locks.check().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
    assert!(error.mend().unwrap().contains("retention.object_lock"), "{error}");
    plain.write("a", b"x".to_vec()).await;
    let error =
        locks.lock("a", LockMode::Governance, Timestamp::MAX - SignedDuration::from_hours(99_999)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(locks.locked("a").await.unwrap(), None);
    assert_eq!(locks.locked("b").await.unwrap(), None);

    let nowhere = plain.url("").replace(&plain.name, "no-such-bucket-anywhere");
    let error = locks_of(&nowhere).await.check().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Config, false), "{error}");
    assert!(error.mend().unwrap().contains("make the bucket"), "{error}");
    moto.locking_bucket().await;
    let away = locks_of("s3://b?endpoint=http://127.0.0.1:9&region=us-east-1").await;
    let error = away.check().await.unwrap_err();
    assert!(error.is_retryable() && error.kind() == ErrorKind::Unavailable, "{error}");
}
