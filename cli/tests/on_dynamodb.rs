//! Commands on a catalog in DynamoDB, called as people call them: what they do, and what they say when the table is not
//! there or refuses them.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use respaldo_testkit::aws::{Dynalite, Fault, Moto, Proxy, SECRET_KEY, credentials};
use respaldo_testkit::host::{self, command};
use respaldo_testkit::respaldo::failure;
use respaldo_testkit::scenario::MASTER_KEY;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_respaldo");
const CONFIG: &str = "\
server:
  lease_seconds: 40
databases:
  - {id: shop, name: Shop, engine: postgres, host: db.example, database_name: shop, schedule: '0 3 * * *'}
  - {id: wiki, name: Wiki, engine: mysql, host: db.example, database_name: wiki}
";
/// A job that nobody has.
const NOBODY: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// A folder with a configuration, a table and a bucket, behind a proxy.
struct Place {
    folder: TempDir,
    catalog: String,
    storage: String,
    proxy: Proxy,
}

impl Place {
    async fn new() -> Self {
        let moto = Moto::shared();
        let proxy = Proxy::before(&moto.endpoint()).await;
        let through = |url: String| url.replace(&moto.endpoint(), &proxy.endpoint);
        let catalog = through(moto.catalog().await);
        let storage = through(moto.bucket().await.url("r"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.yaml"), CONFIG).unwrap();
        Self { folder, catalog, storage, proxy }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same table's URL with another name in it.
    fn other(&self, name: &str) -> String {
        let (_, rest) = self.catalog.split_once('?').unwrap();
        format!("dynamodb://{name}?{rest}")
    }

    fn command(&self, catalog: &str, words: &[&str]) -> Command {
        let mut command = command(BINARY);
        command.args(words).current_dir(self.path()).envs(credentials()).stdin(Stdio::null());
        command.env("CATALOG_URL", catalog).env("STORAGE_URL", &self.storage);
        command.env("RESPALDO_MASTER_KEY", MASTER_KEY).env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    async fn printed(&self, catalog: &str, words: &[&str]) -> String {
        let output = self.output(self.command(catalog, words)).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The last line of a command that failed, after those of its log, all without secrets.
    async fn refused(&self, command: Command) -> String {
        let shown = format!("{command:?}");
        let (code, told) = tokio::task::spawn_blocking(|| failure(command)).await.unwrap();
        assert_eq!(code, 1, "{shown}: {told}");
        for secret in [MASTER_KEY, SECRET_KEY] {
            assert!(!told.contains(secret), "{told}");
        }
        let mut lines = told.lines();
        let last = lines.next_back().unwrap_or_default();
        assert!(last.starts_with("respaldo: ") && lines.all(is_of_the_log), "{shown}: {told}");
        last.to_owned()
    }

    async fn output(&self, mut command: Command) -> std::process::Output {
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// A file that was exported from a table like this one.
    async fn exported(&self) {
        self.printed(&self.catalog, &["config", "apply"]).await;
        let told = self.printed(&self.catalog, &["catalog", "export", "--output", "moved.jsonl"]).await;
        assert!(told.contains("2 databases"), "{told}");
    }
}

/// Whether a line begins with a time of this millennium.
fn is_of_the_log(line: &str) -> bool {
    line.starts_with('2')
}

/// Everything that opens a catalog.
const COMMANDS: [&[&str]; 7] = [
    &["config", "apply"],
    &["config", "apply", "--dry-run"],
    &["catalog", "export", "--output", "new.jsonl"],
    &["catalog", "import", "--input", "moved.jsonl"],
    &["catalog", "import", "--input", "moved.jsonl", "--dry-run"],
    &["worker"],
    &["worker", "--once", NOBODY],
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_applied_to_a_table_and_goes_on_from_there_to_another() {
    let place = Place::new().await;
    let plan = place.printed(&place.catalog, &["config", "apply", "--dry-run"]).await;
    assert!(plan.contains("shop: create") && plan.contains("leave out --dry-run"), "{plan}");
    place.exported().await;
    let again = place.printed(&place.catalog, &["config", "apply"]).await;
    assert!(again.contains("nothing has changed"), "{again}");
    // On a server that judges requests strictly, where nobody has made the table yet.
    let strict = Dynalite::shared().endpoint();
    let other = format!("dynamodb://{}?endpoint={strict}&region=us-east-1", host::unique("respaldo"));
    let import = ["catalog", "import", "--input", "moved.jsonl"];
    let told = place.refused(place.command(&other, &import)).await;
    assert!(told.contains("respaldo catalog init"), "{told}");
    place.printed(&other, &["catalog", "init"]).await;
    let told = place.printed(&other, &import).await;
    assert!(told.contains("holds 2 databases"), "{told}");
    let told = place.printed(&other, &["config", "apply"]).await;
    assert!(told.contains("nothing has changed"), "{told}");
    let nobody = place.refused(place.command(&other, &["worker", "--once", NOBODY])).await;
    assert!(nobody.contains(&format!("there is no job {NOBODY}")), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_end_a_command_with_what_to_do() {
    let place = Place::new().await;
    place.exported().await;
    for (code, mend) in [
        ("UnrecognizedClientException", "correct the access key, the secret key and the region"),
        ("ExpiredTokenException", "renew them"),
        ("AccessDeniedException", "allow dynamodb:"),
    ] {
        place.proxy.refuse("dynamodb", code);
        let init: &[&str] = &["catalog", "init"];
        for words in COMMANDS.iter().chain([&init]) {
            let told = place.refused(place.command(&place.catalog, words)).await;
            assert!(told.contains(mend) && told.contains(code), "{words:?}: {told}");
        }
    }
    assert!(!place.path().join("new.jsonl").exists() && !place.path().join("new.jsonl.partial").exists());
    place.proxy.heal();
    let told = place.printed(&place.catalog, &["config", "apply"]).await;
    assert!(told.contains("nothing has changed"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_there_is_named_and_so_is_the_command_that_makes_it() {
    let place = Place::new().await;
    place.exported().await;
    let catalog = place.other("nobody-s-table");
    for words in COMMANDS {
        let told = place.refused(place.command(&catalog, words)).await;
        assert!(told.contains("there is no table nobody-s-table"), "{words:?}: {told}");
        assert!(told.contains("respaldo catalog init"), "{words:?}: {told}");
    }
    assert!(!place.path().join("new.jsonl").exists() && !place.path().join("new.jsonl.partial").exists());
    let plan = place.printed(&catalog, &["catalog", "init", "--dry-run"]).await;
    assert!(plan.contains("make the table nobody-s-table"), "{plan}");
    let name = place.other("a");
    let told = place.refused(place.command(&name, &["config", "apply", "--dry-run"])).await;
    assert!(told.contains("a table's name has 3 to 255 letters"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_or_a_server_a_command_ends_and_says_what_is_missing() {
    let place = Place::new().await;
    for words in [&["config", "apply"][..], &["catalog", "init"], &["worker"]] {
        let mut keyless = place.command(&place.catalog, words);
        keyless.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("HOME", place.path());
        let told = place.refused(keyless).await;
        assert!(told.contains("there are no credentials for AWS"), "{told}");
        assert!(told.contains("AWS_ACCESS_KEY_ID"), "{told}");
    }
    let mut nameless = place.command("dynamodb://respaldo", &["config", "apply"]);
    nameless.env_remove("AWS_REGION").env("HOME", place.path());
    let told = place.refused(nameless).await;
    assert!(told.contains("no region is known") && told.contains("set AWS_REGION"), "{told}");
    let nowhere = "dynamodb://respaldo?endpoint=http://127.0.0.1:1&region=us-east-1";
    let told = place.refused(place.command(nowhere, &["config", "apply"])).await;
    assert!(told.contains("DynamoDB cannot be reached"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_by_credentials_that_expire_is_finished_by_the_next_try() {
    let place = Place::new().await;
    for (words, passed) in
        [(&["config", "apply"][..], [1, 3, 5]), (&["catalog", "import", "--input", "moved.jsonl"], [1, 4, 8])]
    {
        let moto = Moto::shared();
        for writes in passed {
            let catalog = moto.catalog().await.replace(&moto.endpoint(), &place.proxy.endpoint);
            let mut left = writes;
            place.proxy.rule(move |call| {
                let is_write = matches!(&*call.operation, "PutItem" | "UpdateItem" | "BatchWriteItem");
                left -= i32::from(is_write);
                (left < 0).then_some(Fault::Refused("ExpiredTokenException"))
            });
            let told = place.refused(place.command(&catalog, words)).await;
            assert!(told.contains("renew them"), "{words:?} after {writes} writes: {told}");
            place.proxy.heal();
            place.printed(&catalog, words).await;
            let file = format!("{}-{writes}.jsonl", words[1]);
            let told = place.printed(&catalog, &["catalog", "export", "--output", &file]).await;
            assert!(told.contains("2 databases"), "{words:?} after {writes} writes: {told}");
            fs::rename(place.path().join(file), place.path().join("moved.jsonl")).unwrap();
        }
    }
}
