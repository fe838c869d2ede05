//! The README's first minute, as a newcomer runs it: the command of `make run`, then every block that is
//! marked to be run, as printed but for the port.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use respaldo_testkit::host::{command, eventually, run};
use respaldo_testkit::respaldo::Respaldo;

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The blocks that follow a `<!-- run -->`.
fn blocks(readme: &str) -> Vec<String> {
    let marked = readme.split("<!-- run -->\n```sh\n").skip(1);
    marked.map(|rest| rest.split_once("\n```").unwrap().0.to_owned()).collect()
}

/// What a block prints, run as it stands but for the port.
fn run_block(block: &str, respaldo: &Respaldo, folder: &Path) -> String {
    let block = block.replace("localhost:8000", &format!("localhost:{}", respaldo.port()));
    let block = block.replace("curl -s", "curl --fail-with-body -s");
    let mut bash = command("bash");
    bash.args(["-euo", "pipefail", "-c", &block]).current_dir(folder);
    // People have it on their PATH, and the server on its own port.
    let binary = Path::new(BINARY).parent().unwrap().display().to_string();
    bash.env("PATH", format!("{binary}:/usr/local/bin:/usr/bin:/bin")).env("RESPALDO_URL", respaldo.url(""));
    String::from_utf8(run(bash, std::io::empty()).stdout).unwrap()
}

/// A folder with what `make run` finds.
fn first_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("samples")).unwrap();
    for file in ["config.yaml", "samples/shop.db"] {
        fs::copy(root().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_about_retention_work_as_printed() {
    let paper = fs::read_to_string(root().join("docs/retention.md")).unwrap();
    let folder = first_folder();
    let respaldo = Respaldo::within(BINARY, folder.path()).start().await;
    let printed: Vec<String> =
        blocks(&paper).iter().map(|block| run_block(block, &respaldo, folder.path())).collect();
    assert_eq!(printed.len(), 3, "{printed:?}");
    assert!(printed[0].contains("\"remove\":0"), "{}", printed[0]);
    assert_eq!(printed[1], "[]");
    assert!(printed[2].contains("\"dry_run\":true"), "{}", printed[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_about_restores_work_as_printed() {
    let paper = fs::read_to_string(root().join("docs/restore.md")).unwrap();
    let folder = first_folder();
    let respaldo = Respaldo::within(BINARY, folder.path()).arg("--backup-now").arg("sample").start().await;
    eventually("the sample is backed up", std::time::Duration::from_secs(10), || {
        respaldo.log().contains("Backed up database 1")
    });
    let shop = folder.path().join("samples/shop.db");
    let whole = respaldo_testkit::sqlite::dump(&shop);
    let spoil = || respaldo_testkit::sqlite::open(&shop).execute_batch("CREATE TABLE lost (id)").unwrap();
    spoil();
    let spoilt = respaldo_testkit::sqlite::dump(&shop);
    let blocks = blocks(&paper);
    let run = |n: usize| run_block(&blocks[n], &respaldo, folder.path());
    assert_eq!(blocks.len(), 4);
    assert!(run(0).contains("\"possible\":true"));
    assert_eq!(respaldo_testkit::sqlite::dump(&shop), spoilt, "a dry run");
    assert!(run(1).contains("\"status\":\"succeeded\""));
    assert_eq!(respaldo_testkit::sqlite::dump(&shop), whole);
    // Its newest backup is now the safety backup, of the spoilt file.
    assert!(run(2).contains("Restored: backup"));
    assert_eq!(respaldo_testkit::sqlite::dump(&shop), spoilt);
    let said = run(3);
    assert!(said.contains("Undone: restore") && said.contains("Confirmed: restore"), "{said}");
    assert_eq!(respaldo_testkit::sqlite::dump(&shop), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_first_minute_works_as_printed() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    assert!(
        makefile.contains("serve --config config.yaml --backup-now sample"),
        "make run starts it otherwise"
    );
    let folder = first_folder();
    let respaldo = Respaldo::within(BINARY, folder.path()).arg("--backup-now").arg("sample").start().await;
    let said = "Backed up database 1: 9506 rows";
    eventually("the sample is backed up", std::time::Duration::from_secs(10), || {
        respaldo.log().contains(said)
    });

    let mut outputs = Vec::new();
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 5, "the README has {} blocks to run", blocks.len());
    for block in blocks {
        outputs.push(run_block(&block, &respaldo, folder.path()));
    }
    assert!(
        outputs[0].contains("\"config_id\":\"sample\"") && outputs[0].contains("\"status\":\"succeeded\"")
    );
    assert!(outputs[1].contains("\"status\":\"succeeded\""), "{}", outputs[1]);
    assert!(outputs[2].contains("\"id\":2") && outputs[2].contains("My notes"), "{}", outputs[2]);
    assert!(outputs[3].contains("0 1 * * 1-5"), "{}", outputs[3]);
    let restored = respaldo_testkit::sqlite::dump(&folder.path().join("data/shop.db"));
    assert_eq!(restored, respaldo_testkit::sqlite::dump(&folder.path().join("samples/shop.db")));

    // What the server itself says to try next works as well.
    let log = respaldo.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.trim_start().starts_with("curl ")).collect();
    assert_eq!(lines.len(), 3, "{log}");
    for line in lines {
        let mut bash = command("bash");
        bash.args(["-euo", "pipefail", "-c", &line.replace("curl -s", "curl --fail-with-body -s")]);
        bash.current_dir(folder.path());
        run(bash, std::io::empty());
    }
}
