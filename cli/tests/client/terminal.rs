//! What only a terminal sees: questions, passwords that are not shown, progress, colours, tables that fit.

use std::io::{Read as _, Write as _};
use std::process::{ChildStdin, Command, Output, Stdio};

use respaldo_testkit::host::command;

use crate::support::{BINARY, Said, Scene, lock};

/// A line on a terminal of so many columns.
fn script(scene: &Scene, columns: u32, line: &str, variables: &[(&str, &str)]) -> Command {
    let line = format!("stty cols {columns} && {BINARY} {line}");
    let mut script = command("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.env("RESPALDO_URL", scene.respaldo.url("")).env("TERM", "xterm").current_dir(scene.folder.path());
    script.envs(variables.iter().copied());
    script
}

/// Runs it with this typed.
fn on_terminal(scene: &Scene, columns: u32, line: &str, typed: &str, variables: &[(&str, &str)]) -> Said {
    Said::of(run_with_input(script(scene, columns, line, variables), typed))
}

/// Runs it, and acts once it has shown `cue`.
fn after(mut script: Command, cue: &str, act: impl FnOnce(&mut ChildStdin)) -> Said {
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut out, mut byte) = (Vec::new(), [0]);
    while !out.ends_with(cue.as_bytes()) {
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        out.push(byte[0]);
    }
    act(child.stdin.as_mut().unwrap());
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    let code = child.wait().unwrap().code();
    Said { code, out: String::from_utf8(out).unwrap(), err: String::new() }
}

fn run_with_input(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_and_not_with_no_color() {
    let scene = Scene::new().await;
    scene.back_up("shop");
    let green = "\u{1b}[32msucceeded";
    assert!(on_terminal(&scene, 120, "backups", "", &[]).out.contains(green));
    for variables in [&[("NO_COLOR", "1")][..], &[("TERM", "dumb")]] {
        let said = on_terminal(&scene, 120, "backups", "", variables);
        assert!(said.out.contains("succeeded") && !said.out.contains('\u{1b}'), "{variables:?}: {said:?}");
    }
    assert!(!on_terminal(&scene, 120, "backups --json", "", &[]).out.contains('\u{1b}'));
    assert!(!scene.done(&["backups"]).out.contains('\u{1b}'), "a pipe is no terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_their_terminal() {
    let scene = Scene::new().await;
    let long = "A database whose name is much longer than any column of a list";
    scene.done(&["databases", "edit", "shop", &format!("name={long}")]);
    let said = on_terminal(&scene, 70, "databases", "", &[("NO_COLOR", "1")]);
    assert!(said.out.lines().all(|line| line.trim_end().chars().count() <= 70), "{said:?}");
    assert!(said.out.contains('…') && said.out.contains("ENGINE"), "{said:?}");
    assert!(scene.done(&["databases"]).out.contains(long), "nothing is cut for a pipe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_and_only_yes_is_yes() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let line = format!("backups remove {}", backup["id"].as_str().unwrap());
    for no in ["n\n", "\n", "maybe\n"] {
        let said = on_terminal(&scene, 120, &line, no, &[]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(
            said.out.contains("Delete 1 backup? [y/N]") && said.out.contains("nothing was done"),
            "{said:?}"
        );
        assert_eq!(scene.artifacts().len(), 1);
    }
    let said = on_terminal(&scene, 120, &line, "y\n", &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(scene.artifacts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_typed_is_not_shown_and_can_be_corrected_or_given_up() {
    let scene = Scene::new().await;
    let line = "databases add --name typed --engine postgres --host 127.0.0.1 --port 1 --database-name d --username u";
    let type_after_question = |keys: &str| {
        let script = script(&scene, 120, line, &[]);
        after(script, "Enter): ", |stdin| stdin.write_all(keys.as_bytes()).unwrap())
    };
    let given_up = type_after_question("hunter2\u{3}");
    assert_eq!(given_up.code, Some(130), "{given_up:?}");
    assert!(given_up.out.contains("nothing was done") && !given_up.out.contains("hunter2"), "{given_up:?}");
    assert_eq!(scene.run(&["databases", "show", "typed"]).code, Some(5));
    let typed = type_after_question("hunter3\u{7f}2\r");
    assert!(typed.out.contains("Password") && typed.out.contains("typed"), "{typed:?}");
    assert!(!typed.out.contains("hunter"), "{typed:?}");
    assert_eq!(
        scene.done(&["databases", "show", "typed", "--json"]).json()["held_back"],
        serde_json::Value::Null
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_drawn_on_a_terminal_and_nowhere_else() {
    let scene = Scene::new().await;
    scene.back_up("shop");
    let locked = lock(&scene);
    // It is drawn while the dump waits for the lock, so that nothing depends on who is faster.
    let said = after(script(&scene, 120, "backup notes", &[]), "running, 0 B", |_| drop(locked));
    assert!(said.out.contains('\r') && said.out.contains("Backed up"), "{said:?}");
    let quiet = on_terminal(&scene, 120, "backup shop --quiet", "", &[]);
    assert!(!quiet.out.contains("running, ") && !quiet.out.contains("info"), "{quiet:?}");
    let piped = scene.done(&["backup", "shop"]);
    assert!(!piped.err.contains('\r') && !piped.err.contains("running, "), "{piped:?}");
}
