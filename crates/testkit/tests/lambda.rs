//! The emulated Lambda, tried with a function of a few lines, so that it is known to do what Lambda does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use respaldo_testkit::lambda::{FunctionError, Lambda, scheduled_event};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A function that does what the event says.
const FUNCTION: &str = r#"#!/usr/bin/env python3
import json, os, subprocess, sys, time, urllib.request

base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/"
count = 0

def post(path, body):
    urllib.request.urlopen(urllib.request.Request(base + path, data=body, method="POST"))

if os.environ.get("REFUSES"):
    post("init/error", json.dumps({"errorType": "Config", "errorMessage": "no key"}).encode())
    sys.exit(1)
while True:
    with urllib.request.urlopen(base + "invocation/next") as answer:
        id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        left = int(answer.headers["Lambda-Runtime-Deadline-Ms"]) - time.time() * 1000
        event = json.load(answer)
    count += 1
    what = event.get("do")
    print("asked to", what, flush=True)
    if what == "fail":
        post("invocation/" + id + "/error", json.dumps({"errorType": "Bad", "errorMessage": "no"}).encode())
    elif what == "exit":
        os._exit(3)
    elif what == "hang":
        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        open("child", "w").write(str(child.pid))
        time.sleep(60)
    elif what == "chunks":
        pieces = (piece for piece in [b'{"pieces"', b": 2}"])
        post("invocation/" + id + "/response", pieces)
    elif what == "sleep":
        time.sleep(0.3)
        post("invocation/" + id + "/response", b"null")
    else:
        post("invocation/" + id + "/response", json.dumps({"count": count, "left_ms": left}).encode())
"#;

fn deployed(variables: &[(&str, &str)], timeout: Duration) -> (Lambda, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("bootstrap");
    fs::write(&binary, FUNCTION).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    (Lambda::new("tried", binary, folder.path(), variables, timeout), folder)
}

async fn asked(lambda: &Lambda, what: &str) -> Result<Value, FunctionError> {
    lambda.invoke(&json!({ "do": what })).await
}

#[tokio::test]
async fn an_environment_that_is_idle_takes_the_next_event_and_knows_its_deadline() {
    let (lambda, _folder) = deployed(&[], Duration::from_secs(20));
    assert_eq!(asked(&lambda, "count").await.unwrap()["count"], 1);
    let second = lambda.invoke(&scheduled_event()).await.unwrap();
    assert_eq!(second["count"], 2);
    let left = second["left_ms"].as_f64().unwrap();
    assert!((10_000.0..=20_000.0).contains(&left), "{left}");
    assert_eq!(asked(&lambda, "chunks").await.unwrap(), json!({ "pieces": 2 }));
    assert_eq!(lambda.cold_starts(), 1);
    lambda.forget();
    assert_eq!(asked(&lambda, "count").await.unwrap()["count"], 1);
    assert_eq!(lambda.cold_starts(), 2);
    assert_eq!(lambda.log().matches("asked to count").count(), 2, "{}", lambda.log());
}

#[tokio::test]
async fn events_at_the_same_time_go_to_environments_of_their_own() {
    let (lambda, _folder) = deployed(&[], Duration::from_secs(20));
    let (one, other) = futures::join!(asked(&lambda, "sleep"), asked(&lambda, "sleep"));
    assert_eq!((one, other, lambda.cold_starts()), (Ok(Value::Null), Ok(Value::Null), 2));
}

#[tokio::test]
async fn what_fails_or_ends_is_an_error_of_the_invocation() {
    let (lambda, _folder) = deployed(&[], Duration::from_secs(20));
    let failed = asked(&lambda, "fail").await.unwrap_err();
    assert_eq!((failed.kind.as_str(), failed.message.as_str()), ("Bad", "no"));
    assert_eq!(asked(&lambda, "count").await.unwrap()["count"], 2, "it goes on");
    assert_eq!(asked(&lambda, "exit").await.unwrap_err().kind, "Runtime.ExitError");
    assert_eq!(asked(&lambda, "count").await.unwrap()["count"], 1, "in a new one");
}

#[tokio::test]
async fn at_its_deadline_it_is_killed_with_all_that_it_has_started() {
    let (lambda, folder) = deployed(&[], Duration::from_secs(2));
    assert_eq!(asked(&lambda, "hang").await.unwrap_err().kind, "Sandbox.Timedout");
    let child = fs::read_to_string(folder.path().join("tried/1/child")).unwrap().parse().unwrap();
    respaldo_testkit::host::eventually("its child is gone", Duration::from_secs(5), || {
        !respaldo_testkit::host::is_alive(child)
    });
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    let (lambda, _folder) = deployed(&[("REFUSES", "1")], Duration::from_secs(20));
    let refused = asked(&lambda, "count").await.unwrap_err();
    assert_eq!((refused.kind.as_str(), refused.message.as_str()), ("Config", "no key"));
}
