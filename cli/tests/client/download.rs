//! Downloads: from the server, and from simulated ones that break off, lie, or lead elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use respaldo_core::seal::Digester;
use respaldo_testkit::host::command;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fake::{Fake, Reply, Request};
use crate::support::{NOBODY, Said, Scene, cli};

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_arrives_whole_under_its_own_name_and_is_not_overwritten() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let [id, name] = ["id", "name"].map(|field| backup[field].as_str().unwrap());
    let stored = fs::read(&scene.artifacts()[0]).unwrap();
    let said = scene.done(&["backups", "download", id]);
    assert!(said.out.starts_with(&format!("{name}: ")), "{said:?}");
    assert!(said.out.contains(backup["sha256"].as_str().unwrap()), "{said:?}");
    let file = scene.folder.path().join(name);
    assert_eq!(fs::read(&file).unwrap(), stored);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    fs::write(&file, "mine").unwrap();
    let said = scene.run(&["backups", "download", id]);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains("is there already") && said.err.contains("--force"), "{said:?}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(scene.done(&["backups", "download", id, "--force", "--json"]).json(), backup);
    assert_eq!(fs::read(&file).unwrap(), stored);

    fs::create_dir(scene.folder.path().join("there")).unwrap();
    scene.done(&["backups", "download", id, "-o", "there"]);
    assert_eq!(fs::read(scene.folder.path().join("there").join(name)).unwrap(), stored);
    scene.done(&["backups", "download", id, "--output", "there/copy.gz"]);
    assert_eq!(fs::read(scene.folder.path().join("there/copy.gz")).unwrap(), stored);
    let piped = scene.command(&["backups", "download", id, "-o", "-"]).output().unwrap();
    assert_eq!(piped.stdout, stored);
    assert_eq!(parts(scene.folder.path()), 0, "no half file is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_run_left_is_gone_on_with_and_junk_is_found_out() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let [id, name, sha256] = ["id", "name", "sha256"].map(|field| backup[field].as_str().unwrap());
    let stored = fs::read(&scene.artifacts()[0]).unwrap();
    let part = scene.folder.path().join(format!("{name}.{}.part", &sha256[..12]));
    let file = scene.folder.path().join(name);
    let longer = [&stored[..], b"more"].concat();
    let junk = vec![7; stored.len() / 2];
    for left in [&stored[..stored.len() / 2], &stored[..], &junk[..], &longer[..], &[]] {
        fs::write(&part, left).unwrap();
        scene.done(&["backups", "download", id, "--force"]);
        assert_eq!(fs::read(&file).unwrap(), stored, "after {} bytes", left.len());
        assert!(!part.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_without_an_artifact_has_nothing_to_download() {
    let scene = Scene::new().await;
    fs::write(scene.folder.path().join("data/notes.db"), "no database at all, but long enough").unwrap();
    let failed = scene.run(&["backup", "notes", "--json", "--quiet"]).json();
    let said = scene.run(&["backups", "download", failed["id"].as_str().unwrap()]);
    assert_eq!(said.code, Some(6), "{said:?}");
    assert!(said.err.contains("is failed and has nothing to download"), "{said:?}");
    assert_eq!(scene.run(&["backups", "download", NOBODY]).code, Some(5));
}

/// Bytes that a simulated server has.
fn bytes() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn record(name: &str) -> Value {
    let bytes = bytes();
    let mut digester = Digester::new();
    digester.update(&bytes);
    json!({"id": NOBODY, "name": name, "status": "succeeded", "size_bytes": bytes.len(),
        "sha256": digester.finish().sha256_hex()})
}

/// A server with one backup, whose bytes are answered as told.
fn serving(name: &'static str, file: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Fake {
    Fake::start(move |request: &Request| {
        if request.target.ends_with("/download") { file(request) } else { Reply::json(200, &record(name)) }
    })
}

/// Bytes from the offset that is asked for, and the offset.
fn asked(request: &Request) -> usize {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    range.map_or(0, |from| from.parse().unwrap())
}

fn download(fake: &Fake, folder: &Path, more: &[&str]) -> Said {
    let arguments = [&["backups", "download", NOBODY], more].concat();
    Said::of(cli(&arguments).env("RESPALDO_URL", fake.url()).current_dir(folder).output().unwrap())
}

fn parts(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".part")).count()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Answers a quarter of what is missing at a time.
fn in_pieces(request: &Request) -> Reply {
    let (all, from) = (bytes(), asked(request));
    let piece = all[from..(from + 400_000).min(all.len())].to_vec();
    let head = match from {
        0 => "200 OK".to_owned(),
        from => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", all.len() - 1, all.len()),
    };
    Reply::Half(head, piece, all.len() - from)
}

#[test]
fn a_connection_that_breaks_is_gone_on_with_where_it_broke() {
    let (fake, folder) = (serving("a.db.gz", in_pieces), folder());
    let said = download(&fake, folder.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
    let ranges: Vec<usize> = fake.seen()[1..].iter().map(asked).collect();
    assert_eq!(ranges, [0, 400_000, 800_000]);
    let etag = format!("\"{}\"", record("x")["sha256"].as_str().unwrap());
    assert_eq!(fake.seen()[2].header("if-range"), Some(etag.as_str()));
    let piped = download_to_pipe(&fake);
    assert_eq!(piped, bytes(), "standard output too");
}

fn download_to_pipe(fake: &Fake) -> Vec<u8> {
    let mut command = cli(&["backups", "download", NOBODY, "-o", "-"]);
    command.env("RESPALDO_URL", fake.url()).output().unwrap().stdout
}

#[test]
fn a_connection_that_brings_nothing_more_is_3_and_the_next_run_goes_on() {
    let broken = serving("a.db.gz", |request| match asked(request) {
        0 => Reply::Half("200 OK".to_owned(), bytes()[..500_000].to_vec(), bytes().len()),
        _ => Reply::Whole("503 X".to_owned(), Vec::new()),
    });
    let folder = folder();
    let said = download(&broken, folder.path(), &[]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("the same command goes on"), "{said:?}");
    assert!(!folder.path().join("a.db.gz").exists(), "no half file has the final name");
    assert_eq!(parts(folder.path()), 1);
    let mended = serving("a.db.gz", in_pieces);
    assert_eq!(download(&mended, folder.path(), &[]).code, Some(0));
    assert_eq!(asked(&mended.seen()[1]), 500_000);
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
    assert_eq!(parts(folder.path()), 0);
}

#[test]
fn bytes_that_are_not_what_was_stored_are_1_and_not_kept() {
    let mut wrong = bytes();
    wrong[77] ^= 1;
    let longer = [bytes(), vec![0]].concat();
    for body in [wrong, longer] {
        let fake = serving("a.db.gz", move |_| Reply::Whole("200 OK".to_owned(), body.clone()));
        let folder = folder();
        let said = download(&fake, folder.path(), &[]);
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(!folder.path().join("a.db.gz").exists(), "{said:?}");
        let left: u64 =
            fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(left, 0, "nothing that is wrong is gone on with");
    }
}

#[test]
fn a_server_that_answers_another_range_is_not_believed() {
    let fake = serving("a.db.gz", |request| match asked(request) {
        0 => Reply::Half("200 OK".to_owned(), bytes()[..500_000].to_vec(), bytes().len()),
        from => Reply::Whole(
            format!(
                "206 Partial Content\r\nContent-Range: bytes 0-{}/{}",
                bytes().len() - from - 1,
                bytes().len()
            ),
            bytes()[..bytes().len() - from].to_vec(),
        ),
    });
    let folder = folder();
    assert_eq!(download(&fake, folder.path(), &[]).code, Some(3));
    assert!(!folder.path().join("a.db.gz").exists());
}

#[test]
fn a_server_that_cannot_go_on_begins_anew() {
    let tries = AtomicU32::new(0);
    let fake = serving("a.db.gz", move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Half("200 OK".to_owned(), bytes()[..500_000].to_vec(), bytes().len()),
        _ => Reply::Whole("200 OK".to_owned(), bytes()),
    });
    let folder = folder();
    assert_eq!(download(&fake, folder.path(), &[]).code, Some(0));
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
}

#[test]
fn a_server_s_name_for_a_file_stays_in_the_folder() {
    for name in ["../escaped", "/tmp/escaped", "-rf", ".bashrc", "a\u{1b}[2Jb"] {
        let fake = serving(name, |_| Reply::Whole("200 OK".to_owned(), bytes()));
        let folder = folder();
        let said = download(&fake, folder.path(), &[]);
        assert_eq!(said.code, Some(2), "{name:?}: {said:?}");
        assert!(said.err.contains("--output FILE"), "{said:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name:?}");
        assert_eq!(download(&fake, folder.path(), &["-o", "mine"]).code, Some(0));
    }
}

#[test]
fn a_link_that_lies_where_the_part_should_be_is_not_followed() {
    let fake = serving("a.db.gz", |_| Reply::Whole("200 OK".to_owned(), bytes()));
    let folder = folder();
    let victim = folder.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let part = format!("a.db.gz.{}.part", &record("x")["sha256"].as_str().unwrap()[..12]);
    std::os::unix::fs::symlink(&victim, folder.path().join(part)).unwrap();
    assert_eq!(download(&fake, folder.path(), &[]).code, Some(1));
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
}

#[test]
fn an_address_in_place_of_the_file_is_followed_without_the_key() {
    let store = Fake::start(in_pieces);
    let url = format!("{}/bucket/a?signature=x", store.url());
    let fake = serving("a.db.gz", move |_| Reply::json(200, &json!({"url": url, "expires_at": "x"})));
    let folder = folder();
    let mut command = cli(&["backups", "download", NOBODY]);
    command.env("RESPALDO_URL", fake.url()).env("RESPALDO_KEY", "k-e-y").current_dir(folder.path());
    let said = Said::of(command.output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
    assert!(fake.seen().iter().all(|request| request.header("authorization").is_some()));
    assert!(
        store.seen().len() > 1
            && store.seen().iter().all(|request| request.header("authorization").is_none())
    );
    assert!(!said.out.contains("signature") && !said.err.contains("signature"), "{said:?}");
}

#[test]
fn a_file_in_several_parts_is_put_together_and_gone_on_with_in_the_middle_of_one() {
    let at = 700_000;
    let store = Fake::start(move |request| {
        let (all, from) = (bytes(), asked(request));
        let part = if request.target.starts_with("/bucket/1") { &all[..at] } else { &all[at..] };
        let piece = part[from..(from + 400_000).min(part.len())].to_vec();
        let head = match from {
            0 => "200 OK".to_owned(),
            from => format!(
                "206 Partial Content\r\nContent-Range: bytes {from}-{}/{}",
                part.len() - 1,
                part.len()
            ),
        };
        Reply::Half(head, piece, part.len() - from)
    });
    let address = |part: u32| format!("{}/bucket/{part}?signature=x", store.url());
    let parts_told =
        json!([{"url": address(1), "size_bytes": at}, {"url": address(2), "size_bytes": bytes().len() - at}]);
    let fake =
        serving("a.db.gz", move |_| Reply::json(200, &json!({"parts": parts_told, "expires_at": "x"})));
    let folder = folder();
    let said = download(&fake, folder.path(), &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
    let seen: Vec<(bool, usize)> = store
        .seen()
        .iter()
        .map(|request| (request.target.starts_with("/bucket/1"), asked(request)))
        .collect();
    assert_eq!(seen, [(true, 0), (true, 400_000), (false, 0), (false, 400_000)]);
}

#[test]
fn a_part_that_is_not_gone_on_with_in_its_middle_is_never_taken_for_the_file() {
    let tries = AtomicU32::new(0);
    let at = 700_000;
    let store = Fake::start(move |request| {
        let all = bytes();
        if request.target.starts_with("/bucket/1") {
            return Reply::Whole("200 OK".to_owned(), all[..at].to_vec());
        }
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Half("200 OK".to_owned(), all[at..at + 100_000].to_vec(), all.len() - at),
            _ => Reply::Whole("200 OK".to_owned(), all[at..].to_vec()),
        }
    });
    let address = |part: u32| format!("{}/bucket/{part}", store.url());
    let told =
        json!([{"url": address(1), "size_bytes": at}, {"url": address(2), "size_bytes": bytes().len() - at}]);
    let fake = serving("a.db.gz", move |_| Reply::json(200, &json!({"parts": told})));
    let folder = folder();
    assert_eq!(download(&fake, folder.path(), &[]).code, Some(0));
    assert_eq!(fs::read(folder.path().join("a.db.gz")).unwrap(), bytes());
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_under_the_final_name() {
    let fake = serving("a.db.gz", |_| Reply::Whole("200 OK".to_owned(), bytes()));
    let folder = folder();
    let mut command = command("bash");
    let line = format!("ulimit -f 400; trap '' XFSZ; {} backups download {NOBODY}", crate::support::BINARY);
    command.args(["-c", &line]).env("RESPALDO_URL", fake.url()).current_dir(folder.path());
    let said = Said::of(command.output().unwrap());
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("cannot be written"), "{said:?}");
    assert!(!folder.path().join("a.db.gz").exists());
}
