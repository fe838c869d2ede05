//! Scratch servers: nobody else reaches them, and nothing is left of them, however they end.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use respaldo_core::engine::scratch::{Bench, Scratch, Specimen};
use respaldo_core::engine::{self, DumpFacts, JobLog, Meter, RawSink, Source, Toolbox};
use respaldo_core::model::{BackupKind, DumpFormat, EngineKind};
use respaldo_core::ports::{ExposeSecret, SecretString};
use respaldo_core::redact::Redactor;
use respaldo_core::{ErrorKind, Result};
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{self, command, eventually, is_alive};

const SOON: Duration = Duration::from_secs(15);

fn facts(engine: EngineKind, version: &str) -> DumpFacts {
    DumpFacts {
        engine,
        format: DumpFormat::Plain,
        kind: BackupKind::Manual,
        database_name: "tienda".to_owned(),
        server_version: Some(version.to_owned()),
        tool_version: None,
        raw_bytes: 1_000,
        fingerprint: None,
        trusted: true,
    }
}

/// A folder as a verify job has it, below one that a server's user may pass through.
fn bench(test: &TestApp) -> Bench {
    std::fs::set_permissions(test.folder(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let folder = test.folder().join("staging").join("attempt");
    std::fs::create_dir_all(&folder).unwrap();
    Bench {
        folder: folder.canonicalize().unwrap(),
        toolbox: Arc::clone(&test.app.toolbox),
        run_as: None,
        password: SecretString::from("only we know".to_owned()),
        log: JobLog::new(&test.app.clock, 1, Redactor::default()),
    }
}

async fn start(bench: &Bench, facts: &DumpFacts, head: &[u8]) -> Result<Scratch> {
    let engine = engine::engine(facts.engine).unwrap();
    engine.scratch().unwrap().start(bench, &Specimen { facts, head }).await
}

fn pid_in(file: PathBuf) -> u32 {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().next().unwrap().trim().parse().unwrap()
}

/// What nobody but root and the server's user may enter.
fn assert_private(folder: &Path) {
    let mode = folder.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "{}", folder.display());
}

fn psql(scratch: &Scratch, password: &str, sql: &str) -> Command {
    let mut psql = command("psql");
    psql.args(["-X", "-q", "-A", "-t", "-c", sql]).stdout(Stdio::piped()).stderr(Stdio::piped());
    psql.env("PGHOST", scratch.settings.host.as_ref().unwrap());
    psql.env("PGPORT", scratch.settings.port.unwrap().to_string());
    psql.env("PGUSER", "postgres").env("PGPASSWORD", password);
    psql.env("PGDATABASE", &scratch.settings.database_name);
    psql
}

#[tokio::test]
async fn a_private_postgresql_asks_for_its_password_and_is_gone_when_it_is_dropped() {
    let test = TestApp::new();
    let bench = bench(&test);
    let head = b"SET client_encoding = 'LATIN1';\n";
    let scratch = start(&bench, &facts(EngineKind::Postgres, "15.1"), head).await.unwrap();
    assert_private(&bench.folder.join("server"));
    let made =
        psql(&scratch, bench.password.expose_secret(), "CREATE TABLE t AS SELECT 'é'; SHOW server_encoding");
    let shown = host::run(made, std::io::empty()).stdout;
    assert_eq!(String::from_utf8_lossy(&shown).trim(), "LATIN1");
    let refused = psql(&scratch, "a guess", "SELECT 1").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    let address = psql(&scratch, bench.password.expose_secret(), "SHOW listen_addresses");
    assert_eq!(host::run(address, std::io::empty()).stdout.trim_ascii(), b"");

    let source = Source {
        settings: scratch.settings.clone(),
        login: scratch.login.clone(),
        toolbox: Arc::clone(&bench.toolbox),
        staging: bench.folder.clone(),
        sqlite_roots: Vec::new(),
        log: bench.log.clone(),
    };
    let mut sink = RawSink::discarding(Arc::new(Meter::default()));
    let observed = engine::engine(EngineKind::Postgres).unwrap().dump(&source, &mut sink).await.unwrap();
    assert_eq!(observed.fingerprint.rows(), 1);

    let server = pid_in(bench.folder.join("server/data/postmaster.pid"));
    assert!(is_alive(server));
    drop(scratch);
    eventually("the server is gone", SOON, || !is_alive(server));
}

#[tokio::test]
async fn a_private_mariadb_asks_for_its_password_and_is_stopped_in_order() {
    let test = TestApp::new();
    let bench = bench(&test);
    let scratch = start(&bench, &facts(EngineKind::Mariadb, "10.11.2-MariaDB"), b"").await.unwrap();
    assert_private(&bench.folder.join("server"));
    let socket = Path::new(scratch.settings.host.as_ref().unwrap()).join("mysqld.sock");
    let client = |password: &str| {
        let mut client = command("mariadb");
        client.arg("--no-defaults").arg(format!("--socket={}", socket.display()));
        client.args(["--user=root", "--batch", "--skip-column-names", "--execute=SELECT @@skip_networking"]);
        client.env("MYSQL_PWD", password).output().unwrap()
    };
    let answer = client(bench.password.expose_secret());
    assert_eq!(answer.stdout.trim_ascii(), b"1", "{}", String::from_utf8_lossy(&answer.stderr));
    assert!(String::from_utf8_lossy(&client("").stderr).contains("Access denied"));
    let server = pid_in(bench.folder.join("server/pid"));
    scratch.stop().await;
    assert!(!is_alive(server));
}

#[tokio::test]
async fn a_socket_s_path_that_is_too_long_is_replaced_by_a_port_of_loopback() {
    let test = TestApp::new();
    let mut bench = bench(&test);
    let folder = bench.folder.join("a-folder-whose-name-is-long".repeat(4));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::set_permissions(&bench.folder, std::fs::Permissions::from_mode(0o711)).unwrap();
    bench.folder = folder;
    let scratch = start(&bench, &facts(EngineKind::Postgres, "15.1"), b"").await.unwrap();
    assert_eq!(scratch.settings.host.as_deref(), Some("127.0.0.1"));
    let made = psql(&scratch, bench.password.expose_secret(), "SELECT 7");
    assert_eq!(host::run(made, std::io::empty()).stdout.trim_ascii(), b"7");
    let refused = psql(&scratch, "a guess", "SELECT 1").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    scratch.stop().await;
}

#[tokio::test]
async fn a_machine_without_a_server_that_is_new_enough_says_which_it_takes() {
    let test = TestApp::new();
    for (kind, version, what) in [
        (EngineKind::Postgres, "99.1", "major 99 or newer"),
        (EngineKind::Mariadb, "99.5.1-MariaDB", "MariaDB server of series 99.5 or newer"),
    ] {
        let error = start(&bench(&test), &facts(kind, version), b"").await.err().unwrap();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Tool, false), "{error}");
        assert!(error.message().contains(what) && error.mend().is_some(), "{error}");
    }
    let mut bare = bench(&test);
    bare.toolbox = Arc::new(Toolbox::default());
    let error = start(&bare, &facts(EngineKind::Postgres, "15.1"), b"").await.err().unwrap();
    assert!(error.message().contains("none is installed"), "{error}");
}

#[tokio::test]
async fn a_folder_that_the_server_s_user_may_not_pass_through_is_named() {
    if !host::is_root() {
        eprintln!("SKIPPED: only root runs servers as another user");
        return;
    }
    let test = TestApp::new();
    let bench = bench(&test);
    std::fs::set_permissions(test.folder(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let error = start(&bench, &facts(EngineKind::Postgres, "15.1"), b"").await.err().unwrap();
    assert_eq!(error.field(), Some("server.staging"), "{error}");
    assert!(
        error.message().contains(&test.folder().canonicalize().unwrap().display().to_string()),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "the test below runs it in a process of its own, and kills that"]
async fn holds_a_server() {
    let test = TestApp::new();
    let bench = bench(&test);
    let scratch = start(&bench, &facts(EngineKind::Postgres, "15.1"), b"").await.unwrap();
    println!(
        "\nserver {} in {}",
        pid_in(bench.folder.join("server/data/postmaster.pid")),
        test.folder().display()
    );
    tokio::time::sleep(Duration::from_mins(2)).await;
    scratch.stop().await;
}

#[test]
fn a_server_does_not_outlive_a_process_that_is_killed() {
    let mut holder = command(std::env::current_exe().unwrap());
    holder.args(["--exact", "servers::holds_a_server", "--ignored", "--nocapture"]).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map_while(std::io::Result::ok);
    let line = lines.find(|line| line.starts_with("server ")).expect("it starts a server");
    let mut words = line.split(' ');
    let server: u32 = words.nth(1).unwrap().parse().unwrap();
    let folder = words.nth(1).unwrap().to_owned();
    assert!(is_alive(server));
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("the server is gone", SOON, || !is_alive(server));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Every other test here runs as whoever runs the tests, which is often root.
#[test]
fn a_user_without_rights_has_scratch_servers_too() {
    let binary = std::env::current_exe().unwrap();
    let passable = |folder: &Path| folder.metadata().unwrap().permissions().mode() & 0o001 != 0;
    if !host::is_root() {
        eprintln!("SKIPPED: the tests run as such a user already");
        return;
    }
    if !binary.ancestors().skip(1).all(passable) {
        eprintln!("SKIPPED: {} is not reached by every user", binary.display());
        return;
    }
    for test in [
        "servers::a_private_postgresql_asks_for_its_password_and_is_gone_when_it_is_dropped",
        "servers::a_private_mariadb_asks_for_its_password_and_is_stopped_in_order",
    ] {
        let mut again = host::unprivileged(&binary);
        again.args(["--exact", test]);
        let said = host::run(again, std::io::empty()).stdout;
        assert!(String::from_utf8_lossy(&said).contains("1 passed"), "{}", String::from_utf8_lossy(&said));
    }
}
