//! `mongodump` and `mongorestore`, *simulated*: what they are told, and what is made of what they say.

use std::fs;
use std::path::PathBuf;

use bson::rawdoc;
use respaldo_core::ErrorKind;
use respaldo_core::model::Consistency;
use respaldo_testkit::not_mongod::NotMongod;
use respaldo_testkit::tools::{Behaviour, FakeTool, Toolbox};
use tempfile::TempDir;

use crate::support::{At, Restore, shop};

const PASSWORD: &str = "p:@/?#[]%\"\\'ñ 日";
const ENCODED: &str = "p%3A%40%2F%3F%23%5B%5D%25%22%5C%27%C3%B1%20%E6%97%A5";

struct Simulated {
    server: NotMongod,
    tools: Toolbox,
    folder: TempDir,
    dump: Vec<u8>,
}

impl Simulated {
    /// A fixture with a shop, and an archive of it that a simulated tool gives out.
    async fn new() -> Self {
        let server = NotMongod::builder().user("shop", "a@b", PASSWORD, &["readWrite", "dbAdmin"]).start();
        shop(&server, "shop");
        let folder = TempDir::new().unwrap();
        let simulated = Self { server, tools: Toolbox::new(), folder, dump: vec![] };
        let (dump, _) = simulated.at().with_tools(PathBuf::from("/nowhere")).dump().await.unwrap();
        fs::write(simulated.folder.path().join("archive"), &dump).unwrap();
        Self { dump, ..simulated }
    }

    fn at(&self) -> At {
        let at = At::new(&self.server, "shop").by("a@b", PASSWORD);
        at.with(|settings| settings.auth_source = Some("shop".to_owned())).with_tools(self.tools.path())
    }

    fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    /// Keeps the file of settings, with its mode, then does as it is told.
    fn add(&self, name: &str, then: &str) {
        let kept = self.folder.path().join("config");
        let script = format!(
            "for word in \"$@\"; do case \"$word\" in --config=*) file=${{word#--config=}};; esac; done\n\
             cp \"$file\" {kept}; stat -c %a \"$file\" > {kept}.mode\n{then}",
            kept = kept.display()
        );
        let tool = FakeTool::new(name).version(&format!("{name} version: 100.9.4"));
        self.tools.add(&tool.behaviour(Behaviour::Script(script)));
    }

    fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn words(simulated: &Simulated, tool: &str) -> Vec<String> {
    let calls = simulated.tools.calls(tool);
    let call = calls.iter().rfind(|call| call.args != ["--version"]).unwrap();
    assert!(!call.shows(PASSWORD) && !call.shows(ENCODED) && !call.shows("p%3A"), "{call:?}");
    call.args.iter().filter(|word| !word.starts_with("--config=")).cloned().collect()
}

#[tokio::test]
async fn mongodump_is_told_by_a_file_that_nobody_else_reads_and_its_archive_is_proven() {
    let simulated = Simulated::new().await;
    simulated.add("mongodump", &format!("exec cat {}", simulated.archive().display()));
    let probe = simulated.at().probe().await.unwrap();
    assert_eq!(probe.tool.as_deref(), Some("mongodump 100.9.4"));
    let (dump, seen) = simulated.at().dump().await.unwrap();
    assert_eq!((dump, seen.consistency), (simulated.dump.clone(), Some(Consistency::PerCollection)));
    let expected = ["--archive", "--db=shop", "--excludeCollectionsWithPrefix=respaldo_loading_"];
    assert_eq!(words(&simulated, "mongodump"), expected);
    assert_eq!(simulated.kept("config.mode").trim(), "600");
    let port = simulated.server.port();
    let begin =
        format!("uri: \"mongodb://a%40b:{ENCODED}@127.0.0.1:{port}/?authSource=shop&directConnection=true");
    assert!(simulated.kept("config").starts_with(&begin), "{}", simulated.kept("config"));
}

#[tokio::test]
async fn mongodump_that_lies_dies_or_fails_makes_no_dump() {
    let simulated = Simulated::new().await;
    let archive = simulated.archive().display().to_string();
    for (then, kind) in [
        (format!("head -c 3000 {archive}"), ErrorKind::Incomplete),
        (format!("cat {archive}; echo more"), ErrorKind::Invalid),
        (format!("head -c 3000 {archive}; kill -9 $$"), ErrorKind::Internal),
        (
            format!(
                "cat {archive}; printf 'T\\tFailed: error counting shop.orders: connection refused\\n' >&2; exit 1"
            ),
            ErrorKind::Unavailable,
        ),
        (
            "printf '2026\\tFailed: (Unauthorized) not authorized on shop to execute command\\n' >&2; exit 1"
                .to_owned(),
            ErrorKind::Denied,
        ),
        (
            format!(
                "cat >&2 <<'END'\n2026\tFailed: can't reach mongodb://a:{ENCODED}@h: auth error\nEND\nexit 1"
            ),
            ErrorKind::Denied,
        ),
    ] {
        simulated.add("mongodump", &then);
        let at = simulated.at();
        let error = at.dump().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{then}: {error}");
        let all = format!("{error}{}", at.log());
        assert!(!all.contains(PASSWORD) && !all.contains("p%3A%40"), "{all}");
    }
}

#[tokio::test]
async fn a_tool_that_reads_no_file_is_too_old_to_be_used() {
    let simulated = Simulated::new().await;
    for (tool, version) in [("mongodump", "mongodump version: 100.2.1"), ("mongorestore", "3.6.8")] {
        simulated.tools.add(&FakeTool::new(tool).version(version));
    }
    assert_eq!(simulated.at().probe().await.unwrap().tool.as_deref(), Some("built-in"));
    let (dump, _) = simulated.at().dump().await.unwrap();
    Restore::new(simulated.at(), dump).load().await.unwrap();
    assert!(simulated.tools.calls("mongorestore").iter().all(|call| call.args == ["--version"]));
}

#[tokio::test]
async fn mongorestore_is_fed_the_whole_archive_under_names_beside_the_target() {
    let simulated = Simulated::new().await;
    let fed = simulated.folder.path().join("fed");
    simulated.add("mongorestore", &format!("exec cat > {}", fed.display()));
    let restore = Restore::new(simulated.at(), simulated.dump.clone()).by_swap();
    let loaded = restore.load().await.unwrap();
    assert_eq!(fs::read(&fed).unwrap(), simulated.dump);
    assert_eq!(Some(&loaded.observed.fingerprint), restore.target.dump.fingerprint.as_ref());
    let id = restore.target.aside.rsplit('_').next().unwrap();
    let words = words(&simulated, "mongorestore");
    let expected = [
        "--archive",
        "--stopOnError",
        "--maintainInsertionOrder",
        "--bypassDocumentValidation",
        "--nsExclude=admin.system.users",
        "--nsExclude=admin.system.roles",
        "--nsExclude=admin.system.version",
        "--nsInclude=shop.*",
        "--nsFrom=shop.$collection$",
        &format!("--nsTo=shop.respaldo_loading_{id}.$collection$"),
    ];
    assert_eq!(words, expected);
    assert_eq!(simulated.kept("config.mode").trim(), "600");
}

#[tokio::test]
async fn mongorestore_in_place_finds_an_empty_target_and_loads_what_was_chosen() {
    let simulated = Simulated::new().await;
    simulated.add("mongorestore", "exec cat > /dev/null");
    let restore = Restore::new(simulated.at(), simulated.dump.clone()).only(&["orders"]);
    restore.load().await.unwrap();
    let words = words(&simulated, "mongorestore");
    assert_eq!(words[7..], ["--nsInclude=shop.orders".to_owned()]);
    let left = simulated.server.snapshot("shop");
    assert!(!left.0.contains_key("orders") && left.0.contains_key("customers"), "{left:?}");
}

#[tokio::test]
async fn mongorestore_that_fails_says_why() {
    let simulated = Simulated::new().await;
    simulated.add(
        "mongorestore",
        "head -c 100 > /dev/null; printf '2026\\tFailed: shop.orders: error creating indexes: not authorized\\n' >&2; exit 1",
    );
    let error = Restore::new(simulated.at(), simulated.dump.clone()).load().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().starts_with("Failed: shop.orders"), "{error}");
}

/// Chosen collections become the names of all others.
#[tokio::test]
async fn mongodump_is_told_what_to_leave_out() {
    let simulated = Simulated::new().await;
    simulated.server.load("shop", "third", [rawdoc! { "_id": 1 }]);
    simulated.add("mongodump", &format!("exec cat {}", simulated.archive().display()));
    let at = simulated.at().with(|s| s.collections = ["orders", "customers"].map(str::to_owned).to_vec());
    at.dump().await.unwrap();
    let expected = ["--archive", "--db=shop", "--excludeCollection=dear", "--excludeCollection=third"];
    assert_eq!(words(&simulated, "mongodump"), expected);
}

/// What is renamed while `mongodump` reads is empty or missing in its archive, and it says nothing of that.
#[tokio::test]
async fn a_collection_that_is_renamed_under_mongodump_fails_the_dump() {
    let simulated = Simulated::new().await;
    let going_on = simulated.folder.path().join("go on");
    let wait = format!("until [ -e '{}' ]; do sleep 0.02; done; ", going_on.display());
    let begun = simulated.folder.path().join("config");
    simulated.add("mongodump", &format!("{wait}exec cat {}", simulated.archive().display()));
    let at = simulated.at();
    let renaming = async {
        while !begun.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let command = rawdoc! { "renameCollection": "shop.orders", "to": "shop.elsewhere" };
        simulated.server.run("admin", &command);
        fs::write(&going_on, "").unwrap();
    };
    let (dumped, ()) = tokio::join!(at.dump(), renaming);
    let error = dumped.unwrap_err();
    assert!(error.is_retryable() && error.message().contains("renamed to elsewhere"), "{error}");
}
