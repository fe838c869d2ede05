//! The servers are real, private, protected by a password, and leave nothing behind.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use respaldo_testkit::host;
use respaldo_testkit::postgres::{PgVersion, Postgres};

#[test]
fn both_versions_run_side_by_side() {
    let debian = Postgres::shared();
    let sixteen = Postgres::shared_at(PgVersion::Sixteen);
    for server in [debian, sixteen] {
        let number: u32 = server.psql("postgres", "SHOW server_version_num").parse().expect("a number");
        assert_eq!(number / 10000, server.major());
    }
    assert_eq!(sixteen.major(), 16);
    assert_ne!(debian.major(), sixteen.major());
    assert_ne!(debian.port(), sixteen.port());
}

#[test]
fn a_wrong_password_is_refused() {
    let server = Postgres::shared();
    let mut psql = server.client("psql", "postgres");
    let output =
        psql.env("PGPASSWORD", "wrong").args(["-w", "-c", "SELECT 1"]).output().expect("psql starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("password authentication failed"));
}

fn a_dump_of_the_sample_loads_and_equals_it(version: PgVersion) {
    let server = Postgres::shared_at(version);
    let source = server.fresh_database("source");
    server.sample_schema(&source);
    server.hostile_names(&source);
    let copy = server.fresh_database("copy");
    let mut dump = server.client("pg_dump", &source);
    dump.env("PGTZ", "UTC");
    let plain = host::run(dump, std::io::empty()).stdout;
    server.load_plain(&copy, plain.as_slice());
    let expected = server.dump_normalised(&source);
    assert!(expected.len() > 500_000, "the sample is there: {} bytes", expected.len());
    assert!(expected.contains("\n\\restrict inner\n\\unrestrict x\n"), "the function's body is untouched");
    assert!(expected == server.dump_normalised(&copy), "the copy differs");
    assert_eq!(server.psql(&copy, "SELECT count(*) FROM app.big"), "10000");
    assert_eq!(server.psql(&copy, "SELECT count(*) FROM app.no_columns"), "2");
}

#[test]
fn a_dump_of_the_sample_loads_and_equals_it_on_the_distributions_version() {
    a_dump_of_the_sample_loads_and_equals_it(PgVersion::Debian);
}

#[test]
fn a_dump_of_the_sample_loads_and_equals_it_on_sixteen() {
    a_dump_of_the_sample_loads_and_equals_it(PgVersion::Sixteen);
}

#[test]
fn one_changed_row_makes_two_databases_differ() {
    let server = Postgres::shared();
    let name = server.fresh_database("changed");
    server.sample_schema(&name);
    let before = server.dump_normalised(&name);
    assert!(before == server.dump_normalised(&name), "two dumps of one database are equal");
    server.psql(&name, "UPDATE app.big SET note = 'x' WHERE id = 9999");
    assert!(before != server.dump_normalised(&name));
}

#[test]
fn databases_of_any_name_can_be_made_and_dropped() {
    let server = Postgres::shared();
    for odd in
        ["-c", "a \"quoted\" 'name'", "host=evil dbname=postgres", "naïve 鍵", "postgresql://x/y", "a/b\nc"]
    {
        let name = format!("{odd}{}", host::random_hex(3));
        server.create_database(&name);
        assert_eq!(server.psql(&name, "SELECT current_database()"), name);
        server.drop_database(&name);
    }
}

#[test]
fn a_killed_server_is_gone_and_its_clients_fail() {
    let server = Postgres::start(PgVersion::Debian);
    let mut client = server.client("psql", "postgres");
    let mut client = client
        .args(["-c", "SELECT pg_sleep(600)"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql starts");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active' AND pid <> pg_backend_pid()";
    host::eventually("the client is at work", Duration::from_secs(10), || {
        server.psql("postgres", sleeping) == "1"
    });
    server.kill();
    assert!(!client.wait().expect("psql ends").success());
    assert!(TcpStream::connect((server.host(), server.port())).is_err());
}

#[test]
fn a_frozen_server_is_silent_until_it_thaws() {
    // The protocol's question whether TLS is spoken here, which the server answers with one byte.
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let server = Postgres::start(PgVersion::Debian);
    server.freeze();
    let mut client = TcpStream::connect((server.host(), server.port())).expect("the kernel accepts");
    client.write_all(&SSL_REQUEST).expect("the kernel takes it");
    client.set_read_timeout(Some(Duration::from_millis(300))).expect("a valid timeout");
    let mut answer = [0];
    assert_eq!(client.read(&mut answer).expect_err("nobody answers").kind(), ErrorKind::WouldBlock);
    server.thaw();
    client.set_read_timeout(Some(Duration::from_secs(30))).expect("a valid timeout");
    client.read_exact(&mut answer).expect("the server answers");
    assert_eq!(answer, *b"N");
}

#[test]
fn a_dropped_server_leaves_nothing() {
    let server = Postgres::start(PgVersion::Debian);
    let data = PathBuf::from(server.psql("postgres", "SHOW data_directory"));
    let pid: u32 = std::fs::read_to_string(data.join("postmaster.pid"))
        .expect("it runs")
        .lines()
        .next()
        .expect("a line")
        .parse()
        .expect("a number");
    assert!(host::is_alive(pid));
    drop(server);
    assert!(!host::is_alive(pid));
    assert!(!data.parent().expect("the server's own folder").exists());
}

/// Run by the next test in a process of its own, which it kills.
#[test]
#[ignore = "holds a server until it is killed; the next test starts it"]
fn holds_a_server_until_it_is_killed() {
    let server = Postgres::start(PgVersion::Debian);
    println!("DATA={}", server.psql("postgres", "SHOW data_directory"));
    loop {
        std::thread::park();
    }
}

#[test]
fn a_server_ends_with_a_killed_test() {
    let out = tempfile::NamedTempFile::new().expect("a file");
    let mut child = host::command(std::env::current_exe().expect("this test's program"))
        .env("HOME", std::env::home_dir().expect("a home"))
        .args(["--ignored", "--exact", "holds_a_server_until_it_is_killed", "--nocapture"])
        .stdout(out.reopen().expect("the file"))
        .spawn()
        .expect("the test's program starts");
    let mut data = None;
    host::eventually("the other test has its server", Duration::from_mins(1), || {
        let text = std::fs::read_to_string(out.path()).expect("the file");
        data = text.lines().find_map(|line| Some(PathBuf::from(line.split_once("DATA=")?.1)));
        data.is_some()
    });
    let home = data.expect("it was awaited").parent().expect("the server's own folder").to_owned();
    let pid: u32 = std::fs::read_to_string(home.join("pid"))
        .expect("the guardian wrote it")
        .trim()
        .parse()
        .expect("a number");
    assert!(host::is_alive(pid));
    child.kill().expect("it can be killed");
    child.wait().expect("it is reaped");
    host::eventually("the server is gone", Duration::from_secs(10), || {
        !host::is_alive(pid) && !home.exists()
    });
}
