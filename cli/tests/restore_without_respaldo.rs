//! `docs/restore-without-respaldo.md`, step by step as it is printed, on what a real server stored of real
//! databases: nothing of Respaldo's takes part in the restoring.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use respaldo_core::ports::ExposeSecret as _;
use respaldo_core::seal::{Digester, Identity};
use respaldo_testkit::host::{command, run, unique};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;
use respaldo_testkit::respaldo::Respaldo;
use respaldo_testkit::sqlite;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");

/// What every artifact is restored by, as far as its name says so.
const COMMON: [&str; 7] = ["find", "manifest", "join", "check", "decrypt", "gunzip", "unzstd"];
/// What each kind is loaded by.
const PLAIN: [&str; 2] = ["plain roles", "plain load"];
const CUSTOM: [&str; 2] = ["custom roles", "custom load"];
const MARIADB: [&str; 1] = ["mariadb load"];
const MYSQL: [&str; 1] = ["mysql load"];
const SQLITE: [&str; 1] = ["sqlite load"];

/// What the page prints and no test runs, because the tool is not to be had: the page says so beside them.
const NOT_RUN: [&str; 2] = ["mongodb load", "mongodb load renamed"];

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/restore-without-respaldo.md");
    fs::read_to_string(page).unwrap()
}

/// The page's blocks that stand under such a mark, by their names.
fn marked(page: &str, mark: &str) -> BTreeMap<String, String> {
    let mark = format!("<!-- {mark}: ");
    let blocks = page.split(&mark).skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->\n```sh\n").expect("a block follows its name");
        (name.to_owned(), rest.split_once("\n```").unwrap().0.to_owned())
    });
    blocks.collect()
}

/// The page's blocks that are run, by their names.
fn steps() -> BTreeMap<String, String> {
    let page = page();
    let (steps, not_run) = (marked(&page, "step"), marked(&page, "step, not run here"));
    let blocks = page.matches("```sh\n").count();
    assert_eq!(steps.len() + not_run.len() + 1, blocks, "every block but the variables is a step");
    steps
}

/// Where stored artifacts are restored by the page alone.
struct Reader {
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

impl Reader {
    /// Runs steps for one artifact in a folder of its own; answers what they print.
    fn follow(&self, storage: &Path, name: &str, new: &str, chosen: &[&str]) -> String {
        let steps = steps();
        let folder = self.folder.join(new);
        fs::create_dir(&folder).unwrap();
        fs::copy(self.folder.join("identity.txt"), folder.join("identity.txt")).unwrap();
        let mut script = format!("STORAGE={}\nNAME={name}\nNEW={new}\n", storage.display());
        for step in chosen {
            script += &format!("{}\n", steps[*step]);
        }
        let mut bash = command("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(&folder).env("HOME", &self.folder);
        bash.envs(self.environment.iter().map(|(name, value)| (name, value)));
        String::from_utf8(run(bash, std::io::empty()).stdout).unwrap()
    }

    /// From storage to a dump that was checked, for an artifact of that name, and then these.
    fn restore(&self, storage: &Path, name: &str, new: &str, load: &[&str]) -> String {
        let mut chosen = COMMON[..4].to_vec();
        let mut rest = name;
        if let Some(inner) = rest.strip_suffix(".age") {
            chosen.push("decrypt");
            rest = inner;
        }
        if rest.ends_with(".gz") {
            chosen.push("gunzip");
        } else if rest.ends_with(".zst") {
            chosen.push("unzstd");
        }
        chosen.extend(load);
        let printed = self.follow(storage, name, new, &chosen);
        assert_eq!(printed.matches(": OK").count(), 2, "{printed}");
        let listed = printed.lines().any(|line| line.starts_with(&format!("manual {name} 20")));
        assert!(listed, "the list shows {name}: {printed}");
        printed
    }
}

/// A server whose databases a test registers, and a reader beside it.
struct Scene {
    folder: tempfile::TempDir,
    server: Respaldo,
    identity: Identity,
    reader: Reader,
}

impl Scene {
    async fn open(environment: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let mut server = Respaldo::new(BINARY, folder.path(), "databases: []\n");
        for (name, path) in environment.iter().filter(|(name, _)| *name == "PATH") {
            server = server.env(name, path);
        }
        let server = server.start().await;
        let reader = folder.path().join("reader");
        fs::create_dir(&reader).unwrap();
        let identity = Identity::generate();
        fs::write(reader.join("identity.txt"), identity.to_secret_string().expose_secret()).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let reader = Reader { folder: reader, environment: environment.collect() };
        Self { folder, server, identity, reader }
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("data/backups")
    }

    /// Registers a database and backs it up; answers the artifact's name.
    async fn back_up(&self, mut fields: Value, compression: &str, encrypted: bool) -> String {
        fields["name"] = json!(unique("database"));
        fields["compression"] = json!(compression);
        if encrypted {
            fields["encryption"] = json!([self.identity.recipient().to_string()]);
        }
        let (status, database) = self.server.post("/databases", &fields).await;
        assert_eq!(status, 201, "{database}");
        let backup = self.server.back_up(&database).await;
        assert_eq!(backup["status"], "succeeded", "{backup}");
        backup["name"].as_str().unwrap().to_owned()
    }
}

/// Every way in which an artifact may be sealed.
const SEALS: [(&str, bool); 6] =
    [("gzip", false), ("zstd", false), ("none", false), ("gzip", true), ("zstd", true), ("none", true)];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_back_however_it_was_sealed_and_in_how_many_volumes() {
    let scene = Scene::open(&[]).await;
    let file = scene.folder.path().join("data/shop.db");
    sqlite::sample(&file);
    for (n, (compression, encrypted)) in SEALS.into_iter().enumerate() {
        let fields = json!({"engine": "sqlite", "database_name": "data/shop.db"});
        let name = scene.back_up(fields, compression, encrypted).await;
        if n < 2 {
            cut(&scene.storage(), &name);
        }
        let new = format!("restored{n}");
        let printed = scene.reader.restore(&scene.storage(), &name, &new, &SQLITE);
        assert!(printed.trim_end().ends_with("ok"), "{printed}");
        assert_eq!(sqlite::dump(&scene.reader.folder.join(format!("{new}/{new}.db"))), sqlite::dump(&file));
    }
}

/// Cuts a stored artifact into three volumes, as a store with few parts would have got it.
fn cut(storage: &Path, name: &str) {
    let found = run_grep(storage, name);
    let text = fs::read_to_string(&found).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let key = manifest["artifact"]["volumes"][0]["key"].as_str().unwrap();
    let bytes = fs::read(storage.join(key)).unwrap();
    fs::remove_file(storage.join(key)).unwrap();
    let volumes = bytes.chunks(bytes.len().div_ceil(3)).enumerate().map(|(n, chunk)| {
        let key = if n == 0 { key.to_owned() } else { format!("{key}.{:03}", n + 1) };
        fs::write(storage.join(&key), chunk).unwrap();
        let mut digester = Digester::new();
        digester.update(chunk);
        let sha256 = digester.finish().sha256_hex();
        let size = chunk.len();
        format!(
            "      {{\n        \"key\": \"{key}\",\n        \"size_bytes\": {size},\n        \"sha256\": \"{sha256}\"\n      }}"
        )
    });
    let volumes: Vec<String> = volumes.collect();
    // Members stay in their order, as every manifest has them.
    let (before, rest) = text.split_once("\"volumes\": [\n").unwrap();
    let (_, after) = rest.split_once("\n    ],").unwrap();
    fs::write(found, format!("{before}\"volumes\": [\n{}\n    ],{after}", volumes.join(",\n"))).unwrap();
}

fn run_grep(storage: &Path, name: &str) -> PathBuf {
    let mut grep = command("grep");
    grep.args(["-rlF", &format!("\"name\": \"{name}\""), "--include=manifest.json"]).arg(storage);
    PathBuf::from(String::from_utf8(run(grep, std::io::empty()).stdout).unwrap().trim_end())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_custom_dumps_of_postgresql_come_back_with_the_roles_that_they_name() {
    let server = Postgres::shared();
    let database = server.fresh_database("without");
    server.sample_schema(&database);
    let owner = unique("owner");
    let reader_role = unique("Some Reader");
    let [future, policed, grantor] = ["future", "policed", "grantor"].map(unique);
    server.psql(
        &database,
        &format!(
            "CREATE ROLE {owner} NOLOGIN; CREATE ROLE \"{reader_role}\" NOLOGIN; CREATE TABLE owned (a int); \
             ALTER TABLE owned OWNER TO {owner}; GRANT SELECT ON owned TO \"{reader_role}\"; \
             CREATE ROLE {future} NOLOGIN; CREATE ROLE {policed} NOLOGIN; CREATE ROLE {grantor} NOLOGIN; \
             ALTER DEFAULT PRIVILEGES FOR ROLE {grantor} GRANT SELECT ON TABLES TO {future}; \
             CREATE POLICY mine ON owned FOR SELECT TO {policed}, \"{reader_role}\" USING (a > 0)"
        ),
    );
    let expected = server.dump_normalised(&database);
    let scene = Scene::open(&[
        ("PGHOST", server.host().to_owned()),
        ("PGPORT", server.port().to_string()),
        ("PGUSER", server.user().to_owned()),
        ("PGPASSWORD", server.password().to_owned()),
        ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", server.bin_dir().display())),
    ])
    .await;
    let mut names = Vec::new();
    for (format, seals) in [("plain", [SEALS[0], SEALS[4]]), ("custom", [SEALS[1], SEALS[5]])] {
        for (compression, encrypted) in seals {
            let fields = json!({"engine": "postgres", "host": server.host(), "port": server.port(),
                "database_name": database, "format": format,
                "credentials": {"username": server.user(), "password": server.password()}});
            names.push((format, scene.back_up(fields, compression, encrypted).await));
        }
    }
    // The server that it is restored on has never heard of the dump's roles.
    server.psql(
        &database,
        &format!(
            "DROP OWNED BY {owner}, \"{reader_role}\", {future}, {policed}, {grantor}; \
             DROP ROLE {owner}, \"{reader_role}\", {future}, {policed}, {grantor}"
        ),
    );
    for (format, name) in names {
        let new = unique("restored");
        let load: &[&str] = if format == "plain" { &PLAIN } else { &CUSTOM };
        scene.reader.restore(&scene.storage(), &name, &new, load);
        assert_eq!(server.dump_normalised(&new), expected, "{name}");
        server.drop_database(&new);
    }
}

async fn of_mysql_s_family(server: &Mysql, engine: &str, load: &[&str]) {
    let database = server.fresh_database("without");
    server.sample_schema(&database);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", server.bin_dir().display());
    let scene = Scene::open(&[("PATH", path)]).await;
    let login = format!(
        "[client]\nhost={}\nport={}\nprotocol=tcp\nuser={}\npassword={}\n",
        server.host(),
        server.port(),
        server.user(),
        server.password()
    );
    fs::write(scene.reader.folder.join(".my.cnf"), login).unwrap();
    for (compression, encrypted) in [SEALS[0], SEALS[2], SEALS[4]] {
        let fields = json!({"engine": engine, "host": server.host(), "port": server.port(),
            "database_name": database,
            "credentials": {"username": server.user(), "password": server.password()}});
        let name = scene.back_up(fields, compression, encrypted).await;
        let new = unique("restored");
        scene.reader.restore(&scene.storage(), &name, &new, load);
        assert_eq!(server.dump_normalised(&new), server.dump_normalised(&database), "{name}");
        server.drop_database(&new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_of_mariadb_come_back() {
    of_mysql_s_family(Mysql::shared(), "mariadb", &MARIADB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_of_mysql_come_back() {
    // Where it is not installed the testkit says so; the page's block differs in the client's name alone.
    if let Some(server) = Mysql::shared_mysql() {
        of_mysql_s_family(server, "mysql", &MYSQL).await;
    }
}

#[test]
fn every_step_of_the_page_is_run_by_a_test() {
    let run = COMMON.iter().chain(&PLAIN).chain(&CUSTOM).chain(&MARIADB).chain(&MYSQL).chain(&SQLITE);
    let run: BTreeSet<String> = run.map(ToString::to_string).collect();
    assert_eq!(steps().into_keys().collect::<BTreeSet<_>>(), run);
}

#[test]
fn what_is_not_run_is_what_the_page_says_is_not_run_and_is_at_least_shell() {
    let page = page();
    let not_run = marked(&page, "step, not run here");
    assert_eq!(not_run.keys().map(String::as_str).collect::<Vec<_>>(), NOT_RUN);
    assert!(page.contains("These two commands alone on this page are run by no test"));
    for script in not_run.values() {
        let mut bash = command("bash");
        bash.args(["-n", "-c", script]);
        run(bash, std::io::empty());
    }
}

#[test]
fn the_page_s_way_to_a_database_s_name_finds_it_in_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("manifest.json"),
        "{\n  \"name\": \"x\",\n  \"database_name\": \"shop\",\n}",
    )
    .unwrap();
    let not_run = marked(&page(), "step, not run here");
    let first = not_run["mongodb load renamed"].lines().next().unwrap();
    let mut bash = command("bash");
    bash.args(["-euc", &format!("MANIFEST=manifest.json; {first}; echo $OLD")]).current_dir(folder.path());
    assert_eq!(run(bash, std::io::empty()).stdout, b"shop\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_found_out_by_the_page_s_check() {
    let scene = Scene::open(&[]).await;
    sqlite::sample(&scene.folder.path().join("data/shop.db"));
    let fields = json!({"engine": "sqlite", "database_name": "data/shop.db"});
    let name = scene.back_up(fields, "gzip", false).await;
    let manifest: Value =
        serde_json::from_slice(&fs::read(run_grep(&scene.storage(), &name)).unwrap()).unwrap();
    let file = scene.storage().join(manifest["artifact"]["volumes"][0]["key"].as_str().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let steps = steps();
    let script = format!(
        "STORAGE={}\nNAME={name}\n{}\n{}\n{}",
        scene.storage().display(),
        steps["manifest"],
        steps["join"],
        steps["check"]
    );
    let mut bash = command("bash");
    bash.args(["-euo", "pipefail", "-c", &script]).current_dir(&scene.reader.folder);
    let output = bash.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED"), "{output:?}");
}
