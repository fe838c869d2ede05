//! Promise 1 against `kill -9`: the real server, killed at random moments while it dumps, again and
//! again on the same catalog and storage.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use respaldo_testkit::host::{command, eventually, run};
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::Respaldo;
use respaldo_testkit::sqlite;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const KILLS: u64 = 100;
/// Leases are short here and places many, so that the survivors need not wait.
const CONFIG: &str = "server: {lease_seconds: 1}\nglobal: {max_parallel_jobs: 16}\ndatabases: []\n";

/// A small generator, so that a failing run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn a_hundred_kills_leave_no_false_success_no_orphan_and_no_job_without_an_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/shop.db");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    sqlite::sample(&path);
    let filler = "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) \
        SELECT i, randomblob(2000) AS noise FROM n";
    sqlite::open(&path).execute_batch(filler).unwrap();
    let server = Postgres::shared();
    let source = server.fresh_database("killed");
    server.sample_schema(&source);
    server.psql(
        &source,
        "CREATE TABLE noise AS SELECT n, repeat(md5(n::text), 60) FROM generate_series(1, 2500) n",
    );
    let mut respaldo = Respaldo::new(BINARY, folder.path(), CONFIG).start().await;
    let body = json!({"name": "shop", "engine": "sqlite", "database_name": "data/shop.db"});
    let (status, database) = respaldo.post("/databases", &body).await;
    assert_eq!(status, 201, "{database}");
    let body = json!({"name": "killed", "engine": "postgres", "host": server.host(), "port": server.port(),
        "database_name": source, "compression": "zstd",
        "credentials": {"username": server.user(), "password": server.password()}});
    let (status, database) = respaldo.post("/databases", &body).await;
    assert_eq!(status, 201, "{database}");

    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut read = BTreeSet::new();
    for n in 0..KILLS {
        let (status, queued) = respaldo.post("/backups", &json!({"database_id": 1 + n % 2})).await;
        assert_eq!(status, 202, "{queued}");
        let path = format!("/backups/{}", queued["id"].as_str().unwrap());
        while respaldo.read(&path).await.1["status"] == "queued" {
            tokio::task::yield_now().await;
        }
        // The moment itself is what this test draws at random; it waits for nothing.
        tokio::time::sleep(Duration::from_millis(random.below(150))).await;
        respaldo.kill();
        assert_succeeded_are_true(folder.path(), &mut read);
        respaldo.restart().await;
    }

    // Whatever was interrupted is finished by whoever lives now.
    let deadline = tokio::time::Instant::now() + Duration::from_mins(2);
    let backups = loop {
        let (_, backups) = respaldo.read("/backups?limit=1000").await;
        let backups = backups.as_array().unwrap().clone();
        let open = |backup: &&Value| matches!(backup["status"].as_str(), Some("queued" | "running"));
        if !backups.iter().any(|backup| open(&backup)) {
            break backups;
        }
        let left = backups.iter().filter(open).count();
        assert!(tokio::time::Instant::now() < deadline, "{left} backups have no end: {}", respaldo.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(backups.len() as u64, KILLS);
    let succeeded = assert_succeeded_are_true(folder.path(), &mut BTreeSet::new());
    assert_eq!(succeeded, backups.iter().filter(|backup| backup["status"] == "succeeded").count());
    assert!(succeeded > 0);
    let (_, jobs) = respaldo.read("/jobs?limit=1000").await;
    let interrupted =
        jobs.as_array().unwrap().iter().filter(|job| job["attempts"].as_u64() > Some(1)).count();
    println!("{interrupted} of {KILLS} kills met a running backup; {succeeded} backups succeeded");
    assert!(interrupted > 20, "only {interrupted} kills met a running backup");

    // One sweep later nothing lies in storage or staging but what succeeded.
    let expected = expected_files(&backups);
    eventually("the sweep has removed every orphan", Duration::from_mins(1), || {
        files(&folder.path().join("data/backups")) == expected
            && files(&folder.path().join("data/staging")).is_empty()
    });
    respaldo.kill();
}

/// Reads the catalog with nothing of ours: each succeeded backup's file must be there, digest-true and
/// readable. Those in `read` have been looked at before. Answers how many there are.
fn assert_succeeded_are_true(folder: &Path, read: &mut BTreeSet<String>) -> usize {
    let catalog = rusqlite::Connection::open_with_flags(
        folder.join("data/catalog.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    );
    let catalog = catalog.unwrap();
    let verdict: String = catalog.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let mut rows = catalog.prepare("SELECT document FROM jobs WHERE status = 'succeeded'").unwrap();
    let documents: Vec<String> =
        rows.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    for document in &documents {
        let job: Value = serde_json::from_str(document).unwrap();
        let artifact = &job["work"]["dump"]["artifact"];
        let key = artifact["volumes"][0]["key"].as_str().unwrap();
        if !read.insert(key.to_owned()) {
            continue;
        }
        let file = folder.join("data/backups").join(key);
        let mut sha256sum = command("sha256sum");
        sha256sum.arg(&file);
        let sum = String::from_utf8(run(sha256sum, std::io::empty()).stdout).unwrap();
        assert_eq!(sum.split_whitespace().next(), artifact["sha256"].as_str(), "{key}");
        assert!(file.with_file_name("manifest.json").exists(), "{key} has no manifest");
    }
    documents.len()
}

fn expected_files(backups: &[Value]) -> BTreeSet<String> {
    let mut expected = BTreeSet::new();
    for backup in backups.iter().filter(|backup| backup["status"] == "succeeded") {
        let location = backup["location"].as_str().unwrap();
        let (_, key) = location.split_once("/data/backups/").unwrap();
        let name = backup["name"].as_str().unwrap();
        expected.extend([key.to_owned(), name.to_owned(), key.replace(name, "manifest.json")]);
    }
    expected
}

fn files(root: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let key = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if !key.starts_with("databases/") {
                found.insert(key);
            }
        }
    }
    found
}
