//! `respaldo jobs`.

use std::process::Stdio;
use std::time::Duration;

use insta::{assert_json_snapshot, assert_snapshot};
use respaldo_testkit::host::{command, eventually, run};
use serde_json::json;

use crate::support::{NOBODY, Said, Scene, lock, masked, stable};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_shown_and_their_logs_printed() {
    let scene = Scene::new().await;
    let backup = scene.back_up("shop");
    let id = backup["id"].as_str().unwrap();
    assert_json_snapshot!("jobs", stable(&scene.done(&["jobs", "--json"]).json()));
    assert_snapshot!("jobs_for_people", masked(&scene.done(&["jobs"]).out));
    assert_json_snapshot!("job", stable(&scene.done(&["jobs", "show", id, "--json"]).json()));
    let count = |arguments: &[&str]| {
        let arguments = [&["jobs"], arguments, &["--json"]].concat();
        scene.done(&arguments).json().as_array().unwrap().len()
    };
    assert_eq!(count(&["--database", "notes"]), 0);
    assert_eq!(count(&["list", "--status", "succeeded", "--since", "1d", "--limit", "5"]), 1);

    let lines = scene.done(&["jobs", "log", id, "--json"]).json();
    let lines = lines.as_array().unwrap();
    assert!(lines.len() > 1 && lines[0]["seq"] == json!(1), "{lines:?}");
    let (_, api) = scene.respaldo.read(&format!("/jobs/{id}/log")).await;
    assert_eq!(lines, api.as_array().unwrap());
    let printed = scene.done(&["jobs", "log", id]);
    assert_eq!(printed.out.lines().count(), lines.len(), "{printed:?}");
    assert_eq!(scene.done(&["jobs", "log", id, "--follow"]).out, printed.out);
    let followed = scene.done(&["jobs", "follow", id, "--json"]);
    assert_eq!(followed.json(), scene.done(&["jobs", "show", id, "--json"]).json());
    for verb in ["show", "log", "follow", "cancel"] {
        assert_eq!(scene.run(&["jobs", verb, NOBODY]).code, Some(5), "{verb}");
    }
    let ended = scene.run(&["jobs", "cancel", id]);
    assert_eq!(ended.code, Some(6), "what has ended cannot be cancelled: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_while_following_leaves_the_job_and_says_how_to_look_at_it() {
    let scene = Scene::new().await;
    let locked = lock(&scene);
    let mut follower = scene.command(&["backup", "notes"]);
    follower.stdout(Stdio::piped()).stderr(Stdio::piped());
    let follower = follower.spawn().unwrap();
    let job = running(&scene).await;
    interrupt(follower.id());
    let said = Said::of(follower.wait_with_output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (Some(130), ""), "{said:?}");
    assert!(
        said.err.contains("the job goes on") && said.err.contains(&format!("respaldo jobs follow {job}")),
        "{said:?}"
    );
    let (_, still) = scene.respaldo.read(&format!("/jobs/{job}")).await;
    assert_eq!(still["status"], "running", "{still}");
    drop(locked);
    assert_eq!(scene.run(&["jobs", "follow", &job]).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_told_to_stop_and_whoever_follows_it_ends_with_1() {
    let scene = Scene::new().await;
    let _locked = lock(&scene);
    scene.done(&["backup", "notes", "--detach"]);
    let job = running(&scene).await;
    let said = scene.done(&["jobs", "cancel", &job]);
    assert!(said.out.contains(&job), "{said:?}");
    let followed = scene.run(&["jobs", "follow", &job]);
    assert_eq!(followed.code, Some(1), "{followed:?}");
    assert!(followed.err.contains("is cancelled"), "{followed:?}");
    assert_eq!(scene.done(&["backups", "--status", "cancelled", "--json"]).json()[0]["id"], json!(job));
}

/// Waits for a job that runs; answers its id.
async fn running(scene: &Scene) -> String {
    let begun = tokio::time::Instant::now();
    loop {
        let (_, jobs) = scene.respaldo.read("/jobs?status=running").await;
        if let Some(id) = jobs[0]["id"].as_str() {
            return id.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no job runs: {}", scene.respaldo.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ctrl-C, once the process listens for it.
fn interrupt(pid: u32) {
    eventually("it listens for Ctrl-C", Duration::from_secs(10), || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        // SIGINT is the second bit.
        caught.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 2 != 0)
    });
    let mut kill = command("kill");
    kill.args(["-INT", &pid.to_string()]);
    run(kill, std::io::empty());
}
