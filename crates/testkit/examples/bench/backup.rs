//! One backup in a process of its own (this program, started anew), so that its memory and its processor
//! time are its own.

use std::fs;
use std::time::Instant;

use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::{JobId, Ownership, Status};
use respaldo_core::ports::SecretString;
use respaldo_core::restore::{Request, Wanted};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use serde_json::{Value, json};

use crate::compare::{Cost, Server};
use crate::machine::{Cpu, memory_mib};

/// Names the file that tells the other process what to do.
const CASE: &str = "RESPALDO_BENCH_CASE";

/// Backs a database up.
pub fn back_up(server: &dyn Server, database: &str, compression: &str) -> Cost {
    let folder = tempfile::tempdir().unwrap();
    let (case, answer) = (folder.path().join("case.json"), folder.path().join("answer.json"));
    let mut fields = server.address();
    for (name, value) in [("name", database), ("database_name", database), ("compression", compression)] {
        fields[name] = json!(value);
    }
    let (user, password) = server.login();
    let text = json!({"answer": answer, "user": user, "password": password, "fields": fields});
    fs::write(&case, text.to_string()).unwrap();
    let mut child = command(std::env::current_exe().unwrap());
    child.env(CASE, &case);
    let before = server.cpu();
    run(child, std::io::empty());
    let server_cpu = server.cpu() - before;
    let answer: Value = serde_json::from_slice(&fs::read(&answer).unwrap()).unwrap();
    let number = |field: &str| answer[field].as_f64().unwrap();
    Cost {
        seconds: number("seconds"),
        bytes: answer["bytes"].as_u64().unwrap(),
        cpu: number("cpu"),
        tool_cpu: Some(number("tool_cpu")),
        server_cpu,
        peak_mib: Some(number("peak_mib")),
    }
}

/// Backs a database up, and answers how many seconds it takes to put that into a new one.
pub fn restore(server: &dyn Server, database: &str, format: &str, new: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let (case, answer) = (folder.path().join("case.json"), folder.path().join("answer.json"));
    let mut fields = server.address();
    for (name, value) in
        [("name", database), ("database_name", database), ("compression", "zstd"), ("format", format)]
    {
        fields[name] = json!(value);
    }
    let (user, password) = server.login();
    let text =
        json!({"answer": answer, "user": user, "password": password, "fields": fields, "restore_to": new});
    fs::write(&case, text.to_string()).unwrap();
    let mut child = command(std::env::current_exe().unwrap());
    child.env(CASE, &case);
    run(child, std::io::empty());
    let answer: Value = serde_json::from_slice(&fs::read(&answer).unwrap()).unwrap();
    answer["restored_in"].as_f64().unwrap()
}

async fn restored_in(test: &TestApp, backup: JobId, new: &str) -> f64 {
    let request = Request {
        backup,
        target: Some(Wanted::Name(new.to_owned())),
        mode: None,
        safety_backup: false,
        force: false,
        tables: Vec::new(),
        ownership: Ownership::Keep,
    };
    let begun = Instant::now();
    let id = JobId(test.app.ids.ulid(test.app.now()));
    let job = respaldo_core::restore::request(&test.app, &request, id).await.unwrap();
    let job = test.run_to_end(job.id).await;
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    begun.elapsed().as_secs_f64()
}

/// The other process's work, if this is the other process.
pub fn is_child() -> bool {
    let Some(case) = std::env::var_os(CASE) else { return false };
    let case: Value = serde_json::from_slice(&fs::read(case).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(measure(&case));
    fs::write(case["answer"].as_str().unwrap(), answer.to_string()).unwrap();
    true
}

async fn measure(case: &Value) -> Value {
    let text = |field: &str| case[field].as_str().unwrap().to_owned();
    let test = TestApp::new();
    let Value::Object(fields) = case["fields"].clone() else { panic!("fields are an object") };
    let login = Login { username: Some(text("user")), password: Some(SecretString::from(text("password"))) };
    let registration = Registration { fields, login: Some(login), uid: None };
    let database = databases::register(&test.app, registration).await.unwrap();
    databases::test(&test.app, database.id).await.unwrap();
    // The peak begins anew from what the idle process holds.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = memory_mib("VmRSS");
    let before = Cpu::of("self");
    let begun = Instant::now();
    let job = test.back_up(&database).await;
    let seconds = begun.elapsed().as_secs_f64();
    let used = Cpu::of("self").since(before);
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let bytes = job.backup().unwrap().artifact.as_ref().unwrap().size_bytes;
    if let Some(new) = case["restore_to"].as_str() {
        return json!({"restored_in": restored_in(&test, job.id, new).await});
    }
    json!({
        "seconds": seconds, "bytes": bytes, "cpu": used.own, "tool_cpu": used.children,
        "peak_mib": memory_mib("VmHWM") - idle,
    })
}
