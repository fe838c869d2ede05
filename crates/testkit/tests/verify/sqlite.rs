//! SQLite: tested as a file in staging.

use respaldo_core::model::{Status, VerificationStatus};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::sqlite;
use serde_json::json;

use super::support::{assert_differs_in, assert_ok, backed_up, log_of, replace_dump, tested, verdict};

#[tokio::test]
async fn a_healthy_backup_is_ok_and_nothing_of_the_test_is_left() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    assert_ok(&verdict(&test, &backup).await);
    test.assert_promises().await;
}

#[tokio::test]
async fn an_ok_is_had_of_every_compression_and_of_an_empty_database() {
    for compression in ["gzip", "zstd", "none"] {
        let test = TestApp::new();
        let path = test.folder().join("empty.db");
        sqlite::open(&path).execute_batch("CREATE TABLE alone (n)").unwrap();
        let fields = json!({
            "name": "empty", "engine": "sqlite", "database_name": path, "compression": compression,
        });
        let database = test.register(fields).await;
        let backup = test.back_up(&database).await;
        assert_ok(&verdict(&test, &backup).await);
    }
}

#[tokio::test]
async fn a_backup_that_misses_one_row_fails_and_names_the_table() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    let file = test.folder().join("dump.db");
    std::fs::write(&file, test.opened(&backup)).unwrap();
    let connection = sqlite::open(&file);
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
                  AND sql NOT LIKE '%VIRTUAL%' ORDER BY name LIMIT 1";
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; CREATE TABLE IF NOT EXISTS x (n); DROP TABLE x")
        .unwrap();
    let table: String = connection.query_row(tables, [], |row| row.get(0)).unwrap();
    let quoted = table.replace('"', "\"\"");
    let gone = connection
        .execute(&format!("DELETE FROM \"{quoted}\" WHERE rowid = (SELECT max(rowid) FROM \"{quoted}\")"), [])
        .unwrap();
    assert_eq!(gone, 1, "{table}");
    drop(connection);
    replace_dump(&test, &backup, &std::fs::read(&file).unwrap()).await;
    assert_differs_in(&verdict(&test, &backup).await, &table);
    std::fs::remove_file(&file).unwrap();
    test.assert_promises().await;
}

#[tokio::test]
async fn a_flipped_byte_fails_and_says_where() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    let key = backup.backup().unwrap().artifact.as_ref().unwrap().volumes[0].key.clone();
    let path = test.backups().join(&key);
    let mut stored = std::fs::read(&path).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    std::fs::write(&path, stored).unwrap();
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::Failed);
    assert!(verdict.reason.as_ref().unwrap().contains(&key), "{verdict:?}");
    assert!(verdict.duration_ms.is_none());
}

#[tokio::test]
async fn a_dump_that_was_cut_before_it_was_sealed_fails_with_the_reason() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    let raw = test.opened(&backup);
    replace_dump(&test, &backup, &raw[..raw.len() - 4_096]).await;
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::Failed);
    assert!(verdict.reason.as_ref().unwrap().contains("its header tells of"), "{verdict:?}");
}

#[tokio::test]
async fn an_artifact_that_somebody_removed_fails() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    let artifact = backup.backup().unwrap().artifact.clone().unwrap();
    std::fs::remove_file(test.backups().join(&artifact.volumes[0].key)).unwrap();
    let verdict = verdict(&test, &backup).await;
    assert_eq!(verdict.status, VerificationStatus::Failed);
    assert!(verdict.reason.as_ref().unwrap().contains("is not there"), "{verdict:?}");
}

#[tokio::test]
async fn a_job_without_room_in_staging_fails_with_the_mend_and_leaves_the_verdict_alone() {
    let test = TestApp::new();
    let (_, backup) = backed_up(&test).await;
    assert_ok(&verdict(&test, &backup).await);
    // No disk has an exabyte.
    let mut record = test.job(backup.id).await;
    let artifact = record.backup_mut().unwrap().artifact.as_mut().unwrap();
    artifact.raw_bytes = 1 << 60;
    let key = respaldo_core::keys::manifest(backup.owner().unwrap().uid, backup.id, artifact.attempt);
    let path = test.backups().join(key);
    let (mut manifest, _) =
        respaldo_core::model::Manifest::decode(&std::fs::read(&path).unwrap(), &test.app.key).unwrap();
    manifest.artifact = artifact.clone();
    std::fs::write(&path, manifest.encode(&test.app.key).unwrap()).unwrap();
    test.catalog.update_job(&record).await.unwrap();

    let job = tested(&test, &backup).await;
    assert_eq!(job.status, Status::Failed, "{}", log_of(&test, &job).await);
    assert!(job.error.as_ref().unwrap().mend().unwrap().contains("server.staging"), "{:?}", job.error);
    let record = test.job(backup.id).await;
    assert_eq!(record.backup().unwrap().verification.as_ref().unwrap().status, VerificationStatus::Ok);
}
