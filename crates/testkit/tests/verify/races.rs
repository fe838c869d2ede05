//! A verdict takes its `ok` from the newest verified backup while retention is about to remove the one before
//! it. Retention is stopped at each of its calls in turn, the verdict comes, then retention goes on.

use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::databases::{self, Change};
use respaldo_core::model::{Job, Status, Verification, VerificationStatus};
use respaldo_core::retention;
use respaldo_testkit::app::TestApp;
use serde_json::json;

use super::support::tested;

async fn verified(test: &TestApp, backup: &Job) {
    let mut job = test.job(backup.id).await;
    job.backup_mut().unwrap().verification = Some(Verification {
        status: VerificationStatus::Ok,
        reason: None,
        differences: Vec::new(),
        duration_ms: None,
        at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
    });
    test.catalog.update_job(&job).await.unwrap();
}

/// Four scheduled backups, oldest first: two of them verified, the newer one's artifact damaged since. The
/// policy keeps the newest of all.
async fn one_verified_and_one_about_to_be_found_damaged() -> (TestApp, Vec<Job>) {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({
        "name": "hourly", "engine": "sqlite", "database_name": path, "schedule": "@hourly",
    });
    let database = test.register(fields).await;
    let mut made = Vec::new();
    for _ in 0..4 {
        test.clock.advance(SignedDuration::from_hours(1));
        respaldo_core::tick::tick(&test.app).await.unwrap();
        let queued = test.jobs().await.into_iter().find(|job| job.status == Status::Queued).unwrap();
        made.push(test.run_to_end(queued.id).await);
    }
    verified(&test, &made[1]).await;
    verified(&test, &made[2]).await;
    let key = &made[2].backup().unwrap().artifact.as_ref().unwrap().volumes[0].key;
    let mut stored = std::fs::read(test.backups().join(key)).unwrap();
    stored[100] ^= 1;
    std::fs::write(test.backups().join(key), stored).unwrap();
    let serde_json::Value::Object(fields) = json!({"max_backups": 1}) else { unreachable!() };
    let change = Change { fields, may_shorten_retention: true, ..Change::default() };
    databases::change(&test.app, database.id, change).await.unwrap();
    (test, made)
}

#[tokio::test]
async fn the_verified_backup_that_inherits_the_place_is_never_removed() {
    let (before, made) = one_verified_and_one_about_to_be_found_damaged().await;
    for n in 1.. {
        let test = before.copy();
        let (app, stopped) = test.another_process();
        stopped.freeze_at(n);
        let id = made[0].owner().unwrap().id;
        let run = tokio::spawn(async move { retention::apply(&app, id, None).await });
        while stopped.frozen() == 0 && !run.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let met = stopped.frozen() > 0;
        // Retention may have removed it already: then it was not the newest verified one.
        let there = async |job: &Job| {
            test.catalog.job(job.id).await.unwrap().is_some_and(|job| job.status == Status::Succeeded)
        };
        if there(&made[2]).await {
            let job = tested(&test, &made[2]).await;
            let verdict = job.test_restore().unwrap().verdict.clone().unwrap();
            assert_eq!(verdict.status, VerificationStatus::Failed, "step {n}");
        }
        let heir = there(&made[1]).await;
        stopped.thaw();
        run.await.unwrap().unwrap_or_else(|e| panic!("step {n}: {e}"));
        if heir {
            assert!(there(&made[1]).await, "step {n}: the newest verified backup is gone");
        }
        assert!(there(&made[3]).await, "step {n}: the newest good backup is gone");
        if !met {
            assert!(n > 20, "a run makes more than {n} calls");
            break;
        }
    }
}
