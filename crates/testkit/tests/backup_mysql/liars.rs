//! What lies, hangs or dies makes no backup, and no secret gets out.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use respaldo_core::backup;
use respaldo_core::jobs::{Ran, Worker};
use respaldo_core::model::{Database, Job, Status};
use respaldo_core::{ErrorKind, jobs};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::eventually;
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::json;

use crate::support::{error_of, probe, register};

/// A database of which the dumping tool is simulated while the asking client is real.
async fn with_fake_dump(behaviour: Behaviour, stall: SignedDuration) -> (TestApp, Database, Toolbox) {
    let server = Mysql::shared();
    let name = server.fresh_database("fake");
    let tools = Toolbox::new();
    let version = "mariadb-dump  Ver 10.19 Distrib 10.11.99-MariaDB, for simulation (x86_64)";
    tools.add(&FakeTool::new("mariadb-dump").version(version).behaviour(behaviour));
    std::os::unix::fs::symlink(server.bin_dir().join("mariadb"), tools.path().join("mariadb")).unwrap();
    let test = TestApp::with(|limits| limits.stall = stall).with_tools(tools.path());
    let database = register(&test, server, &name, json!({})).await;
    (test, database, tools)
}

fn sample_dump(folder: &Path) -> PathBuf {
    let server = Mysql::shared();
    let name = server.fresh_database("forged");
    server.sample_schema(&name);
    let path = folder.join("dump.sql");
    fs::write(&path, server.dump(&name, &[])).unwrap();
    path
}

#[tokio::test]
async fn tools_that_lie_or_die_never_make_a_backup_and_see_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    let stderr = "mariadb-dump: Error 1412: Table definition has changed, please retry transaction when dumping table `t` at row: 0".to_owned();
    let cases = [
        (Behaviour::PrintsHalf(file.clone()), ErrorKind::Incomplete),
        (
            Behaviour::PrintsThenFails { file: file.clone(), stderr: stderr.clone(), code: 1 },
            ErrorKind::Conflict,
        ),
        (Behaviour::Fails { stderr, code: 3 }, ErrorKind::Conflict),
        (Behaviour::DiesAfter { file: file.clone(), bytes: 100_000 }, ErrorKind::Internal),
        (Behaviour::Script("exit 0".to_owned()), ErrorKind::Incomplete),
    ];
    for (behaviour, kind) in cases {
        let shown = format!("{behaviour:?}");
        let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_mins(1)).await;
        let job = test.back_up(&database).await;
        assert_eq!(error_of(&job).kind(), kind, "{shown}");
        assert!(job.backup().unwrap().artifact.is_none(), "{shown}");
        let calls = tools.calls("mariadb-dump");
        assert!(!calls.is_empty(), "{shown}");
        for call in calls {
            assert!(!call.shows(Mysql::shared().password()), "{shown}: {call:?}");
        }
        test.assert_promises().await;
    }
    let (test, database, _tools) =
        with_fake_dump(Behaviour::Prints(file), SignedDuration::from_mins(1)).await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Succeeded, "the same tool, honest: {:?}", job.error);
}

#[tokio::test]
async fn a_tool_that_gives_no_byte_for_too_long_is_killed_with_its_children_and_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = sample_dump(folder.path());
    let behaviour = Behaviour::HangsAfter { file, bytes: 100_000 };
    let (test, database, tools) = with_fake_dump(behaviour, SignedDuration::from_secs(2)).await;
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    assert_eq!(test.run(job.id).await.unwrap(), Ran::Queued);
    let error = test.job(job.id).await.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.message().contains("no byte came for"), "{error}");
    for call in tools.calls("mariadb-dump") {
        eventually("the tool is dead", Duration::from_secs(10), || {
            !respaldo_testkit::host::is_alive(call.pid)
        });
    }
    assert!(test.run_to_end(job.id).await.backup().unwrap().artifact.is_none());
    test.assert_promises().await;
}

fn fill(server: &Mysql, database: &str, mebibytes: usize) {
    server.sql(
        database,
        "CREATE TABLE big (n int, filler text); INSERT INTO big WITH RECURSIVE i (n) AS (SELECT 1 UNION ALL \
         SELECT n + 1 FROM i WHERE n < 1000) SELECT n, REPEAT(MD5(n), 32) FROM i",
    );
    let mut size = 1;
    while size < mebibytes {
        server.sql(database, "INSERT INTO big SELECT n, CONCAT(MD5(RAND()), filler) FROM big");
        size *= 2;
    }
}

/// Waits until part of the artifact lies in storage.
fn await_bytes(test: &TestApp) {
    eventually("bytes have been stored", Duration::from_mins(1), || {
        let files = test.files();
        let artifact = files.iter().find(|file| file.ends_with(".sql"));
        artifact.is_some_and(|file| {
            fs::metadata(test.backups().join(file)).is_ok_and(|metadata| metadata.len() > 1 << 20)
        })
    });
}

async fn in_the_middle(test: &Arc<TestApp>, database: &Database, deed: impl FnOnce(&Job)) -> (Job, Ran) {
    let job = backup::request(&test.app, database.id, None).await.unwrap();
    let (app, id) = (test.app.clone(), job.id);
    let running = tokio::spawn(async move { backup::run(&app, id, &Worker::new("test")).await });
    let watched = Arc::clone(test);
    tokio::task::spawn_blocking(move || await_bytes(&watched)).await.unwrap();
    deed(&job);
    let ran = tokio::time::timeout(Duration::from_mins(1), running).await.expect("the run ends");
    (test.job(job.id).await, ran.unwrap().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_cancelled_or_whose_server_is_killed_in_the_middle_leaves_nothing() {
    let test = Arc::new(TestApp::new());
    let server = Mysql::start();
    server.create_database("big");
    fill(&server, "big", 128);
    let database = register(&test, &server, "big", json!({"compression": "none"})).await;
    let (job, ran) = in_the_middle(&test, &database, |job| {
        // So that the dump does not end before the wish is noticed.
        server.freeze();
        let (app, id) = (test.app.clone(), job.id);
        tokio::spawn(async move { jobs::cancel(&app, id).await.unwrap() });
    })
    .await;
    assert_eq!((ran, job.status), (Ran::Ended, Status::Cancelled));
    server.thaw();
    test.assert_promises().await;
    // Nothing of ours is left at the server either.
    eventually("mariadb-dump has left the server", Duration::from_secs(10), || {
        server.sql("mysql", "SELECT COUNT(*) FROM information_schema.processlist WHERE db = 'big'") == "0"
    });

    let (job, ran) = in_the_middle(&test, &database, |_| server.kill()).await;
    assert_eq!(ran, Ran::Queued, "{:?}", job.error);
    let error = job.error.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let job = test.run_to_end(job.id).await;
    assert_eq!(error_of(&job).kind(), ErrorKind::Unavailable);
    test.assert_promises().await;
}

#[tokio::test]
async fn the_password_is_found_nowhere_that_others_can_read() {
    let (test, server) = (TestApp::new(), Mysql::shared());
    let name = server.fresh_database("secret");
    let database = register(&test, server, &name, json!({})).await;
    test.back_up(&database).await;
    probe(&test, &database).await.unwrap();
    let password = server.password().as_bytes();
    let mut folders = vec![test.folder().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(password.len()).any(|window| window == password);
            assert!(!found, "{} holds the password", path.display());
        }
    }
    assert!(files >= 4, "catalog, artifact, manifest and definition were read");
}
