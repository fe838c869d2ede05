//! Keys: where they come from, where they are shown, and where they never are.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use respaldo_testkit::host::eventually;
use serde_json::json;

use crate::fake::{Fake, Reply, Request};
use crate::support::{NOBODY, Said, Scene, cli};

const KEYS: [(&str, &str); 3] = [
    ("ADMIN_API_KEY", "admin-key"),
    ("BACKUP_RESTORE_API_KEY", "restore-key"),
    ("BACKUP_DELETE_API_KEY", "delete-key"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_takes_the_key_of_its_scope_and_another_is_4() {
    let scene = Scene::with(&KEYS).await;
    let run = |key: &str, arguments: &[&str]| {
        Said::of(scene.command(arguments).env("RESPALDO_KEY", key).output().unwrap())
    };
    let backup = run("admin-key", &["backup", "shop", "--json", "--quiet"]).json();
    let id = backup["id"].as_str().unwrap();
    for (key, arguments) in [
        ("admin-key", &["databases"][..]),
        ("admin-key", &["backups"]),
        ("admin-key", &["jobs"]),
        ("admin-key", &["retention"]),
        ("admin-key", &["databases", "test", "shop"]),
        ("admin-key", &["backups", "download", id]),
        ("restore-key", &["restore", id, "--dry-run"]),
        ("restore-key", &["jobs", "show", id]),
        ("delete-key", &["retention", "apply", "--database", "1", "--yes"]),
    ] {
        for wrong in ["", "no-key", "admin-key", "restore-key", "delete-key"] {
            // Whoever may look at everything may look at a job too.
            if wrong == key || (arguments[0] == "jobs" && wrong == "admin-key") {
                continue;
            }
            let said = run(wrong, arguments);
            assert_eq!((said.code, said.out.as_str()), (Some(4), ""), "{wrong} {arguments:?}: {said:?}");
            assert!(
                said.err.contains("RESPALDO_KEY") && (wrong.is_empty() || !said.err.contains(wrong)),
                "{said:?}"
            );
        }
        let said = run(key, arguments);
        assert_eq!(said.code, Some(0), "{key} {arguments:?}: {said:?}");
    }
    let asked = run("delete-key", &["backups", "remove", id]);
    assert!(asked.code == Some(2) && asked.err.contains("not look at it"), "{asked:?}");
    assert_eq!(run("delete-key", &["backups", "remove", id, "--yes", "--json"]).json(), json!([{"id": id}]));
    let removed = run("delete-key", &["databases", "remove", "2", "--yes"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    assert_eq!(run("admin-key", &["databases", "show", "2"]).code, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_from_a_file_too() {
    let scene = Scene::with(&KEYS[..1]).await;
    let file = scene.folder.path().join("key");
    fs::write(&file, "admin-key\n").unwrap();
    let file = file.to_str().unwrap();
    scene.done(&["databases", "--key-file", file]);
    scene.done(&["--log-format", "text", "databases", "list", "--key-file", file]);
    let said = Said::of(scene.command(&["databases"]).env("RESPALDO_KEY_FILE", file).output().unwrap());
    assert_eq!(said.code, Some(0), "{said:?}");
    // The flag is over the environment.
    let mut command = scene.command(&["databases", "--key-file", file]);
    assert_eq!(Said::of(command.env("RESPALDO_KEY", "wrong").output().unwrap()).code, Some(0));
}

#[test]
fn a_key_is_not_shown_over_an_open_line_to_another_machine() {
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = cli(&[&["databases", "--timeout", "1"], arguments].concat());
        command.env("RESPALDO_KEY", "k-e-y").envs(variables.iter().copied());
        Said::of(command.output().unwrap())
    };
    let open = ["--server", "http://192.0.2.1:8000"];
    let said = run(&open, &[]);
    assert_eq!(said.code, Some(2), "{said:?}");
    for part in ["not encrypted", "https://", "--insecure", "RESPALDO_INSECURE=1"] {
        assert!(said.err.contains(part), "{part}: {said:?}");
    }
    // Trusted, it is tried: nobody answers at this address, which is for papers alone.
    assert_eq!(run(&[&open[..], &["--insecure"]].concat(), &[]).code, Some(3));
    assert_eq!(run(&open, &[("RESPALDO_INSECURE", "1")]).code, Some(3));
    assert_eq!(run(&open, &[("RESPALDO_INSECURE", "0")]).code, Some(2));
    assert_eq!(run(&["--server", "https://192.0.2.1:8000"], &[]).code, Some(3));
    // Without a key there is nothing to read.
    let mut command = cli(&["databases", "--timeout", "1", "--server", "http://192.0.2.1:8000"]);
    assert_eq!(Said::of(command.output().unwrap()).code, Some(3));
}

#[test]
fn what_stays_on_this_machine_takes_no_proxy() {
    let proxy = Fake::start(|_: &Request| Reply::json(200, &json!([])));
    let server = Fake::start(|_: &Request| Reply::json(200, &json!([])));
    let mut command = cli(&["databases"]);
    command.env("RESPALDO_URL", server.url()).env("RESPALDO_KEY", "k-e-y");
    command.env("HTTP_PROXY", proxy.url()).env("http_proxy", proxy.url());
    assert_eq!(Said::of(command.output().unwrap()).code, Some(0));
    assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0));
}

#[test]
fn no_secret_stands_in_the_command_line_that_others_see() {
    let fake = Fake::start(|_: &Request| Reply::Silence(Duration::from_secs(20)));
    let folder = tempfile::tempdir().unwrap();
    let [key, password] = ["key", "password"].map(|name| {
        let file = folder.path().join(name);
        fs::write(&file, format!("hunter2-{name}")).unwrap();
        file.to_str().unwrap().to_owned()
    });
    let mut command =
        cli(&["databases", "add", "--name", "x", "--engine", "postgres", "--database-name", "d"]);
    command.args(["--username", "u", "--password-file", &password, "--key-file", &key]);
    command.env("RESPALDO_URL", fake.url()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    eventually("it has asked", Duration::from_secs(10), || !fake.seen().is_empty());
    let process = |file: &str| fs::read(format!("/proc/{}/{file}", child.id())).unwrap();
    for file in ["cmdline", "environ"] {
        let seen = String::from_utf8_lossy(&process(file)).into_owned();
        assert!(!seen.is_empty() && !seen.contains("hunter2"), "{file}: {seen}");
    }
    assert_eq!(fake.seen()[0].header("authorization"), Some("Bearer hunter2-key"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_comes_from_a_file_a_variable_or_a_pipe_and_is_shown_nowhere() {
    let scene = Scene::new().await;
    let add = [
        "databases",
        "add",
        "--engine",
        "postgres",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
        "--database-name",
        "d",
        "--username",
        "u",
    ];
    let file = scene.folder.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    let file = file.to_str().unwrap();
    for (name, source) in [
        ("by file", &["--password-file", file][..]),
        ("by variable", &["--password-env", "PGPASS"]),
        ("by pipe", &["--password-file", "-"]),
    ] {
        let arguments = [&add[..], &["--name", name], source].concat();
        let mut command = scene.command(&arguments);
        command.env("PGPASS", "hunter2").stdin(fs::File::open(file).unwrap());
        let said = Said::of(command.output().unwrap());
        assert_eq!(said.code, Some(0), "{name}: {said:?}");
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
        let (_, all) = scene.respaldo.read("/databases").await;
        let there = all.as_array().unwrap().iter().find(|database| database["name"] == name).unwrap();
        assert_eq!(there["held_back"], json!(null), "its login is there: {there}");
    }
    let unset = scene.run(&[&add[..], &["--name", "x", "--password-env", "NOT_SET"]].concat());
    assert!(unset.code == Some(2) && unset.err.contains("NOT_SET is not set"), "{unset:?}");
    let without = scene.run(&[&add[..], &["--name", "without"]].concat());
    assert!(without.err.contains("no password is sent"), "{without:?}");
    assert_eq!(scene.run(&["backups", "show", NOBODY]).code, Some(5));
}
