//! Servers that are away, slow, wrong or hostile (simulated), and what the command line makes of them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Request};
use crate::support::{NOBODY, Said, cli};

fn run(url: &str, arguments: &[&str]) -> Said {
    Said::of(cli(arguments).env("RESPALDO_URL", url).output().unwrap())
}

/// Every verb that begins with a GET.
const LOOKS: [&[&str]; 8] = [
    &["databases"],
    &["backups"],
    &["jobs"],
    &["packages"],
    &["retention"],
    &["backups", "show", NOBODY],
    &["jobs", "follow", NOBODY],
    &["backups", "download", NOBODY],
];

#[test]
fn a_server_that_is_not_there_is_3_and_the_ways_to_set_it_are_told() {
    for arguments in [&["databases"][..], &["backup", "1"], &["backups"], &["jobs", "show", NOBODY]] {
        let said = run("http://127.0.0.1:1", arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
        for part in ["http://127.0.0.1:1", "--server", "RESPALDO_URL", "http://127.0.0.1:8000"] {
            assert!(said.err.contains(part), "{part}: {said:?}");
        }
    }
    let problem = run("http://127.0.0.1:1", &["backups", "--json"]).problem();
    assert_eq!((&problem["type"], &problem["retryable"]), (&json!("/problems/unavailable"), &json!(true)));
    let said = run("http://127.0.0.1:1", &["backups", "--server", "http://127.0.0.1:2"]);
    assert!(said.err.contains("127.0.0.1:2"), "the flag is over the environment: {said:?}");
}

#[test]
fn a_silent_server_counts_as_unreachable_after_the_timeout() {
    let fake = Fake::start(|_: &Request| Reply::Silence(Duration::from_secs(20)));
    let said = run(&fake.url(), &["backups", "--timeout", "1"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("no answer within 1 s (--timeout)"), "{said:?}");
}

#[test]
fn what_is_not_json_or_of_another_shape_is_3() {
    for body in ["<html>welcome</html>", "", "{\"a\":", "7", "{}", "null", "[1"] {
        let answer = body.to_owned();
        let fake =
            Fake::start(move |_: &Request| Reply::Whole("200 OK".to_owned(), answer.clone().into_bytes()));
        for arguments in [&["databases"][..], &["backups"], &["jobs"], &["packages"], &["retention"]] {
            let said = run(&fake.url(), arguments);
            assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{body} {arguments:?}: {said:?}");
            assert!(said.err.contains("not as Respaldo does"), "{body} {arguments:?}: {said:?}");
        }
        assert_eq!(run(&fake.url(), &["jobs", "follow", NOBODY]).code, Some(3), "{body}");
    }
}

#[test]
fn a_fault_of_the_server_is_3_whether_it_explains_itself_or_not() {
    for (status, body) in
        [(500, json!({"title": "T", "detail": "its log says it", "status": 500})), (502, json!("x"))]
    {
        let fake = Fake::start(move |_: &Request| Reply::json(status, &body));
        for arguments in LOOKS.into_iter().filter(|arguments| arguments[1..] != ["follow", NOBODY]) {
            let said = run(&fake.url(), arguments);
            assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{status} {arguments:?}: {said:?}");
        }
    }
}

#[test]
fn every_refusal_has_its_exit_code_and_is_told_in_full() {
    for (status, code) in [(401, 4), (403, 4), (404, 5), (409, 6), (422, 2), (400, 2), (413, 2), (503, 3)] {
        let problem = json!({"type": "/problems/x", "title": "A title", "status": status, "detail": "why not",
            "field": "a_field", "mend": "do this", "retryable": false});
        let told = problem.clone();
        let fake = Fake::start(move |_: &Request| Reply::json(status, &told));
        let said = run(&fake.url(), &["backup", "1"]);
        assert_eq!(said.code, Some(code), "{status}: {said:?}");
        let mend = if code == 4 { "RESPALDO_KEY" } else { "do this" };
        for part in ["A title", "a_field", "why not", mend] {
            assert!(said.err.contains(part), "{part}: {said:?}");
        }
        assert_eq!(
            run(&fake.url(), &["backup", "1", "--json"]).problem(),
            problem,
            "exactly what was answered"
        );
    }
}

#[test]
fn nothing_that_a_server_says_reaches_the_terminal_as_a_command() {
    let evil = "a\u{1b}[2Jb\u{9b}31mc\u{202e}d\r\nZ\u{7}";
    let database = json!({"id": 1, "config_id": evil, "name": evil, "engine": evil, "enabled": true, "held_back": evil,
        "database_name": evil, "schedule": evil, "next_run_at": evil});
    let backup = json!({"id": evil, "database_id": 1, "kind": evil, "status": evil, "created_at": evil, "name": evil,
        "verification": {"status": evil, "reason": evil}, "error": {"message": evil, "mend": evil}});
    let job = json!({"id": evil, "kind": evil, "status": "failed", "created_at": evil, "database_id": 1,
        "error": {"message": evil, "mend": evil}});
    let plan = json!({"database_id": 1, "name": evil, "frozen": evil, "keep": 1, "remove": 0,
        "backups": [{"id": evil, "action": evil, "reason": evil, "status": evil, "created_at": evil}]});
    let package = json!({"id": evil, "name": evil, "kind": evil, "status": evil, "created_at": evil,
        "members": [{"file": evil, "database": evil, "backup_created_at": evil}],
        "left_out": [{"database": evil, "reason": evil}]});
    let fake = Fake::start(move |request: &Request| {
        let path = request.target.split('?').next().unwrap();
        let body = match path {
            "/databases" => json!([database]),
            "/databases/1" => database.clone(),
            "/databases/1/test" => json!({"ok": false, "error": {"message": evil, "mend": evil}}),
            "/backups" => json!([backup]),
            "/jobs" => json!([job]),
            "/retention" => json!([plan]),
            "/packages" => json!([package]),
            path if path.ends_with("/log") => json!([{"seq": 1, "at": evil, "level": evil, "line": evil}]),
            path if path.starts_with("/jobs/") => job.clone(),
            path if path.starts_with("/packages/") => package.clone(),
            path if path.starts_with("/backups/") => backup.clone(),
            _ => json!({"title": evil, "detail": evil}),
        };
        Reply::json(200, &body)
    });
    let (member, name) = (["packages", "download", NOBODY, "--member", evil], ["backup", evil]);
    let looks = LOOKS.iter().copied().chain([
        &["databases", "show", "1"][..],
        &["databases", "test", "1"],
        &["jobs", "show", NOBODY],
        &["jobs", "log", NOBODY],
        &["jobs", "cancel", NOBODY],
        &["packages", "show", NOBODY],
        &["packages", "create"],
        &member,
        &["retention", "apply", "--yes"],
        &["restore", NOBODY, "--dry-run"],
        &["restore", "--undo", NOBODY],
        &["backups", "remove", NOBODY],
        &["databases", "remove", "1"],
        &["verify", NOBODY],
        &["backup", "1", "--detach"],
        &name,
    ]);
    for arguments in looks {
        for json in [&[][..], &["--json"]] {
            let said = run(&fake.url(), &[arguments, json].concat());
            let all = format!("{}{}", said.out, said.err);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!all.contains(steers), "{arguments:?} {json:?}: {said:?}");
            // The line break was escaped too: no line begins with what followed it.
            assert!(!all.lines().any(|line| line.starts_with('Z')), "{arguments:?} {json:?}: {said:?}");
        }
    }
}

#[test]
fn a_list_goes_on_only_where_the_list_is() {
    let item = json!([{"id": "x"}]);
    let first = |link: &'static str| {
        let item = item.clone();
        Fake::start(move |request: &Request| {
            if request.target.contains("cursor=end") {
                return Reply::json(200, &json!([]));
            }
            let head = format!("200 OK\r\nLink: {link}");
            Reply::Whole(head, item.to_string().into_bytes())
        })
    };
    for link in [
        "<http://elsewhere.example/jobs?cursor=x>; rel=\"next\"",
        "<//elsewhere.example/jobs?cursor=x>; rel=\"next\"",
        "</other?cursor=x>; rel=\"next\"",
        "</jobsx?cursor=x>; rel=\"next\"",
        "</jobs?cursor=round>; rel=\"next\"",
    ] {
        let fake = first(link);
        let said = run(&fake.url(), &["jobs", "--json"]);
        assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{link}: {said:?}");
        assert!(
            fake.seen().len() <= 2 && fake.seen().iter().all(|one| one.target.starts_with("/jobs?")),
            "{link}"
        );
    }
    let fake = first("</jobs?cursor=end>; rel=\"next\"");
    assert_eq!(run(&fake.url(), &["jobs", "--json"]).json(), json!([{"id": "x"}]));
    assert_eq!(fake.seen().len(), 2, "both pages were read");
    assert_eq!(run(&fake.url(), &["jobs", "--json", "--limit", "1"]).json(), json!([{"id": "x"}]));
    assert_eq!(fake.seen().len(), 3, "one was enough");
}

#[test]
fn redirects_are_told_and_not_followed_with_the_key() {
    let elsewhere = Fake::start(|_: &Request| Reply::json(200, &json!([])));
    let to = elsewhere.url();
    let fake =
        Fake::start(move |_: &Request| Reply::Whole(format!("307 Moved\r\nLocation: {to}/jobs"), Vec::new()));
    let mut command = cli(&["jobs"]);
    let said =
        Said::of(command.env("RESPALDO_URL", fake.url()).env("RESPALDO_KEY", "k-e-y").output().unwrap());
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains(&elsewhere.url()) && said.err.contains("not followed"), "{said:?}");
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
}

#[test]
fn a_request_whose_answer_was_lost_is_sent_again_with_the_same_key() {
    let tries = std::sync::atomic::AtomicU32::new(0);
    let fake = Fake::start(move |request: &Request| match request.method.as_str() {
        "POST" if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => {
            Reply::Silence(Duration::from_millis(10))
        }
        _ => Reply::json(202, &json!({"id": NOBODY, "status": "queued"})),
    });
    let said = run(&fake.url(), &["backup", "1", "--detach"]);
    assert_eq!((said.code, said.out.trim()), (Some(0), NOBODY), "{said:?}");
    let keys: Vec<Option<String>> =
        fake.seen().iter().map(|request| request.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.len() == 2 && keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
}

#[test]
fn an_answer_without_an_end_is_given_up() {
    let fake = Fake::start(|_: &Request| {
        let mut body = b"[".to_vec();
        body.resize(70 << 20, b' ');
        Reply::Whole("200 OK".to_owned(), body)
    });
    let said = run(&fake.url(), &["jobs"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("more than 67108864 bytes"), "{said:?}");
}

#[test]
fn a_server_that_comes_back_is_followed_on() {
    let looks = std::sync::atomic::AtomicU32::new(0);
    let fake = Fake::start(move |request: &Request| {
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let status = if look < 6 { "running" } else { "succeeded" };
        match look {
            2..5 => Reply::Whole("502 Bad Gateway".to_owned(), b"<html>".to_vec()),
            _ if request.target.contains("/log") => Reply::json(200, &json!([])),
            _ => Reply::json(200, &json!({"id": NOBODY, "status": status})),
        }
    });
    let said = run(&fake.url(), &["jobs", "follow", NOBODY]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn what_cannot_be_meant_is_2_before_anything_is_sent() {
    let fake = Fake::start(|_: &Request| Reply::json(200, &Value::Null));
    for arguments in [
        &["backups", "show"][..],
        &["backups", "show", "x"],
        &["jobs", "cancel", "../../databases/1"],
        &["databases", "add", "--port", "70000"],
        &["databases", "add", "--password", "hunter2"],
        &["databases", "add", "--set", "password=hunter2"],
        &["databases", "edit", "1", "credentials.password=hunter2"],
        &["packages", "create", "--format", "rar"],
        &["packages", "create", "--dry-run", "--detach"],
        &["retention", "--all", "apply"],
        &["completions", "tcsh"],
        &["jobs", "--timeout", "0"],
        &["jobs", "--key", "hunter2"],
        &["jobs", "--server", "ftp://x"],
        &["jobs", "--key-file", "/nowhere/key"],
        &["nonsense"],
    ] {
        let said = run(&fake.url(), arguments);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {said:?}");
        assert!(!said.err.contains("hunter2") || arguments[0] == "nonsense", "{arguments:?}: {said:?}");
    }
    assert!(fake.seen().is_empty(), "{:?}", fake.seen());
}
