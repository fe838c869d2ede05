//! Changing and removing databases while others change them too.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::app::App;
use respaldo_core::databases::{self, BackupsFate, Change, Definition};
use respaldo_core::model::{Database, JobId, Ownership, Status};
use respaldo_core::tick::tick;
use respaldo_core::{ErrorKind, Result, backup, keys, restore};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::faults::{Call, FaultMode, FaultPlan};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

async fn change(app: &App, database: &Database, fields: Value) -> Result<Database> {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    databases::change(app, database.id, Change { fields, may_shorten_retention: true, ..Change::default() })
        .await
}

/// Starts a change in another process, which is stopped at its `n`th call.
async fn change_frozen_at(
    test: &TestApp,
    database: &Database,
    fields: Value,
    n: usize,
) -> (FaultPlan, JoinHandle<Result<Database>>) {
    let (app, plan) = test.another_process();
    plan.freeze_at(n);
    let database = database.clone();
    let changing = tokio::spawn(async move { change(&app, &database, fields).await });
    while plan.frozen() == 0 && !changing.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (plan, changing)
}

fn definition(test: &TestApp, database: &Database) -> Definition {
    let text = fs::read(test.backups().join(keys::definition(database.uid))).unwrap();
    let (definition, ours) = Definition::decode(&text, &test.app.key).unwrap();
    assert!(ours);
    definition
}

#[tokio::test]
async fn two_changes_of_different_fields_at_once_both_survive_and_are_both_in_the_definition() {
    for n in 1.. {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let (sleeper, changing) = change_frozen_at(&test, &database, json!({"retention_days": 9}), n).await;
        let met = sleeper.frozen() > 0;
        change(&test.app, &database, json!({"max_backups": 5})).await.unwrap();
        sleeper.thaw();
        changing.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        tick(&test.app).await.unwrap();
        let record = test.catalog.database(database.id).await.unwrap().unwrap();
        let settings = &record.settings;
        assert_eq!((settings.retention_days, settings.max_backups), (Some(9), Some(5)), "step {n}");
        assert!(!record.definition_stale, "step {n}");
        assert_eq!(&definition(&test, &record).settings, settings, "step {n}");
        test.assert_promises().await;
        if !met {
            assert!(n > 5, "a change makes more than {n} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_removed_database_is_gone_with_its_definition_whatever_step_of_the_removal_fails() {
    for mode in [FaultMode::temporary(), FaultMode::after_effect(), FaultMode::CrashAfter] {
        for n in 1.. {
            let test = TestApp::new();
            let database = test.register_sample().await;
            test.back_up(&database).await;
            test.faults.reset();
            test.faults.fail_at(n, mode);
            let removed = databases::remove(&test.app, database.id, Some(BackupsFate::Delete)).await;
            let met = test.faults.calls() >= n;
            test.faults.reset();
            tick(&test.app).await.unwrap();
            match test.catalog.database(database.id).await.unwrap() {
                // Whoever asked was told. The database is still whole, and is removed when asked again.
                Some(record) => {
                    assert!(removed.is_err(), "step {n} {mode:?}");
                    assert_eq!(definition(&test, &record).settings, record.settings, "step {n} {mode:?}");
                    databases::remove(&test.app, database.id, Some(BackupsFate::Delete)).await.unwrap();
                }
                None => test.assert_promises().await,
            }
            test.assert_promises().await;
            if !met {
                assert!(n > 5, "a removal makes more than {n} calls");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_definition_that_is_written_while_its_database_is_removed_does_not_stay() {
    for n in 1..12 {
        let test = TestApp::new();
        let database = test.register_sample().await;
        let (sleeper, changing) = change_frozen_at(&test, &database, json!({"retention_days": 9}), n).await;
        let removed = databases::remove(&test.app, database.id, None).await;
        sleeper.thaw();
        // It may have come too late.
        let _outcome = changing.await.unwrap();
        removed.unwrap();
        tick(&test.app).await.unwrap();
        test.assert_promises().await;
    }
}

/// The restore goes into another database, so nothing of the doomed one's own tells of it.
#[tokio::test]
async fn a_backup_that_a_restore_waits_for_is_deleted_neither_by_itself_nor_with_its_database() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let backup = test.back_up(&database).await;
    let path = test.folder().join("other.db");
    respaldo_testkit::sqlite::sample(&path);
    let other = test.register(json!({"name": "other", "engine": "sqlite", "database_name": path})).await;
    let request = restore::Request {
        backup: backup.id,
        target: Some(restore::Wanted::Database(other.id)),
        mode: None,
        safety_backup: true,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    };
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let waiting = Box::pin(restore::request(&test.app, &request, id)).await.unwrap();
    let all = Some(BackupsFate::Delete);
    for refused in [
        backup::delete(&test.app, backup.id).await.map(drop),
        databases::remove(&test.app, database.id, all).await,
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        assert!(refused.to_string().contains(&format!("restore {}", waiting.id)), "{refused}");
    }
    assert_eq!(test.run_to_end(waiting.id).await.status, Status::Succeeded);
    databases::remove(&test.app, database.id, all).await.unwrap();
    test.assert_promises().await;
}

#[tokio::test]
async fn a_backup_that_waits_is_cancelled_when_its_database_is_removed_and_the_others_stay() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let kept = test.back_up(&database).await;
    let waiting = backup::request(&test.app, database.id, None).await.unwrap();
    databases::remove(&test.app, database.id, Some(BackupsFate::Keep)).await.unwrap();
    assert_eq!(test.job(waiting.id).await.status, Status::Cancelled);
    test.assert_readable(&test.job(kept.id).await);
}

#[tokio::test]
async fn a_schedule_does_not_wait_for_a_definition_that_cannot_be_written() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    change(&test.app, &database, json!({"schedule": "* * * * *"})).await.unwrap();
    // Where the definition goes lies a folder.
    let path = test.backups().join(keys::definition(database.uid));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    change(&test.app, &database, json!({"name": "another"})).await.ok();
    test.clock.advance(SignedDuration::from_mins(2));
    tick(&test.app).await.unwrap();
    let jobs = test.jobs().await;
    assert!(jobs.iter().any(|job| job.status == Status::Queued), "{jobs:?}");
    assert!(test.faults.count(Call::Rename) > 1);
}

#[tokio::test]
async fn what_a_test_of_a_database_left_in_staging_is_swept() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let id = respaldo_core::ports::Ids::ulid(&*test.app.ids, test.app.now());
    let left = test.folder().join("staging").join(format!("probe-{id}"));
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("pgpass"), "*:*:*:*:secret").unwrap();
    databases::test(&test.app, database.id).await.unwrap();
    tick(&test.app).await.unwrap();
    assert!(left.exists(), "a test that still runs keeps its folder");
    test.clock.advance(SignedDuration::from_mins(30));
    tick(&test.app).await.unwrap();
    assert!(!left.exists(), "a password file stays for ever");
}
