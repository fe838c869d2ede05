//! SQLite databases are backed up while they are being written, and what cannot be backed up says why.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::Path;

use respaldo_core::backup;
use respaldo_core::databases;
use respaldo_core::model::{Job, Status};
use respaldo_core::{Error, ErrorKind};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::sqlite::{self, Writer};
use serde_json::json;

/// Unpacks with the stock tool.
fn gunzip(from: &Path, to: &Path) {
    let mut gunzip = command("gunzip");
    gunzip.arg("--stdout").arg(from);
    fs::write(to, run(gunzip, std::io::empty()).stdout).unwrap();
}

fn error_of(job: &Job) -> &Error {
    assert_eq!(job.status, Status::Failed);
    job.error.as_ref().unwrap()
}

#[tokio::test]
async fn the_artifact_lies_under_its_name_and_opens_with_gunzip_to_the_same_database() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let name = job.backup().unwrap().name.clone().unwrap();
    assert!(name.starts_with("sqlite_sample_") && name.ends_with(".db.gz"), "{name}");
    let copy = test.folder().join("copy.db");
    gunzip(&test.backups().join(&name), &copy);
    assert_eq!(sqlite::dump(&copy), sqlite::dump(&test.folder().join("sample.db")));
    test.assert_promises().await;
}

#[tokio::test]
async fn a_database_is_backed_up_in_one_state_while_it_is_being_written() {
    let test = TestApp::new();
    let path = test.folder().join("busy.db");
    let writer = Writer::start(&path);
    let database = test.register(json!({"name": "busy", "engine": "sqlite", "database_name": path})).await;
    writer.wait_for(50);
    let before = writer.committed();
    let job = test.back_up(&database).await;
    let after = writer.stop();
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let copy = test.folder().join("copy.db");
    fs::write(&copy, test.opened(&job)).unwrap();
    let rows = Writer::consistent_rows(&copy);
    assert!(before <= rows && rows <= after, "{before} <= {rows} <= {after}");
}

#[tokio::test]
async fn two_backups_in_one_second_have_two_names() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let (one, other) = (test.back_up(&database).await, test.back_up(&database).await);
    assert_ne!(one.backup().unwrap().name, other.backup().unwrap().name);
    test.assert_promises().await;
}

#[tokio::test]
async fn every_compression_is_what_its_name_says() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    sqlite::sample(&path);
    for (compression, extension) in [("gzip", "db.gz"), ("zstd", "db.zst"), ("none", "db")] {
        let fields = json!({"name": compression, "engine": "sqlite", "database_name": path,
            "compression": compression});
        let database = test.register(fields).await;
        let job = test.back_up(&database).await;
        assert!(job.backup().unwrap().name.as_ref().unwrap().ends_with(&format!(".{extension}")));
        test.assert_readable(&job);
    }
}

#[tokio::test]
async fn an_encrypted_backup_tells_nothing_of_its_tables_and_age_opens_it() {
    let test = TestApp::new();
    let path = test.folder().join("sample.db");
    sqlite::sample(&path);
    let identity = respaldo_core::seal::Identity::generate();
    let fields = json!({"name": "sealed", "engine": "sqlite", "database_name": path,
        "encryption": [identity.recipient().to_string()]});
    let database = test.register(fields).await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    assert!(job.backup().unwrap().fingerprint.is_none());
    let manifest = test.files().into_iter().find(|file| file.ends_with("manifest.json")).unwrap();
    let manifest = fs::read_to_string(test.backups().join(manifest)).unwrap();
    assert!(manifest.contains("BEGIN AGE ENCRYPTED FILE") && !manifest.contains("\"rows\""), "{manifest}");
    let key = test.folder().join("identity.txt");
    fs::write(&key, secrecy_text(&identity)).unwrap();
    let mut age = command("age");
    age.arg("--decrypt")
        .arg("--identity")
        .arg(&key)
        .arg(test.backups().join(job.backup().unwrap().name.as_ref().unwrap()));
    let sealed = test.folder().join("copy.db.gz");
    fs::write(&sealed, run(age, std::io::empty()).stdout).unwrap();
    let copy = test.folder().join("copy.db");
    gunzip(&sealed, &copy);
    assert_eq!(sqlite::dump(&copy), sqlite::dump(&path));
}

fn secrecy_text(identity: &respaldo_core::seal::Identity) -> String {
    use respaldo_core::ports::ExposeSecret;
    identity.to_secret_string().expose_secret().to_owned()
}

#[tokio::test]
async fn a_file_that_is_not_there_fails_with_the_mend() {
    let test = TestApp::new();
    let path = test.folder().join("absent.db");
    let database = test.register(json!({"name": "a", "engine": "sqlite", "database_name": path})).await;
    let job = test.back_up(&database).await;
    let error = error_of(&job);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("absent.db") && error.mend().is_some(), "{error}");
    assert!(!path.exists(), "a backup must not make the file it looks for");
    test.assert_promises().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_and_one_that_is_damaged_are_told_apart() {
    let test = TestApp::new();
    let text = test.folder().join("text.db");
    fs::write(&text, "not a database, but long enough to have a header of a hundred bytes. ".repeat(20))
        .unwrap();
    let database = test.register(json!({"name": "t", "engine": "sqlite", "database_name": text})).await;
    let job = test.back_up(&database).await;
    assert!(error_of(&job).message().contains("not a SQLite database"), "{:?}", job.error);

    let damaged = test.folder().join("damaged.db");
    sqlite::sample(&damaged);
    sqlite::open(&damaged).execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xAA);
    fs::write(&damaged, bytes).unwrap();
    let database = test.register(json!({"name": "d", "engine": "sqlite", "database_name": damaged})).await;
    let job = test.back_up(&database).await;
    assert_eq!(error_of(&job).kind(), ErrorKind::Corrupt, "{:?}", job.error);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_path_outside_the_roots_is_refused_also_behind_a_link() {
    let test = TestApp::new();
    let refuse = async |path: &str| {
        let fields = json!({"name": "x", "engine": "sqlite", "database_name": path});
        let serde_json::Value::Object(fields) = fields else { unreachable!() };
        let registration = databases::Registration { fields, ..Default::default() };
        databases::register(&test.app, registration).await.unwrap_err()
    };
    assert_eq!(refuse("/etc/passwd").await.field(), Some("database_name"));
    let climbing = format!("{}/../secret.db", test.folder().display());
    assert_eq!(refuse(&climbing).await.field(), Some("database_name"));

    let outside = tempfile::tempdir().unwrap();
    sqlite::sample(&outside.path().join("secret.db"));
    let link = test.folder().join("link.db");
    std::os::unix::fs::symlink(outside.path().join("secret.db"), &link).unwrap();
    let database = test.register(json!({"name": "l", "engine": "sqlite", "database_name": link})).await;
    let job = test.back_up(&database).await;
    assert_eq!(error_of(&job).field(), Some("database_name"));
}

#[tokio::test]
async fn awkward_file_names_are_backed_up_and_never_interpreted() {
    let test = TestApp::new();
    for name in
        ["-rf.db", "with space.db", "quote'\"s.db", "naïve–ñ 東京.db", "file:x?mode=memory.db", "a%20b.db"]
    {
        let path = test.folder().join(name);
        sqlite::sample(&path);
        let database = test.register(json!({"name": name, "engine": "sqlite", "database_name": path})).await;
        let job = test.back_up(&database).await;
        assert_eq!(job.status, Status::Succeeded, "{name}: {:?}", job.error);
        test.assert_readable(&job);
    }
    test.assert_promises().await;
}

#[tokio::test]
async fn a_deleted_backup_is_gone_with_its_files_and_only_its_own() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let (doomed, kept) = (test.back_up(&database).await, test.back_up(&database).await);
    assert!(backup::delete(&test.app, doomed.id).await.unwrap());
    assert!(test.catalog.job(doomed.id).await.unwrap().is_none());
    test.assert_readable(&kept);
    test.assert_promises().await;
}

#[tokio::test]
async fn a_backup_that_is_being_read_is_deleted_after_its_reader() {
    let test = TestApp::new();
    let database = test.register_sample().await;
    let job = test.back_up(&database).await;
    let download = backup::Download::open(&test.app, job.id).await.unwrap();
    assert!(!backup::delete(&test.app, job.id).await.unwrap(), "a reader was not waited for");
    test_stream(download, test.stored(&job)).await;
    assert!(
        backup::Download::open(&test.app, job.id).await.is_err(),
        "a backup that is being deleted was opened"
    );
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while test.catalog.job(job.id).await.unwrap().is_some() {
            respaldo_core::tick::tick(&test.app).await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a tick finishes the deletion");
    test.assert_promises().await;
}

async fn test_stream(download: backup::Download, expected: Vec<u8>) {
    use futures::TryStreamExt;
    let length = download.artifact().size_bytes;
    let bytes: Vec<bytes::Bytes> = download.stream(0..length).try_collect().await.unwrap();
    assert_eq!(bytes.concat(), expected);
}
