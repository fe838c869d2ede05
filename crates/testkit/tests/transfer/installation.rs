//! An installation goes on behind a move: what was backed up restores, and nothing is made twice.

use respaldo_core::model::BackupKind;
use respaldo_core::{App, backup, tick};
use respaldo_testkit::app::TestApp;

use super::*;

/// The same installation on another catalog.
fn on(app: &TestApp, catalog: Arc<dyn Catalog>) -> App {
    App { catalog, ..app.app.clone() }
}

#[tokio::test]
async fn a_moved_installation_goes_on_with_its_schedules_and_backups() {
    let old = TestApp::new();
    let path = old.folder().join("sample.db");
    respaldo_testkit::sqlite::sample(&path);
    let fields = serde_json::json!({
        "name": "sample", "engine": "sqlite", "database_name": path, "schedule": "0 * * * *",
    });
    let registered = old.register(fields).await;
    let manual = old.back_up(&registered).await;
    old.clock.advance(SignedDuration::from_hours(1));
    tick::tick(&old.app).await.unwrap();
    let slots = |catalog: Arc<dyn Catalog>| async move {
        let filter = JobFilter { kind: Some(BackupKind::Scheduled), ..JobFilter::default() };
        catalog.jobs(&filter, None, 100).await.unwrap().len()
    };
    let before = slots(Arc::clone(&old.catalog)).await;
    assert!(before >= 1, "a slot has come");

    let key = MasterKey::generate([7; 32]);
    let mut file = Vec::new();
    let how = Export { key: &key, source: "old".to_owned(), now: old.app.now(), force: false };
    export(&*old.catalog, how, &mut file).await.unwrap();
    let new: Arc<dyn Catalog> = Arc::<MemoryCatalog>::default();
    let how = Import { key: &key, now: old.app.now(), dry_run: false };
    import(&*new, how, &mut Cursor::new(&file)).await.unwrap();
    let app = on(&old, Arc::clone(&new));

    // The same instant again: every slot that has come has its job.
    tick::tick(&app).await.unwrap();
    assert_eq!(slots(Arc::clone(&new)).await, before);
    // The next one gives one more.
    old.clock.advance(SignedDuration::from_hours(1));
    tick::tick(&app).await.unwrap();
    assert_eq!(slots(Arc::clone(&new)).await, before + 1);

    let kept = new.job(manual.id).await.unwrap().unwrap();
    assert_eq!(kept.artifact(), manual.artifact());
    let next = backup::request(&app, registered.id, None).await.unwrap();
    assert!(next.id != manual.id);
    let created = app.catalog.create_database(NewDatabase(database(9))).await.unwrap();
    assert!(created.id > registered.id);
}
