//! A package of real databases, opened, checked and restored by stock tools alone: every command is one of its
//! `RESTORE.md`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use respaldo_core::databases::{self, Login, Registration};
use respaldo_core::model::{Job, PackageFormat, Status};
use respaldo_core::ports::{ExposeSecret as _, SecretString};
use respaldo_core::seal::Identity;
use respaldo_testkit::app::TestApp;
use respaldo_testkit::host::{command, run};
use respaldo_testkit::mysql::Mysql;
use respaldo_testkit::postgres::Postgres;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{archive, good, request};

/// Four databases of three engines, one of them encrypted, each with a backup.
struct Sources {
    test: TestApp,
    identity: Identity,
    postgres: &'static Postgres,
    mariadb: &'static Mysql,
    plain: String,
    custom: String,
    shop: String,
}

impl Sources {
    async fn new() -> Self {
        let (test, identity) = (TestApp::new(), Identity::generate());
        let (postgres, mariadb) = (Postgres::shared(), Mysql::shared());
        let [plain, custom] = ["plain", "custom"].map(|name| postgres.fresh_database(name));
        let shop = mariadb.fresh_database("shop");
        postgres.sample_schema(&plain);
        postgres.sample_schema(&custom);
        mariadb.sample_schema(&shop);
        let sources = Self { test, identity, postgres, mariadb, plain, custom, shop };
        let on_postgres = |name: &str| json!({"engine": "postgres", "host": postgres.host(), "port": postgres.port(), "database_name": name});
        let recipient = sources.identity.recipient().to_string();
        let as_postgres = (postgres.user(), postgres.password());
        sources.back_up(on_postgres(&sources.plain), json!({"compression": "gzip"}), as_postgres).await;
        let more = json!({"format": "custom", "compression": "zstd", "encryption": [recipient]});
        sources.back_up(on_postgres(&sources.custom), more, as_postgres).await;
        let on_mariadb = json!({
            "engine": "mariadb", "host": mariadb.host(), "port": mariadb.port(), "database_name": sources.shop,
        });
        let as_mariadb = (mariadb.user(), mariadb.password());
        sources.back_up(on_mariadb, json!({"compression": "zstd"}), as_mariadb).await;
        let path = sources.test.folder().join("sample.db");
        respaldo_testkit::sqlite::sample(&path);
        let on_sqlite = json!({"engine": "sqlite", "database_name": path});
        sources.back_up(on_sqlite, json!({"compression": "none"}), ("", "")).await;
        sources
    }

    async fn back_up(&self, mut fields: Value, more: Value, (user, password): (&str, &str)) {
        let (Value::Object(fields), Value::Object(more)) = (&mut fields, more) else { panic!("objects") };
        fields.extend(more);
        fields.insert("name".to_owned(), json!("Tienda <b>`x`</b> [x](y)"));
        fields.insert("package".to_owned(), json!(true));
        let login = Login { username: Some(user.to_owned()), password: Some(SecretString::from(password)) };
        let login = (!user.is_empty()).then_some(login);
        let registration = Registration { fields: fields.clone(), login, uid: None };
        let database = databases::register(&self.test.app, registration).await.unwrap();
        let job = self.test.back_up(&database).await;
        assert_eq!(job.status, Status::Succeeded, "{:?}", job.error);
    }

    /// A shell in this folder that knows the servers as a user's would.
    fn shell(&self, folder: &Path, script: &str) -> Command {
        let mut bash = command("bash");
        let postgres = self.postgres;
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", postgres.bin_dir().display());
        bash.args(["-c", script]).current_dir(folder).env("PATH", path).env("HOME", folder);
        bash.env("PGHOST", postgres.host()).env("PGPORT", postgres.port().to_string());
        bash.env("PGUSER", postgres.user()).env("PGPASSWORD", postgres.password());
        bash
    }

    fn assert_restored(&self, folder: &Path) {
        let restored = |name: &str| format!("{}_restored", name.replace(['.', '-'], "_"));
        for name in [&self.plain, &self.custom] {
            let copy = self.postgres.dump_normalised(&restored(name));
            assert_eq!(copy, self.postgres.dump_normalised(name), "{name}");
            self.postgres.drop_database(&restored(name));
        }
        let copy = self.mariadb.dump_normalised(&restored(&self.shop));
        assert_eq!(copy, self.mariadb.dump_normalised(&self.shop));
        self.mariadb.drop_database(&restored(&self.shop));
        let dump = respaldo_testkit::sqlite::dump;
        assert_eq!(dump(&folder.join("sample_restored.db")), dump(&self.test.folder().join("sample.db")));
    }
}

/// What a user's home has for the servers and for the encrypted files.
fn prepare(sources: &Sources, folder: &Path) {
    let mariadb = sources.mariadb;
    let options = format!(
        "[client]\nhost={}\nport={}\nprotocol=tcp\nuser={}\npassword={}\n",
        mariadb.host(),
        mariadb.port(),
        mariadb.user(),
        mariadb.password()
    );
    fs::write(folder.join(".my.cnf"), options).unwrap();
    let identity = sources.identity.to_secret_string();
    fs::write(folder.join("identity.txt"), identity.expose_secret()).unwrap();
}

/// The commands of the guide, as they stand there.
fn commands(guide: &str) -> String {
    let blocks = guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    assert!(script.matches("createdb").count() == 2, "{guide}");
    script
}

fn unpack(sources: &Sources, job: &Job, format: PackageFormat) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(&sources.test, job);
    let archive = archive.to_str().unwrap();
    let script = match format {
        PackageFormat::Zip => format!("unzip -tq {archive} && unzip -q {archive}"),
        PackageFormat::TarGz => format!("gzip -t {archive} && tar -xzf {archive}"),
    };
    run(sources.shell(folder.path(), &script), std::io::empty());
    folder
}

async fn assert_useful(format: PackageFormat) {
    let sources = Sources::new().await;
    let job = good(&sources.test, &request(format)).await;
    assert!(job.package().unwrap().name.as_ref().unwrap().ends_with(&format!(".{format}")));
    let folder = unpack(&sources, &job, format);
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> = ["MANIFEST.json", "RESTORE.md", "SHA256SUMS"].map(str::to_owned).into();
    expected.extend(job.package().unwrap().members.iter().map(|member| member.file.clone()));
    expected.sort();
    assert_eq!(names, expected);
    for member in &job.package().unwrap().members {
        let metadata = fs::metadata(folder.path().join(&member.file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{}", member.file);
        let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(modified, u64::try_from(member.backup_created_at.as_second()).unwrap(), "{}", member.file);
    }
    let guide = fs::read_to_string(folder.path().join("RESTORE.md")).unwrap();
    assert!(!guide.contains("<b>") && !guide.contains("[x]"), "{guide}");
    prepare(&sources, folder.path());
    let output = run(sources.shell(folder.path(), &commands(&guide)), std::io::empty());
    let said = String::from_utf8(output.stdout).unwrap();
    for name in &expected {
        assert!(name == "SHA256SUMS" || said.contains(&format!("{name}: OK")), "{said}");
    }
    assert!(said.contains("\nok"), "SQLite's integrity_check: {said}");
    sources.assert_restored(folder.path());
    sources.test.assert_promises().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_package_of_four_databases_is_restored_by_the_commands_of_its_own_guide() {
    assert_useful(PackageFormat::Zip).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tar_package_of_four_databases_is_restored_by_the_commands_of_its_own_guide() {
    assert_useful(PackageFormat::TarGz).await;
}
