//! Asking for test restores, and artifacts that are not what they were.

use std::fs;

use respaldo_core::model::{Database, Job, JobId, Manifest, Status, Verification, VerificationStatus};
use respaldo_core::seal::{Piece, SealPlan, Sealed, seal};
use respaldo_core::{keys, verify};
use respaldo_testkit::app::TestApp;

/// An id for a job that somebody asks for.
pub(crate) fn new_id(test: &TestApp) -> JobId {
    JobId(test.app.ids.ulid(test.app.now()))
}

/// Has a backup tested, and answers the job when it has ended.
pub(crate) async fn tested(test: &TestApp, backup: &Job) -> Job {
    let job = verify::request(&test.app, backup.id, false, new_id(test)).await.expect("it is queued");
    test.run_to_end(job.id).await
}

/// The verdict of a test restore, which is the backup's too.
pub(crate) async fn verdict(test: &TestApp, backup: &Job) -> Verification {
    let job = tested(test, backup).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}\n{}", job.error, log_of(test, &job).await);
    let verdict = job.test_restore().unwrap().verdict.clone().expect("a verdict");
    let record = test.job(backup.id).await;
    assert_eq!(record.backup().unwrap().verification.as_ref(), Some(&verdict));
    assert!(verdict.at.is_some());
    verdict
}

/// Panics unless the verdict is `ok`, with what was said instead.
pub(crate) fn assert_ok(verdict: &Verification) {
    assert_eq!(verdict.status, VerificationStatus::Ok, "{verdict:?}");
    assert!(verdict.reason.is_none() && verdict.differences.is_empty(), "{verdict:?}");
    assert!(verdict.duration_ms.is_some(), "{verdict:?}");
}

/// Panics unless the verdict is `failed` and its differences name this table.
pub(crate) fn assert_differs_in(verdict: &Verification, table: &str) {
    assert_eq!(verdict.status, VerificationStatus::Failed, "{verdict:?}");
    let named = |line: &String| line.starts_with(&format!("{table}: "));
    assert!(verdict.differences.iter().any(named), "{verdict:?}");
}

pub(crate) async fn log_of(test: &TestApp, job: &Job) -> String {
    let lines = test.catalog.log(job.id, 0, 1_000).await.unwrap();
    lines.into_iter().map(|entry| entry.line + "\n").collect()
}

/// The sample SQLite database with this policy, and a backup of it.
pub(crate) async fn backed_up(test: &TestApp) -> (Database, Job) {
    let database = test.register_sample().await;
    let backup = test.back_up(&database).await;
    assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
    (database, backup)
}

/// Puts another dump into a backup's place, with a manifest that describes its bytes and is signed by this
/// installation's key, but tells of the content that was backed up: as if we had dumped it wrongly.
pub(crate) async fn replace_dump(test: &TestApp, backup: &Job, raw: &[u8]) {
    let record = backup.backup().unwrap();
    let mut artifact = record.artifact.clone().unwrap();
    assert_eq!(artifact.volumes.len(), 1);
    let plan = SealPlan {
        compression: record.compression,
        recipients: record.encryption.iter().map(|text| text.parse().unwrap()).collect(),
        threads: 2,
        memory: SealPlan::LEAST_MEMORY,
    };
    let (stored, sealed) = sealed(plan, raw.to_vec()).await;
    let volume = &mut artifact.volumes[0];
    // The name beside it is a link of the same file.
    fs::write(test.backups().join(&volume.key), &stored).unwrap();
    volume.size_bytes = sealed.stored.length;
    volume.sha256 = sealed.stored.sha256_hex();
    artifact.size_bytes = sealed.stored.length;
    artifact.raw_bytes = sealed.raw_bytes;
    artifact.md5 = sealed.stored.md5_hex();
    artifact.sha256 = sealed.stored.sha256_hex();
    let key = test.backups().join(keys::manifest(backup.owner().unwrap().uid, backup.id, artifact.attempt));
    let (mut manifest, ours) = Manifest::decode(&fs::read(&key).unwrap(), &test.app.key).unwrap();
    assert!(ours);
    manifest.artifact = artifact.clone();
    fs::write(&key, manifest.encode(&test.app.key).unwrap()).unwrap();
    let mut job = test.job(backup.id).await;
    job.backup_mut().unwrap().artifact = Some(artifact);
    test.catalog.update_job(&job).await.unwrap();
}

async fn sealed(plan: SealPlan, raw: Vec<u8>) -> (Vec<u8>, Sealed) {
    let (mut writer, mut reader) = seal(plan).unwrap();
    let writing = tokio::spawn(async move {
        writer.write(&raw).await.unwrap();
        writer.finish().await.unwrap();
    });
    let mut stored = Vec::new();
    loop {
        match reader.next().await.unwrap() {
            Piece::Data(bytes) => stored.extend_from_slice(&bytes),
            Piece::End(sealed) => {
                writing.await.unwrap();
                return (stored, sealed);
            }
        }
    }
}
