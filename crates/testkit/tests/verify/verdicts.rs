//! What is no verdict about the backup, and how verdicts are counted.

use std::sync::Arc;

use respaldo_core::metrics;
use respaldo_core::model::{Status, VerificationStatus};
use respaldo_core::{backup, verify};
use respaldo_testkit::app::TestApp;
use serde_json::json;

use super::support::{assert_ok, new_id, tested, verdict};

/// A pair that `age-keygen` made for this test.
fn identity() -> (respaldo_core::seal::Identity, String) {
    let identity = respaldo_core::seal::Identity::generate();
    let recipient = identity.recipient().to_string();
    (identity, recipient)
}

#[tokio::test]
async fn an_encrypted_backup_is_not_verified_without_an_identity_and_ok_with_it() {
    let mut test = TestApp::new();
    let (identity, recipient) = identity();
    let path = test.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = json!({
        "name": "sealed", "engine": "sqlite", "database_name": path, "encryption": [recipient],
    });
    let database = test.register(fields).await;
    let made = test.back_up(&database).await;
    let first = verdict(&test, &made).await;
    assert_eq!(first.status, VerificationStatus::NotVerified);
    assert!(first.reason.as_ref().unwrap().contains("RESPALDO_IDENTITY"), "{first:?}");
    test.app.identities = Arc::new([self::identity().0]);
    assert_eq!(verdict(&test, &made).await.status, VerificationStatus::NotVerified, "a stranger's identity");
    test.app.identities = Arc::new([identity]);
    assert_ok(&verdict(&test, &made).await);
    // What cannot be tried any more takes nothing back.
    test.app.identities = Arc::new([]);
    let job = tested(&test, &made).await;
    assert_eq!(job.test_restore().unwrap().verdict.as_ref().unwrap().status, VerificationStatus::NotVerified);
    let record = test.job(made.id).await;
    assert_ok(record.backup().unwrap().verification.as_ref().unwrap());
}

#[tokio::test]
async fn only_a_succeeded_backup_is_tested_and_one_that_was_deleted_meanwhile_fails_its_job() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let queued = backup::request(&test.app, database.id, None).await.unwrap();
    let error = verify::request(&test.app, queued.id, false, new_id(&test)).await.unwrap_err();
    assert!(error.message().contains("is queued"), "{error}");
    let made = test.run_to_end(queued.id).await;
    let job = verify::request(&test.app, made.id, false, new_id(&test)).await.unwrap();
    backup::delete(&test.app, made.id).await.unwrap();
    let ended = test.run_to_end(job.id).await;
    assert_eq!(ended.status, Status::Failed);
    assert!(ended.error.unwrap().to_string().contains("there is no backup"));
    test.assert_promises().await;
}

#[tokio::test]
async fn verdicts_are_counted_and_the_recovery_time_is_measured() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let (good, bad) = (test.back_up(&database).await, test.back_up(&database).await);
    let text = async || metrics::text(&metrics::gather(&test.app).await.unwrap()).unwrap();
    let line = |text: &str, name: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(name));
        lines.next().and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse::<f64>().unwrap())
    };
    let before = text().await;
    assert_eq!(line(&before, "backup_last_verified_timestamp_seconds{"), None);
    assert_eq!(line(&before, "backup_verification_failed{"), None);

    let ok = verdict(&test, &good).await;
    let after = text().await;
    let at = ok.at.unwrap().as_second();
    #[allow(clippy::cast_precision_loss)]
    let at = at as f64;
    assert!(line(&after, "backup_last_verified_timestamp_seconds{").unwrap() >= at);
    #[allow(clippy::cast_precision_loss)]
    let took = ok.duration_ms.unwrap() as f64 / 1_000.0;
    assert!((line(&after, "backup_restore_seconds{").unwrap() - took).abs() < 1e-9);
    assert_eq!(line(&after, "backup_verification_failed{"), Some(0.0));

    let key = &bad.backup().unwrap().artifact.as_ref().unwrap().volumes[0].key;
    std::fs::write(test.backups().join(key), b"nothing like it").unwrap();
    assert_eq!(verdict(&test, &bad).await.status, VerificationStatus::Failed);
    let after = text().await;
    assert_eq!(line(&after, "backup_verification_failed{"), Some(1.0));
    assert!((line(&after, "backup_restore_seconds{").unwrap() - took).abs() < 1e-9, "of the last ok");
    for (status, count) in [("ok", 1.0), ("failed", 1.0), ("not_verified", 0.0)] {
        let series = after.lines().find(|line| {
            line.starts_with("backup_verification_total{") && line.contains(&format!("status=\"{status}\""))
        });
        assert!(series.unwrap().ends_with(&format!(" {count}")), "{series:?}");
    }
}
