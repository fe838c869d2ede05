//! `respaldo restore` against a running server, as people call it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use respaldo_core::ports::ExposeSecret as _;
use respaldo_core::seal::Identity;
use respaldo_testkit::host::command;
use respaldo_testkit::respaldo::{Respaldo, failure};
use respaldo_testkit::sqlite;
use serde_json::{Value, json};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const CONFIG: &str = "databases: [{id: shop, name: shop, engine: sqlite, database_name: data/shop.db}]\n";

/// A server with a database that was backed up and then lost a table.
struct Scene {
    folder: TempDir,
    respaldo: Respaldo,
    backup: String,
    whole: String,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With keys: admin, restore and delete.
    async fn with(keys: &[(&str, &str)]) -> Self {
        Self::start(CONFIG, keys).await
    }

    async fn start(config: &str, keys: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let path = folder.path().join("data/shop.db");
        sqlite::sample(&path);
        let respaldo = Respaldo::new(BINARY, folder.path(), config);
        let respaldo = keys.iter().fold(respaldo, |respaldo, (name, key)| respaldo.env(name, key));
        let respaldo = respaldo.start().await;
        let request = respaldo.request(reqwest::Method::POST, "/backups").header("Prefer", "wait=60");
        let request = request.header("X-Admin-Key", "admin-key").json(&json!({"database_id": 1}));
        let backup: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(backup["status"], "succeeded", "{backup}");
        let scene = Self {
            backup: backup["id"].as_str().unwrap().to_owned(),
            whole: sqlite::dump(&path),
            folder,
            respaldo,
        };
        sqlite::open(&scene.path()).execute_batch("CREATE TABLE lost (id)").unwrap();
        assert_ne!(scene.dump(), scene.whole);
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/shop.db")
    }

    fn dump(&self) -> String {
        sqlite::dump(&self.path())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(BINARY);
        command.args(arguments).env("RESPALDO_URL", self.respaldo.url(""));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Said {
        Said::of(self.command(arguments).output().unwrap())
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.dump();
    let said = scene.run(&["restore", &scene.backup, "--dry-run"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for part in
        [scene.backup.as_str(), "data/shop.db", "mode      swap", "step 1", "a restore of the safety backup"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let plan = scene.run(&["restore", &scene.backup, "--dry-run", "--json"]).json();
    assert_eq!(plan["possible"], json!(true));
    let said = scene.run(&["restore", &scene.backup, "--dry-run", "--mode", "in-place", "--tables", "a,b"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("in the way: ") && said.out.contains("to mend it: "), "{said:?}");
    assert_eq!(scene.dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_and_without_yes_nothing_is_done() {
    let scene = Scene::new().await;
    let before = scene.dump();
    let said = scene.run(&["restore", &scene.backup]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("--yes") && said.err.contains("nothing was done"), "{said:?}");
    assert_eq!(scene.dump(), before);
    let (_, jobs) = scene.respaldo.read("/jobs").await;
    assert_eq!(jobs.as_array().unwrap().len(), 1, "{jobs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_followed_to_its_end_undone_and_confirmed() {
    let scene = Scene::new().await;
    let changed = scene.dump();
    let said = scene.run(&["restore", &scene.backup, "--yes"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(scene.dump(), scene.whole);
    assert!(said.err.contains("info  loading"), "its log is shown: {said:?}");
    assert!(said.out.contains("Restored: backup"), "{said:?}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let undo = said.out.lines().find(|line| line.contains("--undo")).expect("what undoes it");
    let job = words(undo)[3].clone();

    let asked = scene.run(&["restore", "--undo", &job]);
    assert_eq!(asked.code, Some(2), "{asked:?}");
    assert!(asked.err.contains("by restoring safety backup"), "{asked:?}");
    let undone = scene.run(&["restore", "--undo", &job, "--yes", "--json"]);
    assert_eq!(undone.code, Some(0), "{undone:?}");
    assert_eq!(undone.json()["result"]["of"], json!(job));
    assert_eq!(scene.dump(), changed);

    let confirmed = scene.run(&["restore", "--confirm", &job, "--yes"]);
    assert_eq!(confirmed.code, Some(0), "{confirmed:?}");
    assert!(confirmed.out.starts_with(&format!("Confirmed: restore {job}")), "{confirmed:?}");
    let again = scene.run(&["restore", "--undo", &job, "--yes"]);
    assert_eq!(again.code, Some(6), "{again:?}");
    assert!(again.err.contains("was undone by"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_ends_with_1_and_says_why_and_what_to_do() {
    let scene = Scene::new().await;
    let stored = scene.folder.path().join("data/backups/backups");
    let mut damaged = 0;
    for file in files(&stored).iter().filter(|file| file.extension().is_some_and(|end| end == "gz")) {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
        damaged += 1;
    }
    assert_eq!(damaged, 1, "{:?}", files(&stored));
    let before = scene.dump();
    let said = scene.run(&["restore", &scene.backup, "--yes", "--no-safety-backup", "--force"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("is failed: ") && said.err.contains("to mend it: "), "{said:?}");
    assert!(said.out.is_empty(), "{said:?}");
    assert_eq!(scene.dump(), before);
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_wait_is_told_the_job_and_a_copy_goes_to_another_name() {
    let scene = Scene::new().await;
    let changed = scene.dump();
    let arguments = ["restore", &scene.backup, "--to-name", "data/copy.db", "--yes", "--detach", "--json"];
    let job = scene.run(&arguments).json();
    let id = job["id"].as_str().unwrap();
    let path = format!("/jobs/{id}");
    let begun = tokio::time::Instant::now();
    while scene.respaldo.read(&path).await.1["status"] != "succeeded" {
        assert!(begun.elapsed().as_secs() < 30, "{:?}", scene.respaldo.read(&path).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(sqlite::dump(&scene.folder.path().join("data/copy.db")), scene.whole);
    assert_eq!(scene.dump(), changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_restore_key_is_enough_and_comes_from_the_environment_alone() {
    let keys = [
        ("ADMIN_API_KEY", "admin-key"),
        ("BACKUP_RESTORE_API_KEY", "restore-key"),
        ("BACKUP_DELETE_API_KEY", "delete-key"),
    ];
    let scene = Scene::with(&keys).await;
    let run = |key: &str, more: &[&str]| {
        let arguments = [&["restore", scene.backup.as_str(), "--yes"], more].concat();
        Said::of(scene.command(&arguments).env("RESPALDO_KEY", key).output().unwrap())
    };
    for key in ["", "admin-key", "wrong-key"] {
        let said = run(key, &[]);
        assert_eq!(said.code, Some(4), "{said:?}");
        assert!(said.err.contains("RESPALDO_KEY"), "{said:?}");
        assert!(key.is_empty() || !said.err.contains(key), "{said:?}");
    }
    let said = run("", &["--key", "restore-key"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.err.contains("does not belong") && !said.err.contains("restore-key"), "{said:?}");
    assert_ne!(scene.dump(), scene.whole);
    let said = run("restore-key", &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("info  loading"), "{said:?}");
    assert_eq!(scene.dump(), scene.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_asks_and_only_yes_is_yes() {
    let scene = Scene::new().await;
    let before = scene.dump();
    let ask = |answer: &str| {
        // `script` gives it a terminal.
        let mut command = command("script");
        let line = format!("{BINARY} restore {}", scene.backup);
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env("RESPALDO_URL", scene.respaldo.url(""));
        Said::of(run_with_input(command, answer))
    };
    for no in ["n\n", "\n", "maybe\n"] {
        let said = ask(no);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("[y/N]") && said.out.contains("nothing was done"), "{said:?}");
        assert_eq!(scene.dump(), before);
    }
    let said = ask("y\n");
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("Restored: backup"), "{said:?}");
    assert_eq!(scene.dump(), scene.whole);
}

fn run_with_input(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_backup_is_restored_where_the_identity_is_and_refused_elsewhere() {
    let identity = Identity::generate();
    let encrypted = format!("encryption: {{recipients: [{}]}}\n{CONFIG}", identity.recipient());
    let mut scene = Scene::start(&encrypted, &[]).await;
    let refused = scene.run(&["restore", &scene.backup, "--dry-run"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.out.contains("RESPALDO_IDENTITY"), "{refused:?}");

    let file = scene.folder.path().join("identity.txt");
    fs::write(&file, identity.to_secret_string().expose_secret()).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let with_file = encrypted.replace("encryption: {", "encryption: {identity_file: identity.txt, ");
    fs::write(scene.folder.path().join("config.yaml"), with_file).unwrap();
    assert!(scene.respaldo.terminate());
    let (code, said) = failure(scene.respaldo.command());
    assert!(code == 1 && said.contains("chmod 600 identity.txt"), "{code}: {said}");

    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    scene.respaldo.restart().await;
    let restored = scene.run(&["restore", &scene.backup, "--yes"]);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(scene.dump(), scene.whole);
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let run = |arguments: &[&str], url: &str| {
        let mut command = command(BINARY);
        Said::of(command.args(arguments).env("RESPALDO_URL", url).stdin(Stdio::null()).output().unwrap())
    };
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let nowhere = "http://127.0.0.1:1";
    for arguments in [
        &["restore"][..],
        &["restore", "../etc"],
        &["restore", id, "--undo", id],
        &["restore", "--undo", id, "--mode", "swap"],
        &["restore", id, "--to-name", "x", "--to-database", "1"],
        &["restore", id, "--mode", "swop"],
        &["verify"],
    ] {
        let said = run(arguments, nowhere);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
    }
    let said = run(&["restore", id, "--yes"], nowhere);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains(nowhere) && said.err.contains("is the server running there?"), "{said:?}");
    let said = run(&["restore", id, "--yes"], "http://u:hunter2@127.0.0.1:1");
    assert!(said.code == Some(2) && !said.err.contains("hunter2"), "{said:?}");
}
