//! What only local disk has: its room, and a file system that makes no hard links (simulated: the refusal
//! of `link(2)` is injected, all else is a real disk).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io;
use std::path::Path;

use opendal::Operator;
use opendal::services::{Fs, Memory};
use respaldo_core::model::{Job, Status};
use respaldo_core::ports::Event;
use respaldo_core::storage::{MakeLink, Storage};
use respaldo_core::{Error, ErrorKind, backup, keys};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host;

const EPERM: i32 = 1;
const EIO: i32 = 5;
const EMLINK: i32 = 31;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

fn refuse<const ERRNO: i32>(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(ERRNO))
}

fn storage(root: &Path, links: MakeLink) -> Storage {
    let operator = Operator::new(Fs::default().root(&root.to_string_lossy())).unwrap();
    Storage::on_local_disk(operator, root.to_owned()).with_links_by(links)
}

fn usual(root: &Path) -> Storage {
    storage(root, |file, name| std::fs::hard_link(file, name))
}

fn refusals(test: &TestApp) -> Vec<Error> {
    let events = test.events.all().into_iter();
    let refused = events.filter_map(|event| match event {
        Event::StorageRefused(error) => Some(error),
        _ => None,
    });
    refused.collect()
}

/// The files below a folder, by path from it.
fn files(root: &Path, folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(root, &path));
        } else {
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}

/// What a backup has where there are no links: its artifact and its manifest.
fn stored(job: &Job) -> Vec<String> {
    let artifact = job.backup().unwrap().artifact.as_ref().unwrap();
    let manifest = keys::manifest(job.owner().unwrap().uid, job.id, artifact.attempt);
    artifact.volumes.iter().map(|volume| volume.key.clone()).chain([manifest]).collect()
}

#[tokio::test]
async fn without_hard_links_backups_succeed_under_their_keys_and_that_is_told_once() {
    let refusing: [MakeLink; 4] = [refuse::<EPERM>, refuse::<EOPNOTSUPP>, refuse::<ENOSYS>, refuse::<EMLINK>];
    for links in refusing {
        let folder = tempfile::tempdir().unwrap();
        let test = TestApp::on(storage(folder.path(), links), |_| {});
        let database = test.register_sample().await;
        let (kept, doomed) = (test.back_up(&database).await, test.back_up(&database).await);
        let mut expected = vec![keys::definition(database.uid)];
        for job in [&kept, &doomed] {
            assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
            expected.extend(stored(job));
        }
        expected.sort();
        assert_eq!(files(folder.path(), folder.path()), expected, "no link, and no copy in its place");
        let artifact = kept.backup().unwrap().artifact.as_ref().unwrap();
        let bytes = std::fs::read(folder.path().join(&artifact.volumes[0].key)).unwrap();
        let mut digester = respaldo_core::seal::Digester::new();
        digester.update(&bytes);
        assert_eq!(digester.finish().sha256_hex(), artifact.sha256);

        let refusals = refusals(&test);
        assert_eq!(refusals.len(), 1, "{refusals:?}");
        assert_eq!(refusals[0].kind(), ErrorKind::Storage);
        assert!(refusals[0].message().contains("hard links"), "{}", refusals[0]);
        assert!(refusals[0].mend().unwrap().contains("nothing is lost"), "{}", refusals[0]);

        assert!(backup::delete(&test.app, doomed.id).await.unwrap());
        expected.retain(|key| !stored(&doomed).contains(key));
        assert_eq!(files(folder.path(), folder.path()), expected);
    }
}

#[tokio::test]
async fn a_disk_that_fails_at_the_link_is_no_file_system_without_links() {
    let folder = tempfile::tempdir().unwrap();
    let test = TestApp::on(storage(folder.path(), refuse::<EIO>), |_| {});
    let database = test.register_sample().await;
    let job = test.back_up(&database).await;
    assert_eq!(job.status, Status::Failed);
    assert!(refusals(&test).is_empty());
    assert_eq!(files(folder.path(), folder.path()), [keys::definition(database.uid)]);
}

#[tokio::test]
async fn the_room_is_what_df_says() {
    let folder = tempfile::tempdir().unwrap();
    let space = usual(folder.path()).space().await.unwrap().unwrap();
    let df = host::command("df").args(["-B1", "--output=size"]).arg(folder.path()).output().unwrap();
    let size = String::from_utf8(df.stdout).unwrap();
    assert_eq!(size.lines().nth(1).map(str::trim), Some(space.total_bytes.to_string().as_str()));
    assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
}

#[tokio::test]
async fn a_store_without_bounds_has_no_room_to_tell() {
    let memory = Storage::new(Operator::new(Memory::default()).unwrap(), "memory://");
    assert_eq!(memory.space().await.unwrap(), None);
}

#[tokio::test]
async fn a_folder_that_is_gone_has_no_room_and_is_told_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("gone");
    let storage = usual(&root);
    std::fs::remove_dir(&root).unwrap();
    let error = storage.space().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.message().contains("/gone"), "{error}");
}
