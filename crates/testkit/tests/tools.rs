//! Simulated tools do what they are told and record how they were called.

#![expect(clippy::expect_used, reason = "these are tests, helpers included")]

use std::io::{Read, Write};
use std::process::{Output, Stdio};

use respaldo_testkit::host;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};

fn call(behaviour: Behaviour) -> Output {
    let toolbox = Toolbox::new().with(&FakeTool::new("pg_dump").behaviour(behaviour));
    host::command(toolbox.tool("pg_dump")).output().expect("the tool starts")
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("it can be written");
    file
}

#[test]
fn a_tool_answers_its_version_and_records_every_call() {
    let tool = FakeTool::new("pg_dump").version("pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)");
    let toolbox = Toolbox::new().with(&tool);
    let output = host::command(toolbox.tool("pg_dump")).arg("--version").output().expect("the tool starts");
    assert_eq!(output.stdout, b"pg_dump (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n");
    let mut second = host::command("pg_dump");
    second.env("PATH", toolbox.path()).env("PGPASSWORD", "s3cret").args(["-d", "a \"b\"\nc", ""]);
    assert!(second.status().expect("the tool starts").success());
    let calls = toolbox.calls("pg_dump");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].args, ["--version"]);
    assert_eq!(calls[1].args, ["-d", "a \"b\"\nc", ""]);
    assert!(calls[1].shows("s3cret"));
    assert!(!calls[0].shows("s3cret"));
    assert!(calls[1].env.iter().any(|(key, _)| key == "LC_ALL"), "{:?}", calls[1].env);
}

#[test]
fn tools_can_print_all_half_or_fail_at_the_end() {
    let file = file(b"0123456789");
    let path = file.path().to_owned();
    let all = call(Behaviour::Prints(path.clone()));
    assert_eq!((all.stdout.as_slice(), all.status.code()), (b"0123456789".as_slice(), Some(0)));
    let half = call(Behaviour::PrintsHalf(path.clone()));
    assert_eq!((half.stdout.as_slice(), half.status.code()), (b"01234".as_slice(), Some(0)));
    let failed = call(Behaviour::PrintsThenFails { file: path, stderr: "it's bad".to_owned(), code: 1 });
    assert_eq!((failed.stdout.as_slice(), failed.status.code()), (b"0123456789".as_slice(), Some(1)));
    assert_eq!(failed.stderr, b"it's bad\n");
    let refused = call(Behaviour::Fails { stderr: "no".to_owned(), code: 3 });
    assert_eq!((refused.stdout.as_slice(), refused.status.code()), (b"".as_slice(), Some(3)));
}

#[test]
fn a_tool_can_be_killed_in_the_middle() {
    let file = file(b"0123456789");
    let output = call(Behaviour::DiesAfter { file: file.path().to_owned(), bytes: 4 });
    assert_eq!(output.stdout, b"0123");
    assert_eq!(output.status.code(), None);
}

#[test]
fn a_hanging_tool_holds_its_output_open_in_a_child() {
    use std::os::unix::process::CommandExt;
    let file = file(b"0123456789");
    let behaviour = Behaviour::HangsAfter { file: file.path().to_owned(), bytes: 4 };
    let toolbox = Toolbox::new().with(&FakeTool::new("pg_dump").behaviour(behaviour));
    let mut command = host::command(toolbox.tool("pg_dump"));
    let mut child = command.process_group(0).stdout(Stdio::piped()).spawn().expect("the tool starts");
    let mut begin = [0; 4];
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_exact(&mut begin).expect("it prints its beginning");
    assert_eq!(&begin, b"0123");
    assert!(child.try_wait().expect("it can be asked").is_none());
    // Only killing the whole group closes the output.
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("it is ours");
    assert_eq!(stdout.read(&mut begin).expect("the output ends"), 0);
    child.wait().expect("it is reaped");
}

#[test]
fn a_generated_dump_has_the_size_asked_for_and_loads() {
    for compressible in [true, false] {
        let output = call(Behaviour::Generates { mebibytes: 3, compressible });
        assert!(output.status.success());
        let rows = 3 * 1024 * 1024 / 128;
        let size = 3 * 1024 * 1024;
        assert!((size..size + 2000).contains(&output.stdout.len()), "{}", output.stdout.len());
        let server = Postgres::shared();
        let name = server.fresh_database("generated");
        server.load_plain(&name, output.stdout.as_slice());
        assert_eq!(server.psql(&name, "SELECT count(*) FROM generated"), rows.to_string());
    }
}
