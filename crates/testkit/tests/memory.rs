//! Promise 2: a dump stays within its memory budget, whatever the database's size.
//!
//! Each dump runs in a process of its own (this test's binary, started anew), because a process's peak
//! is the peak of everything in it. `pg_dump` is simulated, `psql`, the catalog and the stores are real, and
//! so is all of MariaDB; the S3 server runs in this process, the dump in the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bson::rawdoc;
use bytes::Bytes;
use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::Status;
use respaldo_core::ports::SecretString;
use respaldo_core::upload;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::not_mongod::museum::Museum;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::s3::{Operation, S3Server};
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use serde_json::{Value, json};

/// Names the file that tells the other process what to do.
const CASE: &str = "RESPALDO_MEMORY_CASE";
const MIB: u64 = 1 << 20;

/// One dump to be measured.
#[derive(Clone, Copy)]
struct Case<'a> {
    compression: &'a str,
    mebibytes: u64,
    budget_mib: u64,
    s3: Option<&'a S3Server>,
    read_back: bool,
    sqlite: bool,
}

impl<'a> Case<'a> {
    fn of(compression: &'a str, mebibytes: u64) -> Self {
        Self { compression, mebibytes, budget_mib: 64, s3: None, read_back: false, sqlite: false }
    }

    /// Runs it in a process of its own: by how many bytes its peak lies above the idle process.
    fn peak(self) -> u64 {
        let server = Postgres::shared();
        let tools = Toolbox::new();
        let version = format!("pg_dump (PostgreSQL) {}.0", server.major());
        let rows = Behaviour::Generates { mebibytes: self.mebibytes, compressible: false };
        tools.add(&FakeTool::new("pg_dump").version(&version).behaviour(rows));
        std::os::unix::fs::symlink(server.bin_dir().join("psql"), tools.path().join("psql")).unwrap();
        let peak = peak_of(json!({
            "tools": tools.path(), "budget": self.budget_mib * MIB,
            "raw_bytes": self.mebibytes * MIB, "s3": self.s3.map(S3Server::endpoint),
            "read_back": self.read_back, "sqlite": self.sqlite, "password": server.password(), "user": server.user(),
            "fields": {
                "name": "large", "engine": "postgres", "host": server.host(), "port": server.port(),
                "database_name": "postgres", "compression": self.compression,
            },
        }));
        let store = if self.s3.is_some() { "S3" } else { "local disk" };
        println!(
            "{} MiB, {}, {store}, budget {} MiB: peak {:.1} MiB above idle",
            self.mebibytes,
            self.compression,
            self.budget_mib,
            mebibytes(peak)
        );
        peak
    }

    fn assert_within_budget(self) -> u64 {
        let (peak, budget) = (self.peak(), self.budget_mib * MIB);
        assert!(peak < budget, "{} MiB are above {} MiB", mebibytes(peak), mebibytes(budget));
        peak
    }
}

/// Starts the other process and waits for what it measured.
fn peak_of(mut case: Value) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let (file, answer) = (folder.path().join("case.json"), folder.path().join("answer"));
    case["answer"] = json!(answer);
    fs::write(&file, case.to_string()).unwrap();
    let mut child = command(std::env::current_exe().unwrap());
    child.args(["--exact", "a_dump_in_a_process_of_its_own", "--ignored", "--nocapture"]).env(CASE, &file);
    run(child, std::io::empty());
    fs::read_to_string(&answer).expect("the other process measured").parse().unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

#[test]
fn a_dump_of_2_gb_takes_no_more_memory_than_one_of_100_mb() {
    let small = Case::of("zstd", 100).assert_within_budget();
    let large = Case::of("zstd", 2_000).assert_within_budget();
    assert!(large < small + 6 * MIB, "{} and {} MiB", mebibytes(small), mebibytes(large));
}

#[test]
fn every_compression_stays_within_its_budget() {
    for compression in ["gzip", "none"] {
        Case::of(compression, 300).assert_within_budget();
        Case { budget_mib: 32, ..Case::of(compression, 100) }.assert_within_budget();
    }
    Case { budget_mib: 32, ..Case::of("zstd", 100) }.assert_within_budget();
}

#[test]
fn dumps_to_s3_stay_within_their_budget_too() {
    let server = S3Server::start();
    let s3 = Some(&server);
    Case { s3, ..Case::of("none", 300) }.assert_within_budget();
    Case { s3, budget_mib: 32, ..Case::of("none", 150) }.assert_within_budget();
    Case { s3, ..Case::of("zstd", 300) }.assert_within_budget();
    assert_eq!(server.count(Operation::GetObject), 0);
    Case { s3, read_back: true, ..Case::of("none", 300) }.assert_within_budget();
    Case { s3, read_back: true, budget_mib: 32, ..Case::of("none", 150) }.assert_within_budget();
    assert!(server.count(Operation::GetObject) >= 2, "the artifacts came back");
    assert!(server.count(Operation::UploadPart) > 60, "the parts went to the server");
    assert!(server.largest_body() <= 64 * MIB / 4, "a part is at most a quarter of the budget");
}

#[test]
fn a_sqlite_database_of_any_size_is_staged_within_the_budget() {
    let sqlite = |mebibytes| Case { sqlite: true, ..Case::of("none", mebibytes) }.assert_within_budget();
    let (small, large) = (sqlite(50), sqlite(400));
    assert!(large < small + 6 * MIB, "{} and {} MiB", mebibytes(small), mebibytes(large));
}

#[test]
fn a_row_of_50_mb_that_is_dumped_as_twice_as_many_digits_stays_within_the_budget() {
    let server = Mysql::shared();
    let name = server.fresh_database("large");
    server
        .sql(&name, "CREATE TABLE t (b longblob); INSERT INTO t VALUES (REPEAT(UNHEX('00277f'), 17000000))");
    for budget_mib in [32, 64] {
        let peak = peak_of(json!({
            "tools": server.bin_dir(), "budget": budget_mib * MIB, "raw_bytes": 100_000_000_u64,
            "s3": null, "sqlite": false, "password": server.password(), "user": server.user(),
            "fields": {
                "name": "large", "engine": "mariadb", "host": server.host(), "port": server.port(),
                "database_name": name, "compression": "gzip",
            },
        }));
        println!("a row of 50 MB, budget {budget_mib} MiB: peak {:.1} MiB above idle", mebibytes(peak));
        assert!(peak < budget_mib * MIB, "{} MiB are above {budget_mib} MiB", mebibytes(peak));
    }
}

/// A database on the fixture that is not mongod: how far its built-in dump rises above the idle process.
fn peak_of_mongodb(server: &NotMongod, database: &str, raw_bytes: u64, budget_mib: u64) -> u64 {
    let peak = peak_of(json!({
        "tools": "/nowhere", "budget": budget_mib * MIB, "raw_bytes": raw_bytes, "s3": null, "sqlite": false,
        "user": "u", "password": "p",
        "fields": {
            "name": "large", "engine": "mongodb", "host": "127.0.0.1", "port": server.port(),
            "database_name": database, "compression": "zstd",
        },
    }));
    println!("mongodb {database}, budget {budget_mib} MiB: peak {:.1} MiB above idle", mebibytes(peak));
    peak
}

#[test]
fn a_mongodb_of_any_size_and_of_2000_collections_is_dumped_within_the_budget() {
    let server = NotMongod::builder().user("admin", "u", "p", &["root"]).start();
    let filler = "0123456789abcdef".repeat(60);
    for (name, documents) in [("small", 20_000), ("large", 200_000)] {
        let document = |n: i32| rawdoc! { "_id": n, "filler": filler.as_str(), "n": f64::from(n).sin() };
        server.load(name, "c", (0..documents).map(document));
    }
    Museum { small_collections: 2_000, ..Museum::default() }.fill(&server, "many");
    for budget_mib in [32, 64] {
        let small = peak_of_mongodb(&server, "small", 19_000_000, budget_mib);
        let large = peak_of_mongodb(&server, "large", 190_000_000, budget_mib);
        let many = peak_of_mongodb(&server, "many", 1_000_000, budget_mib);
        assert!(large < small + 6 * MIB, "{} and {} MiB", mebibytes(small), mebibytes(large));
        assert!(large.max(many) < budget_mib * MIB, "{} and {} MiB", mebibytes(large), mebibytes(many));
    }
}

/// A document is read whole, and the driver holds it twice: what that takes lies beside the budget.
#[test]
fn documents_of_16_mib_take_what_two_of_them_take_beside_the_budget() {
    let server = NotMongod::builder().user("admin", "u", "p", &["root"]).start();
    Museum { large_documents: 6, ..Museum::default() }.fill(&server, "wide");
    let peak = peak_of_mongodb(&server, "wide", 96 * MIB, 64);
    assert!(peak < 128 * MIB, "{} MiB", mebibytes(peak));
}

/// What is uploaded to a process of its own: by how many bytes its peak lies above the idle process.
fn peak_of_upload(file: &str, mebibytes: u64, budget_mib: u64) -> u64 {
    let peak = peak_of(json!({"upload": file, "mebibytes": mebibytes, "budget": budget_mib * MIB}));
    println!("{file} upload, budget {budget_mib} MiB: peak {:.1} MiB above idle", self::mebibytes(peak));
    assert!(peak < budget_mib * MIB, "{} MiB are above {budget_mib} MiB", self::mebibytes(peak));
    peak
}

#[test]
fn an_upload_takes_no_more_memory_the_larger_it_is() {
    for budget_mib in [32, 64] {
        let small = peak_of_upload("plain", 50, budget_mib);
        let large = peak_of_upload("plain", 400, budget_mib);
        assert!(large < small + 6 * MIB, "{} and {} MiB", mebibytes(small), mebibytes(large));
    }
}

#[test]
fn a_bomb_of_many_gigabytes_is_refused_within_the_budget() {
    peak_of_upload("bomb", 20_000, 32);
}

#[test]
fn the_largest_zstd_window_that_is_taken_fits_into_the_budget() {
    peak_of_upload("--long=22", 100, 32);
    peak_of_upload("--long=23", 100, 64);
}

/// The other process.
#[test]
#[ignore = "it is started by the tests above"]
fn a_dump_in_a_process_of_its_own() {
    let case = std::env::var_os(CASE).expect("started by another test");
    let case: Value = serde_json::from_slice(&fs::read(case).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let peak = runtime.block_on(measure(&case));
    fs::write(case["answer"].as_str().unwrap(), peak.to_string()).unwrap();
}

async fn measure(case: &Value) -> u64 {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let budget = usize::try_from(case["budget"].as_u64().unwrap()).unwrap();
    let mut test = match case["s3"].as_str() {
        Some(endpoint) => TestApp::on(S3Server::storage_at(endpoint), |limits| limits.memory_budget = budget),
        None => TestApp::with(|limits| limits.memory_budget = budget),
    };
    if case["read_back"] == true {
        test.app.storage = test.app.storage.with_read_back();
    }
    if case["upload"].is_string() {
        return measure_upload(&test, case).await;
    }
    let test = test.with_tools(PathBuf::from(text(&case["tools"])));
    let Value::Object(mut fields) = case["fields"].clone() else { panic!("fields are an object") };
    if case["sqlite"] == true {
        let path = test.folder().join("large.db");
        fill(&path, case["raw_bytes"].as_u64().unwrap());
        fields.retain(|field, _| field == "name" || field == "compression");
        fields.insert("engine".to_owned(), json!("sqlite"));
        fields.insert("database_name".to_owned(), json!(path));
    }
    let login = Login {
        username: Some(text(&case["user"])),
        password: Some(SecretString::from(text(&case["password"]))),
    };
    let registration = Registration { fields, login: Some(login), uid: None };
    let database = databases::register(&test.app, registration).await.unwrap();
    databases::test(&test.app, database.id).await.unwrap();

    // The peak begins anew from what the idle process holds.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = status_bytes("VmRSS");
    let job = test.back_up(&database).await;
    let peak = status_bytes("VmHWM");
    assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    let raw = job.backup().unwrap().artifact.as_ref().unwrap().raw_bytes;
    assert!(raw >= case["raw_bytes"].as_u64().unwrap(), "{raw} bytes were dumped");
    peak - idle
}

/// Sends as many bytes of SQL as are asked for, or packed so that 20 MB of them hold 20 GB.
async fn measure_upload(test: &TestApp, case: &Value) -> u64 {
    let fields =
        json!({"name": "u", "engine": "postgres", "host": "127.0.0.1", "port": 1, "database_name": "u"});
    let database = test.register(fields).await;
    let line = "-- a comment that goes on and on, as comments do\n".repeat(20_000);
    let mode = case["upload"].as_str().unwrap();
    let bomb = mode == "bomb";
    let (head, piece) = if bomb {
        (packed(b"SELECT 1;\n"), packed(&vec![b'-'; 64 << 20]))
    } else if mode.starts_with("--long") {
        (in_window(mode, case["mebibytes"].as_u64().unwrap()), Vec::new())
    } else {
        (b"SELECT 1;\n".to_vec(), line.into_bytes())
    };
    let count = case["mebibytes"].as_u64().unwrap() / if bomb { 64 } else { 1 };
    let (head, piece) = (Bytes::from(head), Bytes::from(piece));
    let pieces = (0..=count).map(move |n| Ok(if n == 0 { head.clone() } else { piece.clone() }));
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle = status_bytes("VmRSS");
    let request = upload::Request { id: None, database: database.id, filename: None, length: None };
    let received = upload::receive(&test.app, request, futures::stream::iter(pieces)).await;
    let peak = status_bytes("VmHWM");
    if bomb {
        let error = received.unwrap_err();
        assert!(error.message().contains("1000 times its size"), "{error}");
    } else {
        received.unwrap();
    }
    test.assert_promises().await;
    peak - idle
}

/// SQL whose lines differ, packed by zstd with a window of that size.
fn in_window(long: &str, mebibytes: u64) -> Vec<u8> {
    let mut sql = b"SELECT 1;\n".to_vec();
    for number in 0..mebibytes * MIB / 100 {
        let line = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(sql, "-- {line:032x}{:064x}", line.rotate_left(17)).unwrap();
    }
    let mut zstd = command("zstd");
    zstd.args(["-q", "-1", long]);
    run(zstd, sql.as_slice()).stdout
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn fill(path: &Path, bytes: u64) {
    let rows = bytes / 1000;
    respaldo_testkit::sqlite::open(path)
        .execute_batch(&format!(
            "CREATE TABLE t (filler BLOB); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             LIMIT {rows}) INSERT INTO t SELECT randomblob(1000) FROM n"
        ))
        .unwrap();
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1024
}
