//! A MongoDB archive in a package. The server is simulated, and so is `mongorestore`: it keeps what the guide's
//! command gives it, and our own reader says whether that is the archive that was dumped.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use respaldo_core::engine::mongodb::archive::ArchiveObserver;
use respaldo_core::engine::observe::Observer as _;
use respaldo_core::model::{PackageFormat, Status};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;
use serde_json::json;

use crate::support::{archive, good, request};

#[tokio::test]
async fn the_guide_s_command_gives_a_simulated_mongorestore_the_archive_that_was_dumped() {
    let test = TestApp::new();
    let none = test.folder().join("no-tools");
    let (test, server) = (test.with_tools(none), NotMongod::start());
    Museum::default().fill(&server, "museum");
    let database = test
        .register(json!({
            "name": "museum", "engine": "mongodb", "host": "127.0.0.1", "port": server.port(),
            "database_name": "museum", "compression": "zstd", "package": true,
        }))
        .await;
    let backup = test.back_up(&database).await;
    assert_eq!(backup.status, Status::Succeeded, "{:?}", backup.error);
    let job = good(&test, &request(PackageFormat::TarGz)).await;

    let folder = tempfile::tempdir().unwrap();
    let tool = folder.path().join("mongorestore");
    fs::write(&tool, "#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments\ncat > restored.archive\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut tar = command("tar");
    tar.arg("-xzf").arg(archive(&test, &job)).current_dir(folder.path());
    run(tar, std::io::empty());
    let guide = fs::read_to_string(folder.path().join("RESTORE.md")).unwrap();
    let script: String =
        guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let mut bash = command("bash");
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", folder.path().display());
    bash.args(["-c", &script]).current_dir(folder.path()).env("PATH", path);
    bash.env("MONGODB_URI", "mongodb://127.0.0.1:1/");
    run(bash, std::io::empty());

    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert_eq!(arguments, "--uri=mongodb://127.0.0.1:1/\n--archive\n");
    let restored = fs::read(folder.path().join("restored.archive")).unwrap();
    let mut observer = ArchiveObserver::new();
    observer.feed(&restored).unwrap();
    let observed = Box::new(observer).finish().unwrap();
    assert_eq!(Some(&observed.fingerprint), backup.backup().unwrap().fingerprint.as_ref());
}
