//! A disk that fills: the backup fails with the mend, leaves nothing, and the server lives on.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;

use respaldo_testkit::host::{command, run};
use respaldo_testkit::respaldo::Respaldo;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

fn database(folder: &Path, mebibytes: u32) {
    fs::create_dir_all(folder.join("data")).unwrap();
    let rows = mebibytes * 512;
    let noise = format!(
        "CREATE TABLE noise AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT i, randomblob(2000) AS noise FROM n"
    );
    respaldo_testkit::sqlite::open(&folder.join("data/noise.db")).execute_batch(&noise).unwrap();
}

async fn fails_on(small: &str, mebibytes: u32) -> (Respaldo, Value) {
    let folder = tempfile::tempdir().unwrap().keep();
    database(&folder, 8);
    let respaldo =
        Respaldo::new(BINARY, &folder, "databases: []\n").with_small_disk(small, mebibytes).start().await;
    let body = json!({"name": "noise", "engine": "sqlite", "database_name": "data/noise.db"});
    let (status, database) = respaldo.post("/databases", &body).await;
    assert_eq!(status, 201, "{database}");
    let backup = respaldo.back_up(&database).await;
    assert_eq!(backup["status"], "failed", "{backup}");
    (respaldo, backup)
}

fn files(folder: &Path) -> Vec<String> {
    let mut find = command("find");
    find.arg(folder).args(["-type", "f"]);
    let found = String::from_utf8(run(find, std::io::empty()).stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

fn clean(respaldo: &mut Respaldo) {
    let folder = respaldo.folder().to_owned();
    respaldo.kill();
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn storage_that_is_full_fails_the_backup_and_keeps_nothing_of_it() {
    let (mut respaldo, backup) = fails_on("data/backups", 3).await;
    let error = &backup["error"];
    assert_eq!(error["kind"], "storage", "{error}");
    assert!(error["message"].as_str().unwrap().contains("the disk is full"), "{error}");
    assert!(error["mend"].as_str().unwrap().contains("free space"), "{error}");
    let left = files(&respaldo.seen_by_server("data/backups"));
    assert!(left.iter().all(|file| file.ends_with(".json")), "something of the backup is left: {left:?}");

    // With room again, the same server makes the backup.
    let rows = "DELETE FROM noise WHERE i > 256; VACUUM";
    respaldo_testkit::sqlite::open(&respaldo.folder().join("data/noise.db")).execute_batch(rows).unwrap();
    let backup = respaldo.back_up(&json!({"id": 1})).await;
    assert_eq!(backup["status"], "succeeded", "{backup}");
    clean(&mut respaldo);
}

#[tokio::test]
async fn staging_without_room_is_found_before_anything_is_copied() {
    let (mut respaldo, backup) = fails_on("data/staging", 2).await;
    let error = &backup["error"];
    assert_eq!(error["kind"], "storage", "{error}");
    assert!(error["message"].as_str().unwrap().contains("free"), "{error}");
    clean(&mut respaldo);
}
