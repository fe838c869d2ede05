//! The settings that `respaldo config apply` keeps in the catalog.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;

use jiff::SignedDuration;
use respaldo_core::config::stored::{self, Change, NAME, Sections};
use respaldo_core::config::{Config, Stores, preview};
use respaldo_core::keyring::MasterKey;
use respaldo_core::{App, ErrorKind};
use respaldo_testkit::app::TestApp;
use serde_json::{Value, json};

const FILE: &str = "\
# a comment
catalog: sqlite://data/catalog.db
storage: s3://bucket/prefix
global: &policy
  schedule: '0 3 * * *'
  max_parallel_jobs: 7
retention:
  schedule:
verify: off
server:
  run_as: '007'
  sqlite_roots: [data, \"a: b #c\", 'null']
  lease_seconds: 0x20
uploads:
  max_gb: 12
databases:
  - name: orders
    engine: postgres
    host: db.example
    database_name: orders
    <<: *policy
";

fn sections(text: &str) -> Sections {
    Sections::of("config.yaml", text, Stores::default()).unwrap()
}

async fn read(app: &App) -> respaldo_core::Result<Option<Config>> {
    stored::read(&*app.catalog, &app.key, Stores::default()).await
}

fn without_databases(text: &str) -> Config {
    let config = Config::parse(text).unwrap();
    Config { databases: Vec::new(), catalog: None, storage: None, ..config }
}

#[tokio::test]
async fn what_was_applied_is_read_as_the_file_says_it_but_for_databases_and_places() {
    let app = TestApp::in_memory().app;
    assert_eq!(read(&app).await.unwrap(), None);
    let text = FILE.replace("    <<: *policy\n", "");
    assert_eq!(stored::write(&app, &sections(&text)).await.unwrap(), Change::New);
    let kept = read(&app).await.unwrap().unwrap();
    assert_eq!(kept, without_databases(&text));
    assert_eq!(kept.retention_schedule, None);
    assert_eq!(kept.server.run_as.as_deref(), Some("007"));
    assert!(kept.databases.is_empty() && kept.catalog.is_none() && kept.storage.is_none());
}

#[tokio::test]
async fn every_file_of_the_other_tests_survives_being_kept() {
    for text in [
        include_str!("../../core/tests/config/inherited.yaml"),
        include_str!("../../core/tests/config/flat.yaml"),
        include_str!("../../core/tests/config/whole.yaml"),
        "",
        "# nothing\n",
    ] {
        let app = TestApp::in_memory().app;
        stored::write(&app, &sections(text)).await.unwrap();
        assert_eq!(read(&app).await.unwrap(), Some(without_databases(text)));
    }
}

#[tokio::test]
async fn applying_the_same_again_writes_nothing_and_a_change_names_its_sections() {
    let test = TestApp::new();
    let app = &test.app;
    stored::write(app, &sections("server:\n  lease_seconds: 40\n")).await.unwrap();
    let first = app.catalog.document(NAME).await.unwrap().unwrap();
    test.clock.advance(SignedDuration::from_secs(5));
    let same = sections("# another comment\nserver: {lease_seconds: 40}\ndatabases: []\n");
    let compared = stored::compare(&*app.catalog, &app.key, &same).await.unwrap();
    assert!(matches!(compared, Change::Unchanged { written_at } if written_at < app.now()), "{compared:?}");
    assert_eq!(stored::write(app, &same).await.unwrap(), compared);
    assert_eq!(app.catalog.document(NAME).await.unwrap().unwrap(), first);
    let other = sections("server:\n  lease_seconds: 41\nuploads:\n  max_gb: 3\n");
    let changed = Change::Changed(vec!["server".to_owned(), "uploads".to_owned()]);
    assert_eq!(stored::compare(&*app.catalog, &app.key, &other).await.unwrap(), changed);
    assert_eq!(stored::write(app, &other).await.unwrap(), changed);
    assert_eq!(read(app).await.unwrap().unwrap().server.lease_seconds, 41);
}

#[tokio::test]
async fn the_environment_s_defaults_stand_where_the_file_says_nothing() {
    for (text, zone) in
        [("", "Europe/Madrid"), ("global:\n", "Europe/Madrid"), ("global: {timezone: UTC}", "UTC")]
    {
        let app = TestApp::in_memory().app;
        let kept = sections(text).with_default("timezone", &json!("Europe/Madrid"));
        stored::write(&app, &kept).await.unwrap();
        let config = read(&app).await.unwrap().unwrap();
        assert_eq!(config.global.settings["timezone"], zone, "{text}");
    }
}

#[tokio::test]
async fn the_document_shows_nothing_of_the_settings() {
    let app = TestApp::in_memory().app;
    stored::write(&app, &sections("server:\n  run_as: somebody\n")).await.unwrap();
    let text = app.catalog.document(NAME).await.unwrap().unwrap().text;
    assert!(!text.contains("somebody") && !text.contains("run_as"), "{text}");
}

#[tokio::test]
async fn another_master_key_a_newer_version_and_damage_are_told_apart() {
    let app = TestApp::in_memory().app;
    stored::write(&app, &sections("")).await.unwrap();
    let other = App { key: Arc::new(MasterKey::generate([9; 32])), ..app.clone() };
    let error = read(&other).await.unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Config, Some("RESPALDO_MASTER_KEY")));
    assert_eq!(stored::write(&other, &sections("verify: off")).await.unwrap_err().kind(), ErrorKind::Config);

    let document = app.catalog.document(NAME).await.unwrap().unwrap();
    let edit = |change: fn(&mut Value)| {
        let mut value: Value = serde_json::from_str(&document.text).unwrap();
        change(&mut value);
        value.to_string()
    };
    let newer = edit(|value| {
        value["version"] = 2.into();
        value["written_by"] = "9.9.9".into();
        value["sealed"] = "something else".into();
    });
    let cut = document.text[..document.text.len() / 2].to_owned();
    let flipped = edit(|value| {
        let sealed = value["sealed"].as_str().unwrap().replace(['A', 'B', 'C'], "D");
        value["sealed"] = sealed.into();
    });
    let foreign = "{\"format\": \"something else\", \"version\": 1, \"written_by\": \"x\"}".to_owned();
    let mut revision = document.revision;
    for (text, kind, word) in [
        (newer, ErrorKind::Config, "newer Respaldo (9.9.9)"),
        (cut, ErrorKind::Corrupt, "not what Respaldo writes"),
        (flipped, ErrorKind::Corrupt, "not what Respaldo writes"),
        (foreign, ErrorKind::Corrupt, "not what Respaldo writes"),
    ] {
        revision = app.catalog.put_document(NAME, &text, revision).await.unwrap();
        let error = read(&app).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(word) && error.mend().is_some(), "{error}");
    }
}

#[tokio::test]
async fn of_two_who_apply_at_once_one_is_told() {
    let test = TestApp::new();
    let app = &test.app;
    let (one, two) = (sections("verify: daily"), sections("verify: weekly"));
    let (first, second) = tokio::join!(stored::write(app, &one), stored::write(app, &two));
    let failed: Vec<_> = [first, second].into_iter().filter_map(Result::err).collect();
    for error in &failed {
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }
    assert!(failed.len() <= 1);
    assert!(read(app).await.unwrap().is_some());
}

#[test]
fn a_number_that_means_a_text_is_refused_rather_than_changed() {
    let error = Sections::of("config.yaml", "server:\n  run_as: 007\n", Stores::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.mend().unwrap().contains("quotes"), "{error}");
}

#[test]
fn a_file_that_is_refused_is_refused_here_too() {
    let error = Sections::of("c.yaml", "server:\n  lease_seconds: no\n", Stores::default()).unwrap_err();
    assert!(error.to_string().starts_with("c.yaml:2:"), "{error}");
}

#[tokio::test]
async fn a_preview_says_what_would_be_done_refuses_what_would_be_refused_and_writes_nothing() {
    let test = TestApp::new();
    let app = &test.app;
    let entry = |path: &str| {
        let text = format!("databases:\n  - {{name: a, engine: sqlite, database_name: {path}}}\n");
        Config::parse(&text).unwrap()
    };
    let inside = test.folder().join("a.db").display().to_string();
    test.faults.reset();
    let previewed = preview(&*app.catalog, &app.limits, app.now(), &entry(&inside)).await.unwrap();
    assert_eq!(previewed.len(), 1);
    assert_eq!(previewed[0].reason, "new in the file");
    let error = preview(&*app.catalog, &app.limits, app.now(), &entry("/etc/shadow")).await.unwrap_err();
    assert!(error.field().is_some_and(|field| field.starts_with("databases.a.")), "{error}");
    assert!(test.faults.log().iter().all(|(_, name)| name == "databases"), "{:?}", test.faults.log());
    assert!(app.catalog.databases(None, 9).await.unwrap().is_empty());
}
