//! Whole restores: what comes back, what undoes it, and what is refused.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::jobs::Ran;
use respaldo_core::model::{BackupKind, RestoreMode, Status};
use respaldo_core::restore::{self, Request, Wanted};
use respaldo_core::retention::{self, Cron};
use respaldo_core::schedule::Schedule;
use respaldo_core::{ErrorKind, backup};
use respaldo_testkit::app::{LEASE, TestApp};
use respaldo_testkit::faults::{Call, FaultMode};
use respaldo_testkit::sqlite;
use serde_json::json;

use crate::support::{Damaged, request_of};

#[tokio::test]
async fn a_restore_brings_back_what_was_backed_up_and_a_safety_backup_undoes_it() {
    let damaged = Damaged::new().await;
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(damaged.content(), damaged.healthy);

    let safety = restored.restoration().unwrap().safety_backup.unwrap();
    let safety = damaged.test.job(safety).await;
    assert_eq!((safety.status, safety.backup().unwrap().kind), (Status::Succeeded, BackupKind::Safety));
    assert!(safety.backup().unwrap().name.as_ref().unwrap().starts_with("safety_"), "{safety:?}");

    let undo = restore::undo(&damaged.test.app, restored.id, false, damaged.id()).await.unwrap();
    let undone = damaged.test.run_to_end(undo.id).await;
    assert_eq!(undone.status, Status::Succeeded, "{:?}", undone.error);
    assert_eq!(damaged.content(), damaged.before);
    damaged.test.assert_promises().await;
}

#[tokio::test]
async fn who_has_the_database_open_goes_on_with_what_was_restored() {
    let damaged = Damaged::new().await;
    let open = sqlite::open(&damaged.path());
    let count = |sql: &str| open.query_row(sql, [], |row| row.get::<_, i64>(0));
    assert_eq!(count("SELECT count(*) FROM written_since").unwrap(), 1);
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert!(count("SELECT count(*) FROM written_since").is_err());
    open.execute_batch("CREATE TABLE after_it (a)").unwrap();
    drop(open);
    assert!(damaged.content().contains("after_it"));
}

#[tokio::test]
async fn a_writer_in_a_transaction_keeps_the_restore_out_and_nothing_changes() {
    let damaged = Damaged::new().await;
    let writer = sqlite::open(&damaged.path());
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let job = damaged.request(&request_of(damaged.backup.id)).await;
    damaged.test.run(job.id).await.unwrap();
    let job = damaged.test.job(job.id).await;
    assert_eq!(job.status, Status::Failed);
    assert!(job.error.as_ref().unwrap().to_string().contains("locked"), "{:?}", job.error);
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    assert_eq!(damaged.content(), damaged.before);
    damaged.test.assert_promises().await;
}

#[tokio::test]
async fn a_new_path_gets_the_dump_and_the_database_itself_is_left_alone() {
    let damaged = Damaged::new().await;
    let path = damaged.test.folder().join("elsewhere.db");
    let mut request = request_of(damaged.backup.id);
    request.target = Some(Wanted::Name(path.display().to_string()));
    let restored = damaged.restore(&request).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(restored.restoration().unwrap().safety_backup, None);
    assert_eq!(sqlite::dump(&path), damaged.healthy);
    assert_eq!(damaged.content(), damaged.before);
}

#[tokio::test]
async fn another_registered_database_can_be_the_target() {
    let damaged = Damaged::new().await;
    let path = damaged.test.folder().join("staging copy.db");
    sqlite::open(&path).execute_batch("CREATE TABLE old (a)").unwrap();
    let other = damaged
        .test
        .register(serde_json::json!({ "name": "other", "engine": "sqlite", "database_name": path }))
        .await;
    let mut request = request_of(damaged.backup.id);
    request.target = Some(Wanted::Database(other.id));
    let restored = damaged.restore(&request).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(restored.database_id(), Some(other.id));
    assert_eq!(sqlite::dump(&path), damaged.healthy);
    let safety = damaged.test.job(restored.restoration().unwrap().safety_backup.unwrap()).await;
    assert_eq!(safety.database_id(), Some(other.id));
}

#[tokio::test]
async fn a_database_in_wal_mode_takes_pages_of_another_size() {
    let damaged = Damaged::new().await;
    let path = damaged.test.folder().join("other pages.db");
    sqlite::open(&path)
        .execute_batch("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL; CREATE TABLE old (a)")
        .unwrap();
    let other = damaged
        .test
        .register(serde_json::json!({ "name": "other", "engine": "sqlite", "database_name": path }))
        .await;
    let mut request = request_of(damaged.backup.id);
    request.target = Some(Wanted::Database(other.id));
    let restored = damaged.restore(&request).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(sqlite::dump(&path), damaged.healthy);
}

/// Changes the stored bytes of a backup.
fn spoil(artifact: &Path, spoil: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(artifact).unwrap();
    spoil(&mut bytes);
    // The name that people see is a link to the same file.
    std::fs::write(artifact, bytes).unwrap();
}

async fn refuses_spoilt(spoilt: impl FnOnce(&mut Vec<u8>)) {
    let damaged = Damaged::new().await;
    let artifact = damaged.backup.backup().unwrap().artifact.clone().unwrap();
    spoil(&damaged.test.backups().join(&artifact.volumes[0].key), spoilt);
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    assert_eq!(restored.status, Status::Failed);
    let error = restored.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.mend().is_some(), "{error}");
    assert_eq!(damaged.content(), damaged.before);
}

#[tokio::test]
async fn a_flipped_byte_in_the_artifact_is_found_before_the_target_is_touched() {
    refuses_spoilt(|bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    })
    .await;
}

#[tokio::test]
async fn a_truncated_artifact_is_found_before_the_target_is_touched() {
    refuses_spoilt(|bytes| bytes.truncate(bytes.len() - 1)).await;
}

#[tokio::test]
async fn a_manifest_of_another_backup_is_refused() {
    let damaged = Damaged::new().await;
    let other = damaged.test.back_up(&damaged.database).await;
    let key = |job: &respaldo_core::model::Job| {
        let attempt = job.backup().unwrap().artifact.as_ref().unwrap().attempt;
        damaged.test.backups().join(respaldo_core::keys::manifest(job.owner().unwrap().uid, job.id, attempt))
    };
    std::fs::copy(key(&other), key(&damaged.backup)).unwrap();
    let error =
        restore::plan(&damaged.test.app, &request_of(damaged.backup.id), damaged.id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_confirmed_restore_lets_its_safety_backup_go() {
    let damaged = Damaged::new().await;
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    let safety = restored.restoration().unwrap().safety_backup.unwrap();
    assert!(damaged.test.job(safety).await.backup().unwrap().pinned);
    let confirmed = restore::confirm(&damaged.test.app, restored.id, damaged.id()).await.unwrap();
    let confirmed = damaged.test.run_to_end(confirmed.id).await;
    assert_eq!(confirmed.status, Status::Succeeded, "{:?}", confirmed.error);
    assert!(!damaged.test.job(safety).await.backup().unwrap().pinned);
    assert!(damaged.test.job(restored.id).await.restoration().unwrap().confirmed_at.is_some());
}

#[tokio::test]
async fn without_a_safety_backup_the_restore_asks_for_force() {
    let damaged = Damaged::new().await;
    let mut request = request_of(damaged.backup.id);
    request.safety_backup = false;
    let error = restore::request(&damaged.test.app, &request, damaged.id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    request.force = true;
    let restored = damaged.restore(&request).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(restored.restoration().unwrap().safety_backup, None);
}

#[tokio::test]
async fn a_backup_that_is_being_restored_is_not_deleted_under_it() {
    let damaged = Damaged::new().await;
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    assert_eq!(restored.restoration().unwrap().options.mode, RestoreMode::Swap);
    // Nobody reads it any more, so it goes at once.
    assert!(backup::delete(&damaged.test.app, damaged.backup.id).await.unwrap());
}

#[tokio::test]
async fn the_record_of_a_restore_is_forgotten_after_ninety_days() {
    let hourly = Cron::new(Schedule::parse("@hourly", None).unwrap());
    let damaged = Damaged::of(TestApp::with(|limits| limits.retention = Some(hourly))).await;
    let restored = damaged.restore(&request_of(damaged.backup.id)).await;
    let test = &damaged.test;
    for (days, there) in [(89, true), (2, false)] {
        test.clock.advance(SignedDuration::from_hours(24 * days));
        retention::tick(&test.app).await.unwrap();
        assert_eq!(test.catalog.job(restored.id).await.unwrap().is_some(), there, "{days} days later");
    }
    // Nobody can confirm it any more, so nothing keeps a person from deleting what would undo it.
    let safety = restored.restoration().unwrap().safety_backup.unwrap();
    assert!(!test.job(safety).await.backup().unwrap().pinned);
    test.assert_promises().await;
}

/// One file, registered twice: neither restore sees the other in its plan.
#[tokio::test]
async fn of_two_restores_of_one_target_one_waits_for_the_other_also_when_its_worker_dies() {
    let damaged = Damaged::new().await;
    let test = &damaged.test;
    let path = damaged.path();
    let twin = test.register(json!({"name": "twin", "engine": "sqlite", "database_name": path})).await;
    let first = damaged.request(&request_of(damaged.backup.id)).await;
    let wanted = Request { target: Some(Wanted::Database(twin.id)), ..request_of(damaged.backup.id) };
    let second = damaged.request(&wanted).await;
    assert_eq!(second.database_id(), Some(twin.id));

    test.faults.reset();
    test.faults.fail_at(20, FaultMode::CrashAfter);
    let crashed = test.run(first.id).await;
    test.faults.reset();
    assert!(!test.job(first.id).await.status.is_terminal(), "{crashed:?}");
    for _ in 0..2 {
        assert_eq!(test.run(second.id).await.unwrap(), Ran::Queued);
        assert_eq!(damaged.content(), damaged.before);
        test.clock.advance(LEASE + LEASE);
    }
    for id in [first.id, second.id] {
        let ended = test.run_to_end(id).await;
        assert_eq!(ended.status, Status::Succeeded, "{:?}", ended.error);
    }
    assert_eq!(damaged.content(), damaged.healthy);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_backup_that_waits_does_not_begin_while_its_database_is_being_restored() {
    let damaged = Damaged::new().await;
    let waits = backup::request(&damaged.test.app, damaged.database.id, None).await.unwrap();
    let restore = damaged.request(&request_of(damaged.backup.id)).await;
    assert_eq!(damaged.test.run(waits.id).await.unwrap(), Ran::NotOurs, "half of a database is no backup");
    assert_eq!(damaged.test.job(waits.id).await.status, Status::Queued);

    let restored = Box::pin(damaged.test.run_to_end(restore.id)).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    let made = Box::pin(damaged.test.run_to_end(waits.id)).await;
    assert_eq!(made.status, Status::Succeeded, "{:?}", made.error);
}

#[tokio::test]
async fn a_restore_waits_for_the_end_of_a_backup_that_is_being_made() {
    let damaged = Damaged::new().await;
    let test = &damaged.test;
    let made = backup::request(&test.app, damaged.database.id, None).await.unwrap();
    test.faults.freeze_call(Call::Write);
    let (ran, (restore, waited)) = tokio::join!(Box::pin(test.run(made.id)), async {
        while test.faults.frozen() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let restore = damaged.request(&request_of(damaged.backup.id)).await;
        let ran = Box::pin(test.run(restore.id)).await.unwrap();
        let waited = (ran, test.job(restore.id).await.status, damaged.content());
        test.faults.thaw();
        (restore, waited)
    });
    assert_eq!(waited, (Ran::Queued, Status::Queued, damaged.before.clone()), "it is still being read");
    assert_eq!((ran.unwrap(), test.job(made.id).await.status), (Ran::Ended, Status::Succeeded));
    let log = test.catalog.log(restore.id, 0, 100).await.unwrap();
    assert!(log.iter().any(|entry| entry.line.contains(&format!("/jobs/{}/cancel", made.id))), "{log:?}");
    let restored = Box::pin(test.run_to_end(restore.id)).await;
    assert_eq!(restored.status, Status::Succeeded, "{:?}", restored.error);
    assert_eq!(damaged.content(), damaged.healthy);
}
